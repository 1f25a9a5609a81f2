"""Whose turn it is at the keys of one group's state; see `Consumer.take_turn`."""

import time
from collections.abc import Callable, Sequence

from messaging.backend import TURN_S

Handling = tuple[str, str]
"""A consumer, and the message that it handles."""


class Queues:
    """By key the handlings that want a turn at it; it is the turn of the first.

    Args:
        is_there: whether a consumer of the group, or of a partition of it, still counts.
    """

    def __init__(self, is_there: Callable[[str], bool]) -> None:
        self._is_there = is_there
        self._queues: dict[str, list[Handling]] = {}
        self._since: dict[str, float] = {}

    def take(self, handling: Handling, keys: Sequence[str]) -> bool:
        """Queue for all of `keys`; whether it is the turn of `handling` at each."""
        if not all(handling in self._at(key) for key in keys):
            # In all of them at once: so those that queue for several never wait in a circle.
            self.leave(handling, keys)
            for key in keys:
                self._keep(key, [*self._at(key), handling])
        return all(self._at(key)[0] == handling for key in keys)

    def leave(self, handling: Handling, keys: Sequence[str]) -> None:
        for key in keys:
            self._keep(key, [one for one in self._at(key) if one != handling])

    def may_write(self, incarnation: str, key: str) -> bool:
        """Whether it is no other consumer's turn at `key`."""
        return all(first == incarnation for first, _ in self._at(key)[:1])

    def used(self, incarnation: str, key: str) -> None:
        """The turn at `key` is over, if it was one of this consumer."""
        queue = self._at(key)
        if queue and queue[0][0] == incarnation:
            self._keep(key, queue[1:])

    def _at(self, key: str) -> list[Handling]:
        """The queue without those that are gone, or have had their turn for too long."""
        queue = self._queues.get(key)
        if queue is None:
            return []
        left = [one for one in queue if self._is_there(one[0])]
        if left[:1] == queue[:1] and time.monotonic() - self._since[key] > TURN_S:
            del left[0]
        self._keep(key, left)
        return left

    def _keep(self, key: str, queue: list[Handling]) -> None:
        if not queue:
            self._queues.pop(key, None)
            self._since.pop(key, None)
            return
        if self._queues.get(key, [])[:1] != queue[:1]:
            self._since[key] = time.monotonic()
        self._queues[key] = queue
