"""What every backend of one name shares. Nothing here awaits, so each method is one step."""

import asyncio
import heapq
import itertools
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from messaging.backend import (
    FROM_NOW,
    FROM_START,
    DeadLetter,
    Delivery,
    Entry,
    Incident,
    Settlement,
    StateWrite,
    TopicInfo,
    history_key,
    steps_key,
)
from messaging.backends.memory.dead_letters import DeadLetterLog
from messaging.backends.memory.group import Group
from messaging.backends.memory.log import (
    NEWEST_ID,
    EphemeralLog,
    EphemeralLogs,
    Log,
    entries_after,
)
from messaging.backends.memory.positions import BEHIND_ALL, position_at, time_of
from messaging.backends.memory.signals import Signals
from messaging.backends.sizes import check_value, size_of
from messaging.errors import (
    BusFullError,
    NobodyListensError,
    NotAskedError,
    PayloadTooLargeError,
    StateConflictError,
)
from messaging.process.clock import SYSTEM, Clock
from messaging.wire.codec import decode_header, encode_header
from messaging.wire.envelope import Envelope
from messaging.wire.fidelity import MOST_SHARED_BYTES, fidelity_of
from messaging.wire.message import encode
from messaging.wire.topic import (
    is_ephemeral,
    is_reply_topic,
    owner_of,
    partition_of,
    retry_topic_of,
)

REMEMBERED_S = 86_400.0


class Limits(NamedTuple):
    """How much fits. `keep_unclaimed` settled entries per topic stay for observers."""

    max_backlog: int
    soft_backlog: int
    soft_wait_s: float
    max_envelope_bytes: int
    keep_unclaimed: int
    keep_settled_s: float = 0.0
    max_commit_bytes: int = 32 * 1024 * 1024


