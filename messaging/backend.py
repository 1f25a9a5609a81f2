"""What the bus asks of a store. Every promise here is tested against every implementation.

Words: a *group* is one agent; each group gets its own copy of what is published to the topics
it subscribed to. A *consumer* is one incarnation of one replica of a group: it has a name that
is never used again, and it shares the group's work with the other replicas. A *partition* is a
share of a group's work that comes by a topic of its own, see `messaging.consuming.partitions`: its
consumers share that only with each other. What is said of a group below holds for a partition as
well, except that the state belongs to the whole group.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from messaging.process.clock import Clock
from messaging.wire.envelope import Envelope

PROFILES = {
    "ephemeral": "messages live as long as the server that holds them",
    "standard": "a crash loses nothing, loss of power the last second or two",
    "durable": "what was accepted is on the disk, and on the replicas where there are any",
}
"""What a crash may cost."""

FROM_START = ""
FROM_NOW = "$"
NEVER_ALONE = 1_000_000_000
ANY_VERSION = -1
RESERVED_PREFIX = "_bus."
TURN_S = 300.0
"""How long a turn at a key of the state lasts at most, if its consumer neither uses nor ends it."""
STEPS_PREFIX = f"{RESERVED_PREFIX}steps."
HISTORY_PREFIX = f"{RESERVED_PREFIX}attempts."
STARTS_PREFIX = f"{RESERVED_PREFIX}starts."
UNREAD_PREFIX = f"{RESERVED_PREFIX}unread."


def steps_key(message_id: str) -> str:
    """Key, in the state of the group, of the journal of finished steps of one message."""
    return STEPS_PREFIX + message_id


def history_key(message_id: str) -> str:
    """Key, in the state of the group, of how earlier attempts at one message ended."""
    return HISTORY_PREFIX + message_id


def starts_key(message_id: str) -> str:
    """Key, in the state of the group, of how often one message was begun after a takeover."""
    return STARTS_PREFIX + message_id


def unread_key(message_id: str) -> str:
    """Key, in the group's state, of how long a message was left to replicas that can read it."""
    return UNREAD_PREFIX + message_id


Place = tuple[str, str]
"""Topic and position: where an entry lies."""


class Delivery(NamedTuple):
    """One envelope lent to one consumer.

    Attributes:
        place: topic and position: where the entry lies. What is held, and what is settled, is
            known by it. The position is opaque, and increases within the topic.
        redelivery_count: how often it was lent before; above 0 only after a takeover.
        fault: why the entry must not be handled, "" when it may. An entry that could not be
            decoded has an envelope with the topic, what is left of the payload, and `type` "";
            one that is past the cap has its own envelope.
    """

    envelope: Envelope
    place: Place
    redelivery_count: int = 0
    fault: str = ""

    @property
    def position(self) -> str:
        return self.place[1]


class StateWrite(NamedTuple):
    """One value of a group's state, written only over the version that was read.

    `expected_version` 0 means that the key must be absent, `ANY_VERSION` that nothing was read and
    whatever is there is written over; `value` None deletes it.
    """

    key: str
    value: bytes | None
    expected_version: int


class StateValue(NamedTuple):
    """A stored value and the version to expect when writing over it (1 and up)."""

    value: bytes
    version: int


class StateKey(NamedTuple):
    """A key of a group's state; `revision` counts its writes, and is what a commit expects."""

    key: str
    revision: int
    size_bytes: int


class DeadLetter(NamedTuple):
    """A message that its group gave up on, with why.

    Attributes:
        id: id of the dead letter itself, set by the backend; "" before it is stored.
        envelope: as it was when handling was given up; `published_to` names its origin.
        group: who gave up; a requeue goes to this group alone.
        reason: JSON of `messaging.handling.failure_record.Reason`: cause, traceback, attempts.
        at: unix seconds.
    """

    envelope: Envelope
    group: str
    reason: bytes
    at: float
    id: str = ""


class Settlement(NamedTuple):
    """What handling one delivery came to: it leaves in one atomic step or not at all."""

    delivery: Delivery
    outbox: tuple[Envelope, ...] = ()
    state: tuple[StateWrite, ...] = ()
    dead: DeadLetter | None = None


class Entry(NamedTuple):
    """An envelope that an observer has read; it need not be settled."""

    position: str
    envelope: Envelope


