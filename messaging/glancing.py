"""Watching what is handled without looking at each message: some are told one by one, all counted.

To tell an observer of a handling costs a fifth of it. Whoever watches a guild at work wants to know
how much is done, what fails, and of the rest a fair sample.
"""

from collections import defaultdict

from messaging.observing import Observer

MOST = 25
"""Handlings of all groups together that are told one by one before they become fewer."""


class Glance:
    """Which handlings of one group are told one by one; see `Onlooker`.

    Each of them, while they are few; then one out of so many, evenly.

    Attributes:
        left: how many handlings it is to the next that may be told; the runner counts them down.
        counts: by type and sender, how many more were handled.
        most: so many are told one by one before the next ones become fewer.
    """

    __slots__ = ("_stride", "_told", "counts", "left", "most")

    def __init__(self) -> None:
        self.counts: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.most = MOST
        self.left = self._stride = 1
        self._told = 0

    def takes(self) -> bool:
        """Whether the next handling is told; the others are to be counted if all went well."""
        self.left -= 1
        if not self.left:
            self.take()
            return True
        return False

    def take(self) -> None:
        """It is told, as none was `left` before it."""
        self._told += 1
        if self._told % self.most == 0:
            self._stride *= 2
        self.left = self._stride

    def begin_anew(self) -> dict[tuple[str, str], int]:
        """What was counted; where less was told than may be, more of it is from now on."""
        if self._stride > 1 and self._told < self.most // 2:
            self._stride //= 2
            self.left = min(self.left, self._stride)
        self._told = 0
        counts = self.counts
        if counts:
            self.counts = defaultdict(int)
        return counts


class Onlooker(Observer):
    """An observer of which only `ended` is called, and not for each handling.

    It is told of whatever did not simply go well, and of what its glance takes. Where it was told
    of a handling only because that failed, `Ending.handled_s` is None. The others are counted in
    the glance. Beside observers of the bus it is told of each: then it may glance by itself.
    """

    def glance(self, group: str) -> Glance:
        """At the handlings of `group`; the same for each replica here."""
        raise NotImplementedError
