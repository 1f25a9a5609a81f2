"""Order among messages with equal keys: one of each key at a time, the next when it is settled.

A group that asks for it reads through one of its replicas at a time, see `Consumer.lead`; the
others stand by. In that replica a message waits until its predecessor with the same key is
settled for good, all its attempts included, while other keys go on. So a retry never leaves the
replica: it stays lent, and the next leader begins with what was lent, oldest first.
"""

from collections import deque

from messaging.backend import Delivery, Place
from messaging.handling.ordering_key import key_of


class Lanes:
    """Which messages wait for which others.

    Args:
        ordered_by: `key` for the envelope's key, else a field of the message. Messages without
            it never wait.
    """

    def __init__(self, ordered_by: str) -> None:
        self._ordered_by = ordered_by
        self._keys: dict[Place, str] = {}
        self._lanes: dict[str, deque[Delivery]] = {}
        self.waiting = 0

    def enter(self, delivery: Delivery) -> bool:
        """Whether `delivery` may be handled now; else it waits in its lane."""
        key = key_of(delivery, self._ordered_by)
        if not key:
            return True
        self._keys[delivery.place] = key
        lane = self._lanes.get(key)
        if lane is None:
            self._lanes[key] = deque()
            return True
        lane.append(delivery)
        self.waiting += 1
        return False

    def leave(self, delivery: Delivery) -> Delivery | None:
        """The one whose turn it is, now that `delivery` is settled for good."""
        key = self._keys.pop(delivery.place, "")
        if not key:
            return None
        if self._lanes[key]:
            self.waiting -= 1
            return self._lanes[key].popleft()
        del self._lanes[key]
        return None