class TopicInfo(NamedTuple):
    """How much lies in a topic, by group: `waiting` was not lent yet, `pending` not settled.

    Attributes:
        oldest_s: for how many seconds the oldest entry that a group has not settled has been in the
            topic, by the store's clock; only groups that have such an entry. A retry counts from
            when it came to the topic of the group's retries.
    """

    topic: str
    entries: int
    waiting: Mapping[str, int]
    pending: Mapping[str, int]
    oldest_s: Mapping[str, float]


SERVER_AWAY, SERVER_BACK = "bus.server_away", "bus.server_back"
"""Incidents: the store is away for a second or more, told once; and it is back."""

LOSSES = frozenset({"bus.data_lost", "bus.data_outdated", "bus.commits_lost"})
"""Incidents: the store has forgotten what it had."""


class Incident(NamedTuple):
    """Something an operator must hear of: a lost group, a reconnect, an eviction.

    Attributes:
        group: of a `dead_letter`, the group that gave up on the message `message_id`.
    """

    event: str
    text: str
    group: str = ""
    message_id: str = ""


Take = Callable[[list[Delivery]], None]
"""Takes what a consumer was lent; it must not raise."""


class Consumer(Protocol):
    """One incarnation of one replica of a group."""

    @property
    def group(self) -> str: ...

    @property
    def incarnation(self) -> str:
        """A name that no consumer ever has again."""
        ...

    async def read(self, max_count: int, wait_s: float, take: Take | None = None) -> list[Delivery]:
        """Lend up to `max_count` envelopes that no consumer of the group was lent yet.

        Waits up to `wait_s` for the first one; an empty list means there was none. Includes topics
        that came into being after the group subscribed to a pattern that fits them, and the
        group's own retries. Within a topic, first deliveries come in order of acceptance.
        Must not be cancelled while it waits: use a short `wait_s`, or `rouse`.

        What comes while it waits may be handed to `take` the moment it is there, a turn of the loop
        before the caller could see it. Then the list is empty.

        Raises:
            FencedError: this consumer was taken over.
        """
        ...

    def rouse(self) -> None:
        """Have a `read` that waits return now, with what is there; or else the next one that would
        wait. For a caller that needs its reader back, because a read must not be cancelled.
        """
        ...

    def commit(self, settlements: Sequence[Settlement]) -> Awaitable[list[int]]:
        """Settle a batch: outboxes appended, state written, dead letters stored, inputs
        acknowledged, all in one step. It may be on its way before it is awaited.

        Returns the indices of settlements that wrote nothing because a state version had moved
        on, or because it is another consumer's turn at a key that they write (see `take_turn`);
        their deliveries stay lent to this consumer. All others are applied. Each, also one that
        wrote nothing, ends the turns that this consumer had at the keys that it writes. A commit
        whose answer was lost is sent again by the backend and is applied once. Outbox envelopes to
        an ephemeral topic that is not open are dropped.

        Raises:
            FencedError: this consumer was taken over; nothing was written.
            NotHeldError: the caller settles what this consumer does not hold, as after an earlier
                commit of it; nothing was written.
            PayloadTooLargeError: an outbox envelope or a value of the state is past the cap, or all
                together is past that of a commit; nothing was written.
            BusFullError: an output topic is at its hard limit; nothing was written.
            BackendUnavailableError: the store stayed away past the deadline; whether the commit was
                applied is not known, and the consumer must not be used again.
        """
        ...

    async def journal(self, write: StateWrite) -> int:
        """Write one value of the group's state now, apart from any commit, and return its version.

        Returns once the profile's promise holds for it. A write whose answer was lost is sent
        again by the backend and is applied once.

        Raises:
            FencedError: this consumer was taken over; nothing was written.
            StateConflictError: the key has another version; nothing was written.
            PayloadTooLargeError: the value is past the cap; nothing was written.
            BackendUnavailableError: the store stayed away past the deadline.
        """
        ...

    async def take_turn(self, message_id: str, keys: Sequence[str]) -> bool:
        """Queue, for the handling of a message, for the turn at all of these keys of the group's
        state; whether it has come.

        To be asked again until it has. From then on commits of other consumers that write one of
        the keys are left out, until a commit of this consumer writes it or the turn is ended;
        then it is the turn of the handling that has queued longest. Those that queue for several
        keys never wait for each other in a circle: the call takes its place in all the queues in
        one step, and gives up the place in some of them when it was not in all. A turn ends with
        its consumer, and at the latest after `TURN_S`.

        Raises:
            FencedError: this consumer was taken over.
        """
        ...

    async def end_turn(self, message_id: str, keys: Sequence[str]) -> None:
        """Leave the queues for these keys; nothing happens to a handling that is in none.

        Raises:
            FencedError: this consumer was taken over.
        """
        ...

    def beat(self) -> Awaitable[Mapping[str, int]]:
        """Say that this consumer lives, and return every incarnation of the group with its count
        of beats; -1 for one that still holds deliveries without being registered. To be awaited.

        Raises:
            FencedError: this consumer was taken over.
        """
        ...

    async def take_over(
        self, incarnation: str, max_count: int, *, alone_from: int = NEVER_ALONE
    ) -> list[Delivery]:
        """Make `incarnation` powerless, then lend what it held to this consumer.

        From the first call on, whatever `incarnation` commits is refused as a whole. Returns at
        most `max_count`; call again until the list is empty. What was handed out `alone_from`
        times or more comes alone: nothing else is lent by the call that lends it.
        """
        ...

    async def lead(self) -> bool:
        """Be the one consumer of the group that reads, where the group asks for order.

        True once this consumer is it, which lasts until it leaves or is taken over: at no time do
        two that could both commit lead. False while another consumer leads. The store lets every
        consumer read, so one that does not lead must not.

        Raises:
            FencedError: this consumer was taken over.
        """
        ...

    async def inherit(self, max_count: int) -> list[Delivery]:
        """Lend what consumers that are gone had not settled, and what was given back.

        Within a topic the oldest comes first. Returns at most `max_count`; call again until the
        list is empty. For the leader, before it reads.

        Raises:
            FencedError: this consumer was taken over.
        """
        ...

    def abandon(self) -> None:
        """Be asked nothing more. What is still lent waits for a takeover, unless it has left."""
        ...

    async def leave(self, unhandled: Sequence[Delivery]) -> None:
        """Give back what was lent and not handled, in order, then forget this consumer.

        What is given back counts as never handed out.
        """
        ...


