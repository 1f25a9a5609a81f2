"""Whether the server still counts a consumer: once it does not, nothing of it may go on."""

from collections.abc import Callable

from messaging.errors import FencedError


class Fence:
    """What all parts of one consumer ask, and tell when the server says so.

    Attributes:
        is_fenced: the consumer was taken over, or it has left.
        on_fenced: called once, when that is found out.
    """

    def __init__(self, group: str, incarnation: str) -> None:
        self.is_fenced = False
        self.on_fenced: list[Callable[[], None]] = []
        self._group = group
        self._incarnation = incarnation

    def check(self) -> None:
        """Return unless the consumer is known to be fenced.

        Raises:
            FencedError: it is.
        """
        if self.is_fenced:
            raise self.hit()

    def hit(self) -> FencedError:
        """The server does not count the consumer any more; returns what to raise."""
        if not self.is_fenced:
            self.is_fenced = True
            for call in self.on_fenced:
                call()
        return FencedError(self._group, self._incarnation)
