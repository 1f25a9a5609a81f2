"""Partitions: how a group that keeps order by key lets all of its replicas work.

One replica at a time leads the group, see `Consumer.lead`. With partitions it handles
nothing itself but hands every message on, in one commit, to the partition of its key: a topic of
the group's own, see `partition_topic_of`. Each partition is led by some replica, which handles as
the leader of a group without partitions does: equal keys in order, whatever happens to it.

So both steps keep order for the same reason: a leader is fenced before the next one may lead. How
many partitions are in force is kept in the group's state, written by leaders alone, and changed
only while all partitions are empty.
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple
from zlib import crc32

from messaging.backend import RESERVED_PREFIX, Backend, Delivery, StateValue, StateWrite
from messaging.handling.ordering_key import key_of
from messaging.state.timers import is_timer
from messaging.wire.envelope import Envelope
from messaging.wire.topic import partition_of, partition_topic_of

IN_FORCE = f"{RESERVED_PREFIX}partitions"
WHOLE = 1
"""The number of a group without partitions: its leader handles."""


class InForce(NamedTuple):
    """How many partitions a group has now, and the version to expect when writing over it."""

    number: int
    version: int

    def changed_to(self, number: int) -> StateWrite:
        return StateWrite(IN_FORCE, None if number == WHOLE else str(number).encode(), self.version)


async def in_force(
    load_state: Callable[[str, str], Awaitable[StateValue | None]], group: str
) -> InForce:
    stored = await load_state(group, IN_FORCE)
    return InForce(WHOLE, 0) if stored is None else InForce(int(stored.value), stored.version)


async def owed_in_partitions(backend: Backend, group: str) -> int:
    """How many partitions `group` needs to settle what lies in them; 0 when all are empty."""
    numbers = [
        partition[1]
        for info in await backend.topics()
        if (partition := partition_of(info.topic)) is not None
        and partition[0] == group
        and info.waiting.get(group, 0) + info.pending.get(group, 0)
    ]
    return max(numbers) + 1 if numbers else 0


def handed_on(delivery: Delivery, group: str, ordered_by: str, count: int) -> Envelope:
    """What `delivery` becomes in its partition, which is the same for all of its key."""
    envelope = delivery.envelope
    key = key_of(delivery, ordered_by) or envelope.id  # what has no key may go to any partition
    number = crc32(key.encode(errors="surrogatepass")) % count
    was_handled = envelope.was_handled or delivery.redelivery_count > 0
    return envelope.moved_to_partition(
        partition_topic_of(group, number), was_handled=was_handled and not is_timer(envelope)
    )
