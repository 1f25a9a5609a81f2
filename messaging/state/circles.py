"""Which handlings of one process wait for which others, so that turns never close a circle.

A handling waits for those that have the turns which it wants. One that has asked by `request` also
waits for all that want a turn in its conversation: one of them may be what it asked for.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from messaging.state.contender import Contender

Holders = Mapping[str, Contender]
"""By key, of one group."""


class Circles:
    """The handlings of one process that wait for a turn."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Contender]] = {}  # by conversation

    @contextmanager
    def waiting(self, contender: Contender, key: str, holders: Holders) -> Iterator[None]:
        """While `contender` waits for its turn at `key`."""
        want, several = (key, holders), self._waiting.setdefault(contender.conversation, [])
        contender.wants.append(want)
        several.append(contender)
        try:
            yield
        finally:
            contender.wants.remove(want)
            several.remove(contender)
            if not several and self._waiting.get(contender.conversation) is several:
                del self._waiting[contender.conversation]

    def waits_for(self, one: Contender, other: Contender) -> bool:
        """Whether `one` waits for `other`, directly or through others."""
        found, seen = [one], set[int]()
        while found:
            contender = found.pop()
            if contender is other or contender.may_have_asked(other):
                return True
            if id(contender) not in seen:
                seen.add(id(contender))
                found += self._before(contender)
        return False

    def _before(self, contender: Contender) -> Iterable[Contender]:
        yield from (holders[key] for key, holders in contender.wants if key in holders)
        if contender.asks:
            yield from self._waiting.get(contender.conversation, ())
