"""Order among messages with equal keys: one of each key at a time, the next when it is settled.

A group that asks for it reads through one of its replicas at a time, see `Consumer.lead`; the
others stand by. In that replica a message waits until its predecessor with the same key is
settled for good, all its attempts included, while other keys go on. So a retry never leaves the
replica: it stays lent, and whoever leads next begins with what was lent, oldest first.
"""

from collections import deque

from pydantic_core import from_json

from messaging.backend import Delivery, Place, place_of
from messaging.wire.outgoing import payload_of

BY_KEY = "key"


class Lanes:
    """Who has to wait for whom.

    Args:
        ordered_by: `key` for the envelope's key, else a field of the message. Messages without
            it wait for nobody.
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
        self._keys[place_of(delivery)] = key
        lane = self._lanes.get(key)
        if lane is None:
            self._lanes[key] = deque()
            return True
        lane.append(delivery)
        self.waiting += 1
        return False

    def leave(self, delivery: Delivery) -> Delivery | None:
        """The one whose turn it is, now that `delivery` is settled for good."""
        key = self._keys.pop(place_of(delivery), "")
        if not key:
            return None
        if self._lanes[key]:
            self.waiting -= 1
            return self._lanes[key].popleft()
        del self._lanes[key]
        return None


def key_of(delivery: Delivery, ordered_by: str) -> str:
    """What orders `delivery`; "" where nothing does."""
    envelope = delivery.envelope
    if ordered_by == BY_KEY or delivery.fault:
        return envelope.key
    if envelope.message is not None:
        value = getattr(envelope.message, ordered_by, None)
    else:
        value = _field(payload_of(envelope), ordered_by)
    return "" if value is None else str(value)


def _field(payload: bytes, name: str) -> object:
    try:
        fields = from_json(payload)
    except ValueError:
        return None  # whoever handles it will say what is wrong with it
    return fields.get(name) if isinstance(fields, dict) else None