class Store:
    """The topics, groups, delays and dead letters of one guild."""

    def __init__(self, limits: Limits, *, strict: bool, clock: Clock = SYSTEM) -> None:
        self.limits = limits
        self._clock = clock
        self.strict = strict
        self._roomy = min(limits.soft_backlog, limits.max_backlog)
        self._shares = not strict and limits.max_envelope_bytes >= MOST_SHARED_BYTES
        self.groups: dict[str, Group] = {}
        self.paused: set[str] = set()
        self.letters = DeadLetterLog(limits.max_backlog, self.announce, self._forget_steps)
        self.work = Signals()  # by group
        self.arrivals = Signals()  # by topic
        self.room = Signals()  # by topic
        self.listeners: list[Callable[[Incident], None]] = []
        self._logs: dict[str, Log] = {}
        self._ephemeral = EphemeralLogs()
        self._delayed: list[tuple[float, int, Envelope]] = []
        self._once: dict[str, tuple[float, bool]] = {}  # when, and whether it is a request
        self._numbers = itertools.count(1)
        self._last_ns = 0
        self._last_position = FROM_START

    def announce(self, incident: Incident) -> None:
        for listener in self.listeners:
            listener(incident)

    # -- subscriptions ---------------------------------------------------------------------------

    def subscribe(self, name: str, patterns: Sequence[str]) -> None:
        group = self.groups.setdefault(name, Group(name))
        group.patterns = tuple(patterns)
        for topic, log in self._logs.items():
            others = [other for other in log.groups if other is not group]
            log.groups = [*others, group] if group.fits(topic) else others

    def unsubscribe(self, name: str) -> None:
        self.paused.discard(name)
        group = self.groups.pop(name, None)
        if group is None:
            return
        for delivery in group.owed():
            self._logs[delivery.envelope.topic].settle(delivery.position)
        group.disband()
        for log in self._logs.values():
            log.groups = [other for other in log.groups if other is not group]
        retries = retry_topic_of(name)
        self._logs.pop(retries, None)
        for partition in group.partitions.values():
            self._logs.pop(partition.topic, None)
            self.work.fire(partition.signal)
        self._delayed = [waiting for waiting in self._delayed if waiting[2].topic != retries]
        heapq.heapify(self._delayed)
        self.work.fire(name)
        for topic in self._logs:
            self._tell_of_room(topic)

    # -- entries ---------------------------------------------------------------------------------

    def accept(self, envelopes: Iterable[Envelope]) -> Sequence[str]:
        """Store them all or none, and return the topics that passed their soft limit by it."""
        admitted = list(map(self._admit, envelopes))
        counts = _counts_of(admitted)
        crowded = self._check_room(counts)
        for envelope in admitted:
            self._put(envelope)
        self._tell_of_arrivals(counts)
        return crowded

    def accept_once(self, envelope: Envelope) -> Sequence[str]:
        now = time.monotonic()
        while self._once and now - next(iter(self._once.values()))[0] > REMEMBERED_S:
            del self._once[next(iter(self._once))]
        is_request = is_reply_topic(envelope.reply_to)
        if (known := self._once.get(envelope.id)) is not None:
            if is_request and not known[1]:
                raise NotAskedError(envelope.type, envelope.id, envelope.topic)
            return ()
        crowded = self.accept((envelope,))
        self._once[envelope.id] = now, is_request
        return crowded

    def commit(
        self, group: Group, incarnation: str, settlements: Sequence[Settlement]
    ) -> list[int]:
        group.check_held(incarnation, settlements)
        arrived: Collection[str] = ()
        for settlement in settlements:
            if settlement.outbox or settlement.state or settlement.dead is not None:
                settlements, arrived = self._admit_settlements(group.name, settlements)
                break
        # Every refusal lies above: what follows cannot fail half-way.
        outdated = []
        for index, settlement in enumerate(settlements):
            writes = settlement.state
            if not writes or self._write_state(group, incarnation, writes):
                self._settle(group, incarnation, settlement)
            else:
                outdated.append(index)
        if arrived:
            self._tell_of_arrivals(arrived)
        if self.room.waiting:
            for topic in {settlement.delivery.place[0] for settlement in settlements}:
                self._tell_of_room(topic)
        return outdated

    def _write_state(self, group: Group, incarnation: str, writes: Sequence[StateWrite]) -> bool:
        may_write = all(group.turns.may_write(incarnation, write.key) for write in writes)
        is_written = may_write and group.write_state(writes)
        for write in writes:  # also what is left out: it queues anew, or all might wait for it
            group.turns.used(incarnation, write.key)
        return is_written

    def journal(self, group: Group, incarnation: str, write: StateWrite) -> int:
        group.check_fence(incarnation)
        size_bytes, limit_bytes = len(write.value or b""), self.limits.max_envelope_bytes
        if size_bytes > limit_bytes:
            raise PayloadTooLargeError(f"{group.name}'s {write.key}", size_bytes, limit_bytes)
        if not group.write_state((write,)):
            raise StateConflictError(f"{write.key} of {group.name} was written by somebody else")
        present = group.state.get(write.key)
        return present.version if present else 0

    def is_crowded(self, topic: str) -> bool:
        """Whether more lies in the topic than its soft limit, and some group is owed it."""
        log, soft = self._logs.get(topic), self.limits.soft_backlog
        if log is None or len(log.entries) <= soft:
            return False
        log.make_room(0, soft)
        return len(log.entries) > soft

    def trim(self) -> int:
        oldest_id = NEWEST_ID
        if self.limits.keep_settled_s:
            oldest_ms = int(1000 * (time.time() - self.limits.keep_settled_s))
            oldest_id = f"{max(0, oldest_ms):012x}"
        return sum(log.trim(oldest_id) for log in self._logs.values())

    def topics(self) -> list[TopicInfo]:
        waiting = {name: Counter[str]() for name in self.groups}
        pending = {name: Counter[str]() for name in self.groups}
        oldest = {name: dict[str, str]() for name in self.groups}
        now = self.time()
        for group in self._groups_and_partitions():
            waiting[group.name].update(_topics_of(group.ready))
            pending[group.name].update(_topics_of(group.pending()))
            _keep_oldest(oldest[group.name], group.owed())
        infos = []
        for topic, log in sorted(self._logs.items()):
            getting = {group.name: 0 for group in log.groups}
            infos.append(
                TopicInfo(
                    topic,
                    len(log.entries),
                    getting
                    | {name: count[topic] for name, count in waiting.items() if count[topic]},
                    getting
                    | {name: count[topic] for name, count in pending.items() if count[topic]},
                    {
                        name: max(0.0, now - time_of(first[topic]))
                        for name, first in oldest.items()
                        if topic in first
                    },
                )
            )
        return infos

    def open_ephemeral(self, topic: str, ttl_s: float, max_entries: int) -> None:
        self._ephemeral.open(topic, _now(), ttl_s, max_entries)

    def close_ephemeral(self, topic: str) -> None:
        self._ephemeral.close(topic)

    def since(self, after: Mapping[str, str], max_count: int) -> list[Entry]:
        """Entries behind these positions, in order of acceptance."""
        found: list[Entry] = []
        now = _now()
        for topic, position in after.items():
            log = self._logs.get(topic) or self._ephemeral.find(topic, now)
            if log is not None:
                found += entries_after(log.entries, position, max_count)
        return sorted(found, key=_position)[:max_count] if len(after) > 1 else found

    def resolve(self, position: str) -> str:
        """A position that stays where it is, also for `FROM_NOW`."""
        return self._last_position if position == FROM_NOW else position

    def time(self) -> float:
        """By the clock that positions tell; it never goes back."""
        return max(time.time_ns(), self._last_ns) / 1e9

    def positions_at(self, topics: Collection[str], at: float) -> Mapping[str, str]:
        moment = min(position_at(at), self._last_position)
        now = _now()
        there = (topic in self._logs or self._ephemeral.find(topic, now) for topic in topics)
        return {
            topic: moment if is_there else FROM_START
            for topic, is_there in zip(topics, there, strict=True)
        }

    # -- delays ----------------------------------------------------------------------------------

    def release_due(self, max_count: int) -> float | None:
        now = self._clock.monotonic()
        for _ in range(max_count):
            if not self._delayed or self._delayed[0][0] > now:
                break
            due = heapq.heappop(self._delayed)[2]._replace(delay_s=0.0)
            self._put(due)
            self._tell_of_arrivals((due.topic,))
        return max(0.0, self._delayed[0][0] - now) if self._delayed else None

    # -- dead letters ----------------------------------------------------------------------------

    def drop_letter(self, letter_id: str) -> bool:
        letter = self.letters.get(letter_id)
        if letter is not None:
            self._forget_steps(letter)
        return self.letters.drop(letter_id)

    def requeue(self, letter_id: str, envelope: Envelope, history: bytes) -> bool:
        letter = self.letters.get(letter_id)
        if letter is None:
            return False
        if letter.group not in self.groups:
            raise NobodyListensError(
                f"dead letter {letter_id} belongs to {letter.group}, which is not subscribed; "
                "it stays where it is"
            )
        retry_topic = retry_topic_of(letter.group)
        self.accept([envelope._replace(topic=retry_topic, origin=envelope.published_to)])
        if history:
            group, key = self.groups[letter.group], history_key(envelope.id)
            present = group.state.get(key)
            group.write_state([StateWrite(key, history, present.version if present else 0)])
        return self.letters.drop(letter_id)

    def _forget_steps(self, letter: DeadLetter) -> None:
        if letter.group in self.groups:
            self.groups[letter.group].state.pop(steps_key(letter.envelope.id), None)

    # -- single steps ----------------------------------------------------------------------------

    def _admit(self, envelope: Envelope) -> Envelope:
        """`envelope` as it may be shared: what its sender can still change travels as bytes."""
        message = envelope.message
        if message is not None:
            if self._shares and fidelity_of(type(message)).is_shareable:
                return envelope
            envelope = envelope._replace(message=None, payload=encode(message))
        if len(envelope.payload) > self.limits.max_envelope_bytes:
            raise PayloadTooLargeError(
                envelope.type, len(envelope.payload), self.limits.max_envelope_bytes
            )
        return _through_wire(envelope) if self.strict else envelope

    def _admit_settlements(
        self, group: str, settlements: Sequence[Settlement]
    ) -> tuple[Sequence[Settlement], Collection[str]]:
        """As they may be applied, and the topics they send to; raises what refuses them all."""
        admitted = [
            self._admit_settlement(each) if each.outbox or each.dead is not None else each
            for each in settlements
        ]
        counts = _counts_of([sent for settlement in admitted for sent in settlement.outbox])
        self._check_room(counts)
        self._check_sizes(group, admitted)
        return admitted, counts.keys()

    def _admit_settlement(self, settlement: Settlement) -> Settlement:
        delivery, outbox, state, dead = settlement
        if dead is not None:
            dead = dead._replace(envelope=self._admit(dead.envelope))
        return Settlement(delivery, tuple([self._admit(sent) for sent in outbox]), state, dead)

    def _check_sizes(self, group: str, settlements: Sequence[Settlement]) -> None:
        size_bytes = 0
        for settlement in settlements:
            _, outbox, state, dead = settlement
            for write in state:
                check_value(write, group, self.limits.max_envelope_bytes)
            if outbox or state or dead is not None:
                size_bytes += size_of(settlement)
        if size_bytes <= self.limits.max_commit_bytes:
            return
        size_bytes = sum(size_of(settlement._replace(dead=None)) for settlement in settlements)
        if size_bytes > self.limits.max_commit_bytes:
            raise PayloadTooLargeError.of_commit(group, size_bytes, self.limits.max_commit_bytes)

    def _check_room(self, counts: Mapping[str, int]) -> Sequence[str]:
        """Refuse what does not fit, and return the topics that will be past their soft limit."""
        hard, soft = self.limits.max_backlog, self.limits.soft_backlog
        crowded: list[str] = []
        for topic, count in counts.items():
            log = self._logs.get(topic)
            if log is not None and len(log.entries) + count <= self._roomy:
                continue
            if not topic:
                if len(self._delayed) + count > hard:
                    raise BusFullError(
                        f"the guild holds its limit of {hard:,} delayed messages; nothing was "
                        "stored",
                        limit=hard,
                    )
            elif not is_ephemeral(topic):
                total = count + self._backlog(topic, count)
                if total > hard:
                    raise BusFullError.of_topic(topic, hard, self._lagging(topic))
                if total > soft:
                    crowded.append(topic)
        return crowded

    def _backlog(self, topic: str, count: int) -> int:
        log = self._logs.get(topic)
        if log is None:
            if (owner := owner_of(topic)) and owner not in self.groups:
                raise NobodyListensError(f"{topic} is {owner}'s own, which is not subscribed")
            return 0
        if len(log.entries) + count > self._roomy:
            log.make_room(count, self._roomy)
        return len(log.entries)

    def _lagging(self, topic: str) -> str:
        """The group that has not settled the topic's oldest entry, "" when none lags."""
        log = self._logs.get(topic)
        oldest = next(iter(log.owed), None) if log is not None else None
        groups = self._groups_and_partitions()
        return next((group.name for group in groups if oldest and group.owes(oldest)), "")

    def _put(self, envelope: Envelope) -> None:
        if envelope.delay_s > 0:
            due = self._clock.monotonic() + envelope.delay_s
            heapq.heappush(self._delayed, (due, next(self._numbers), envelope))
            return
        topic = envelope.topic
        log = self._logs.get(topic) or self._new_log(topic)
        if log is not None:
            # One object for every group: nobody can change it.
            self._last_ns = max(time.time_ns(), self._last_ns + 1)
            self._last_position = f"{self._last_ns:020d}"
            fields = (envelope, (topic, self._last_position), 0, "")
            log.append(tuple.__new__(Delivery, fields))  # half the time of calling the class

    def _new_log(self, topic: str) -> Log | EphemeralLog | None:
        """Where the first entry of a topic goes; None for an ephemeral one that nobody opened."""
        if is_ephemeral(topic):
            return self._ephemeral.find(topic, _now())
        log = self._logs[topic] = Log(self._groups_on(topic), self.limits.keep_unclaimed)
        return log

    def _tell_of_arrivals(self, topics: Iterable[str]) -> None:
        """Once for all that came to a topic in one step: each reader looks how much there is."""
        for topic in topics:
            if self.work.waiting and (log := self._logs.get(topic)) is not None:
                for group in log.groups:
                    self.work.fire(group.signal)
            if self.arrivals.waiting:
                self.arrivals.fire(topic)

    def _groups_on(self, topic: str) -> list[Group]:
        partition = partition_of(topic)
        if partition is None:
            return [group for group in self.groups.values() if group.fits(topic)]
        name, number = partition
        return [self.groups[name].partition(number)] if name in self.groups else []

    def _groups_and_partitions(self) -> Iterator[Group]:
        for whole in self.groups.values():
            yield whole
            yield from whole.partitions.values()

    def _settle(self, group: Group, incarnation: str, settlement: Settlement) -> None:
        delivery, outbox, _, dead = settlement
        for envelope in outbox:
            self._put(envelope)
        if dead is not None:
            self.letters.add(dead._replace(id=f"{next(self._numbers):020d}"))
        topic, position = delivery.place
        del group.held[incarnation][position]
        self._logs[topic].settle(position)

    def _tell_of_room(self, topic: str) -> None:
        if topic in self.room.waiting and not self.is_crowded(topic):
            self.room.fire(topic)


def _counts_of(envelopes: Iterable[Envelope]) -> Mapping[str, int]:
    """How many go to each topic; those that are held back count under ""."""
    counts: dict[str, int] = {}  # a Counter costs 1 µs more, for a single envelope too
    for envelope in envelopes:
        topic = "" if envelope.delay_s > 0 else envelope.topic
        counts[topic] = counts.get(topic, 0) + 1
    return counts


def _through_wire(envelope: Envelope) -> Envelope:
    header = encode_header(envelope)
    decoded = decode_header(header, envelope.topic, envelope.payload)
    return decoded._replace(delay_s=envelope.delay_s) if envelope.delay_s else decoded


def _topics_of(deliveries: Iterable[Delivery]) -> Iterator[str]:
    return (delivery.envelope.topic for delivery in deliveries)


def _keep_oldest(oldest: dict[str, str], deliveries: Iterable[Delivery]) -> None:
    """By topic, the first of these positions and of those that are there."""
    for delivery in deliveries:
        topic, position = delivery.place
        if position < oldest.get(topic, BEHIND_ALL):
            oldest[topic] = position


def _position(entry: Entry) -> str:
    return entry.position


def _now() -> float:
    return asyncio.get_running_loop().time()
