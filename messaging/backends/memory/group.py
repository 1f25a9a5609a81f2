"""One group: what it is owed, which consumer holds what, and the group's state."""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from messaging.backend import (
    ANY_VERSION,
    NEVER_ALONE,
    Delivery,
    Settlement,
    StateValue,
    StateWrite,
)
from messaging.backends.memory.turns import Queues
from messaging.errors import FencedError, NotHeldError
from messaging.wire.envelope import new_id
from messaging.wire.topic import matches, partition_topic_of, retry_topic_of


class Group:
    """The work of one agent, shared by its consumers.

    Attributes:
        ready: what was not lent yet, in order.
        held: what each consumer was lent and has not settled, by position.
        beats: the registered consumers. One that is not in here is fenced, whatever it holds.
        leader: the one that reads where order is kept; void once it is not registered any more.
        turns: which handling may write which key of the state.
        partitions: those that somebody has joined or written to, by number.
        signal: what its readers wait for.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.patterns: tuple[str, ...] = ()
        self.ready: deque[Delivery] = deque()
        self.held: dict[str, dict[str, Delivery]] = {}
        self.beats: dict[str, int] = {}
        self.leader = ""
        self.state: dict[str, StateValue] = {}
        self.turns = Queues(self._counts)
        self.partitions: dict[int, Partition] = {}
        self.signal = name
        self._writes = 0

    def partition(self, number: int) -> "Partition":
        return self.partitions.setdefault(number, Partition(self, number))

    def fits(self, topic: str) -> bool:
        return topic == retry_topic_of(self.name) or any(
            matches(pattern, topic) for pattern in self.patterns
        )

    def owed(self) -> Iterator[Delivery]:
        """Everything that is neither settled nor given up."""
        return chain(self.ready, self.pending())

    def pending(self) -> Iterator[Delivery]:
        return chain.from_iterable(held.values() for held in self.held.values())

    def owes(self, position: str) -> bool:
        """Whether this entry is neither settled nor given up."""
        at = bisect_left(self.ready, position, key=_position)
        is_ready = at < len(self.ready) and self.ready[at].position == position
        return is_ready or any(position in held for held in self.held.values())

    # -- consumers -------------------------------------------------------------------------------

    def join(self) -> str:
        incarnation = f"{self.name}-{new_id()}"
        self.beats[incarnation] = 0
        self.held[incarnation] = {}
        return incarnation

    def check_fence(self, incarnation: str) -> None:
        if incarnation not in self.beats:
            raise FencedError(self.name, incarnation)

    def beat(self, incarnation: str) -> Mapping[str, int]:
        self.beats[incarnation] += 1
        abandoned = {name: -1 for name in self.held if name not in self.beats}
        return abandoned | self.beats

    def lend(self, incarnation: str, max_count: int) -> list[Delivery]:
        """The next deliveries; raises FencedError if this consumer was taken over."""
        if incarnation not in self.beats:
            raise FencedError(self.name, incarnation)
        lent: list[Delivery] = []
        ready, held = self.ready, self.held[incarnation]
        for _ in range(min(max_count, len(ready))):
            delivery = ready.popleft()
            held[delivery.place[1]] = delivery
            lent.append(delivery)
        return lent

    def take_over(
        self, victim: str, heir: str, max_count: int, alone_from: int = NEVER_ALONE
    ) -> list[Delivery]:
        # The fence falls before anything changes hands, or a zombie could still commit.
        self.beats.pop(victim, None)
        theirs = tuple(self.held.get(victim, {}).values())[:max_count]
        alone = (
            i for i, delivery in enumerate(theirs) if delivery.redelivery_count + 1 >= alone_from
        )
        count = next(alone, len(theirs))
        chosen = theirs[: max(1, count)]
        lent = [self._hand_over(delivery.position, victim, heir) for delivery in chosen]
        self._forget_if_empty(victim)
        return lent

    def lead(self, incarnation: str) -> bool:
        if self.leader not in self.beats:
            self.leader = incarnation
        return self.leader == incarnation

    def inherit(self, heir: str, max_count: int) -> list[Delivery]:
        left = [
            (position, holder)
            for holder, held in self.held.items()
            if holder not in self.beats
            for position in held
        ]
        lent: list[Delivery] = []
        for position, holder in sorted(left):
            while len(lent) < max_count and self.ready and self.ready[0].position < position:
                lent += self.lend(heir, 1)  # given back
            if len(lent) == max_count:
                break
            lent.append(self._hand_over(position, holder, heir))
            self._forget_if_empty(holder)
        return lent

    def leave(self, incarnation: str, unhandled: Sequence[Delivery]) -> None:
        """What was started and not settled stays behind, for somebody to take over."""
        if incarnation not in self.beats:
            return
        del self.beats[incarnation]
        held = self.held[incarnation]
        returned = [held.pop(d.position) for d in unhandled if d.position in held]
        if returned:
            self.ready = deque(sorted([*returned, *self.ready], key=_position))
        self._forget_if_empty(incarnation)

    def disband(self) -> None:
        """Fence every consumer, and forget all that is owed."""
        self.beats.clear()
        self.held.clear()
        self.ready.clear()
        for partition in self.partitions.values():
            partition.disband()

    def _counts(self, incarnation: str) -> bool:
        members = (self, *self.partitions.values())
        return any(incarnation in each.beats for each in members)

    def _hand_over(self, position: str, victim: str, heir: str) -> Delivery:
        delivery = self.held[victim].pop(position)
        lent = self.held[heir][position] = delivery._replace(
            redelivery_count=delivery.redelivery_count + 1
        )
        return lent

    def _forget_if_empty(self, incarnation: str) -> None:
        if not self.held.get(incarnation, True):
            del self.held[incarnation]

    # -- commits ---------------------------------------------------------------------------------

    def check_held(self, incarnation: str, settlements: Sequence[Settlement]) -> None:
        """See that this consumer still counts, and holds each of these; no other may settle it."""
        if incarnation not in self.beats:
            raise FencedError(self.name, incarnation)
        held, positions = self.held[incarnation], set[str]()
        for settlement in settlements:
            position = settlement.delivery.place[1]
            if position not in held or position in positions:
                raise NotHeldError(self.name, incarnation)
            positions.add(position)

    def write_state(self, writes: Sequence[StateWrite]) -> bool:
        """Write all of `writes`, or none when a version has moved on."""
        for write in writes:
            present = self.state.get(write.key)
            expected = write.expected_version
            if expected not in (ANY_VERSION, present.version if present else 0):
                return False
        for write in writes:
            self._writes += 1
            present = self.state.get(write.key)
            if write.value is None:
                self.state.pop(write.key, None)
            else:
                # A key that was deleted and written anew must not look like the one once read.
                version = present.version + 1 if present else self._writes
                self.state[write.key] = StateValue(write.value, version)
        return True


class Partition(Group):
    """One partition of a group: consumers and entries of its own, the state of the group."""

    def __init__(self, whole: Group, number: int) -> None:
        super().__init__(whole.name)
        self._whole = whole
        self.topic = self.signal = partition_topic_of(whole.name, number)
        self.state = whole.state
        self.turns = whole.turns

    def fits(self, topic: str) -> bool:
        return topic == self.topic

    def write_state(self, writes: Sequence[StateWrite]) -> bool:
        return self._whole.write_state(writes)


def _position(delivery: Delivery) -> str:
    return delivery.position
