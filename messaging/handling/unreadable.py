"""What this process cannot read is left to another replica for a while.

While an agent is upgraded, replicas of two versions work side by side, and what the newer ones send
may come to an older one. It has no handler for that and must not give it up: a newer one beside it,
or its own successor, has. So the message goes back to the group, again and again, without counting
as an attempt, until this has lasted for two leases. How long it has is kept in the group's state,
as the sum of the pauses: no clock of any worker matters. Meanwhile the older replica, unless it
is alone, is slow to read: it does not wait for messages but looks now and then, so that a newer
one, which waits, is nearly always the first to see what was given back.

Where order is kept, it stays with the leader, and so do its successors of the same key, until
another replica comes to lead and reads them.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

from messaging.backend import Delivery, Settlement, StateValue, StateWrite, unread_key
from messaging.errors import UnknownTypeError
from messaging.process.logs import get_logger
from messaging.wire.envelope import Envelope
from messaging.wire.topic import retry_topic_of

log = get_logger()

LEASES = 2
PAUSES_PER_LEASE = 16
SLOW_FOR_LEASES = 0.5
MOST_TOLD = 100


class Unreadable:
    """Of one group.

    Args:
        lease_s: of the group's replicas.
    """

    def __init__(
        self,
        group: str,
        lease_s: float,
        load_state: Callable[[str, str], Awaitable[StateValue | None]],
    ) -> None:
        self._group = group
        self._lease_s = lease_s
        self._load_state = load_state
        self._told: set[tuple[str, int]] = set()
        self._waited_s: dict[str, float] = {}
        self._slow_until = 0.0

    @property
    def is_slow(self) -> bool:
        """Whether others should be the first to see what comes."""
        return bool(self._slow_until) and asyncio.get_running_loop().time() < self._slow_until

    async def left(self, delivery: Delivery, error: UnknownTypeError) -> Settlement | None:
        """What gives it back to the group; None when it was left to others for long enough."""
        envelope = delivery.envelope
        key, stored = unread_key(envelope.id), await self._load(envelope)
        waited_s, version = (float(stored.value), stored.version) if stored else (0.0, 0)
        if waited_s >= LEASES * self._lease_s:
            return None
        self._tell(error)
        pause_s = self._pause_s()
        slow_for_s = SLOW_FOR_LEASES * self._lease_s
        self._slow_until = asyncio.get_running_loop().time() + slow_for_s
        write = StateWrite(key, repr(waited_s + pause_s).encode(), version)
        again = envelope._replace(
            topic=retry_topic_of(self._group), origin=envelope.published_to, delay_s=pause_s
        )
        return Settlement(delivery, (again,), (write,))

    def held_s(self, delivery: Delivery, error: UnknownTypeError) -> float | None:
        """How long to hold it before another look, in order; None when it was held long enough."""
        message_id = delivery.envelope.id
        waited_s = self._waited_s.pop(message_id, 0.0)
        if waited_s >= LEASES * self._lease_s:
            return None
        self._tell(error)
        pause_s = self._pause_s()
        self._waited_s[message_id] = waited_s + pause_s
        return pause_s

    async def forgotten(self, envelope: Envelope) -> tuple[StateWrite, ...]:
        """What a commit has to write so that nothing is left of the pauses."""
        stored = await self._load(envelope)
        return (StateWrite(unread_key(envelope.id), None, stored.version),) if stored else ()

    def let_go(self, delivery: Delivery) -> None:
        """It is no longer lent to this process."""
        self._waited_s.pop(delivery.envelope.id, None)

    def _load(self, envelope: Envelope) -> Awaitable[StateValue | None]:
        return self._load_state(self._group, unread_key(envelope.id))

    def _pause_s(self) -> float:
        # Jitter: what came together should not meet the same replica again and again.
        pause_s = self._lease_s / PAUSES_PER_LEASE
        return pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards no secret

    def _tell(self, error: UnknownTypeError) -> None:
        """Say it once for each version of a type, not for each message."""
        what = (error.wire_name, error.version)
        if what not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(what)
            for_s = LEASES * self._lease_s
            log.warning("delivery.left_to_others", why=str(error), for_s=for_s)