class Backend(Protocol):
    """Stores envelopes by topic and lends each one to a single consumer of every group."""

    @property
    def profile(self) -> str:
        """What a crash may cost: `ephemeral`, `standard` or `durable`, see `PROFILES`."""
        ...

    @property
    def by_reference(self) -> bool:
        """Whether `Envelope.message` is handed over as it is, where that comes to the same.

        The payload stays empty then. What a handler gets never depends on it.
        """
        ...

    @property
    def clock(self) -> Clock:
        """By which this process tells deadlines, times to come and retries that it holds itself.

        Delays are held back by the store's own clock.
        """
        ...

    @property
    def max_value_bytes(self) -> int:
        """How long a value of a group's state may be."""
        ...

    async def open(self) -> None:
        """Connect and check that the server can keep the profile.

        Raises:
            BackendUnavailableError: there is no server; says what to start or install.
            BackendSetupError: it evicts, is too old, or lacks persistence that was asked for.
        """
        ...

    async def close(self) -> None:
        """Release every connection. Calling it again does nothing."""
        ...

    def listen(self, listener: Callable[[Incident], None]) -> None:
        """Call `listener` with each incident from now on."""
        ...

    async def subscribe(self, group: str, patterns: Sequence[str]) -> None:
        """Hand `group` everything that is published from now on to topics these patterns fit.

        Replaces the patterns of an earlier call. A topic that already exists is delivered from its
        next entry on; one that comes into being later is delivered from its first. What the group
        was owed before stays owed.
        """
        ...

    async def unsubscribe(self, group: str) -> None:
        """Owe `group` nothing any more: its copies, retries and state are gone for good."""
        ...

    async def groups(self) -> Mapping[str, Sequence[str]]:
        """Every subscribed group and its patterns."""
        ...

    def append(self, envelopes: Sequence[Envelope]) -> Awaitable[None]:
        """Accept `envelopes` in order, each with its `delay_s`; all of them or, on an error, none
        per topic. Returns once the profile's promise holds for them. A batch whose answer was
        lost is sent again by the backend and stored once.

        Where a topic is past its soft limit by then, because a group lags, it returns when that
        has caught up, at the latest after `soft_wait_s`. What was appended lies in the topic
        meanwhile, also when the caller is cancelled, or let go by `close`.
        Commits never wait.

        Raises:
            BusFullError: a topic is at its hard limit; names the topic and the group that lags.
            PayloadTooLargeError: one is past the cap; nothing was stored.
            NobodyListensError: a topic is a group's own, and that is not subscribed.
            BackendUnavailableError: the store stayed away past the deadline.
        """
        ...

    async def set_paused(self, group: str, is_paused: bool) -> None:
        """Mark `group` as paused, so that its messages are not handled, or unmark it.

        It survives whatever the profile says messages survive. The store goes on lending: replicas
        have to look at `paused`.
        """
        ...

    async def paused(self) -> Sequence[str]:
        """The groups that are paused."""
        ...

    async def join(self, group: str, partition: int | None = None) -> Consumer:
        """A new consumer of `group`, which must be subscribed, or of one of its partitions.

        A partition comes into being with its first consumer or its first entry, and goes with the
        group. Its entries are the group's alone, and only its own consumers are lent them.
        """
        ...

    async def append_once(self, envelope: Envelope) -> None:
        """Store `envelope`, unless this has stored one of the same id within the last day.

        For callers that cannot know whether an earlier call, also of another process, succeeded.

        Raises:
            NotAskedError: it is a request, and what was stored is not.
            PayloadTooLargeError, BusFullError, BackendUnavailableError: as `append`.
        """
        ...

    async def release_due(self, max_count: int = 256) -> float | None:
        """Move delayed envelopes whose time has come to their topics.

        Each is moved exactly once however many call this. Returns the seconds until the next is
        due; None when none waits.
        """
        ...

    async def trim(self) -> int:
        """Drop entries that every group of their topic has settled; never one that is owed.

        Returns how many. Topics without a group keep their last entries up to a bound.
        """
        ...

    async def open_ephemeral(self, topic: str, *, ttl_s: float, max_entries: int) -> None:
        """Bring an ephemeral topic into being, or make it live `ttl_s` from now again."""
        ...

    async def close_ephemeral(self, topic: str) -> None:
        """Forget an ephemeral topic."""
        ...

    async def emit(self, envelopes: Sequence[Envelope]) -> None:
        """Append to ephemeral topics, at most once; dropped where a topic is not open."""
        ...

    async def tail(self, after: Mapping[str, str], *, max_count: int, wait_s: float) -> list[Entry]:
        """Entries of these topics behind the given positions, without lending them.

        `FROM_START` and `FROM_NOW` are positions too. Waits up to `wait_s` for the first one.
        """
        ...

    async def time(self) -> float:
        """Unix seconds by the store's own clock, which need not agree with that of any client."""
        ...

    async def positions_at(self, topics: Collection[str], at: float) -> Mapping[str, str]:
        """By topic, a position behind which lies everything that came to it from `at` on.

        What is older lies behind it only where the store cannot tell: of the same millisecond, or
        accepted before its clock was set back. It is `FROM_START` for a topic that is not there.

        Args:
            topics: ephemeral ones, too.
            at: unix seconds by the store's clock, see `time`.
        """
        ...

    def just_before(self, position: str) -> str:
        """The position behind which the entry at `position` comes first, if it is still there.

        Raises:
            ValueError: this is no position of an entry of this backend.
        """
        ...

    async def topics(self) -> list[TopicInfo]:
        """Every topic that is not ephemeral, by name."""
        ...

    async def consumers(self, group: str) -> Mapping[str, int]:
        """Every registered incarnation of `group` with its count of beats, for observers.

        One that died stays until another takes it over, but its count stands still.
        """
        ...

    async def load_state(self, group: str, key: str) -> StateValue | None:
        """The latest committed value."""
        ...

    async def state_keys(
        self, group: str, *, after: str = FROM_START, max_count: int = 100
    ) -> tuple[list[StateKey], str]:
        """A page of the keys of the group's state, and after what to ask for the next.

        A page holds about `max_count` keys, in no order; there are no more when `FROM_START` comes
        back. Over all pages each key that is there all the while comes at least once.
        """
        ...

    async def dead_letters(
        self, *, group: str | None = None, after: str = FROM_START, max_count: int = 100
    ) -> list[DeadLetter]:
        """Dead letters in order of their death, behind the id `after`."""
        ...

    async def count_dead_letters(self) -> int:
        """How many there are, of all groups; reads none of them."""
        ...

    async def dead_letter(self, dead_letter_id: str) -> DeadLetter | None: ...

    async def requeue(
        self, dead_letter_id: str, envelope: Envelope, *, history: bytes = b""
    ) -> bool:
        """Hand `envelope` to the dead letter's group alone and drop the letter, in one step.

        `history`, unless empty, becomes the group's state under `history_key` of the message. False
        when the letter is gone already; then nothing was stored.

        Raises:
            NobodyListensError: the group is not subscribed; nothing was stored.
            PayloadTooLargeError: the envelope is past the cap; nothing was stored.
        """
        ...

    async def drop(self, dead_letter_id: str) -> bool:
        """Forget a dead letter and the steps of its message; False when it was gone already."""
        ...
