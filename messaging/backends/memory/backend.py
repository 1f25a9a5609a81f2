"""The backend of `memory` and `memory://name`: every promise but survival."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from messaging.backend import (
    FROM_START,
    NEVER_ALONE,
    DeadLetter,
    Delivery,
    Entry,
    Incident,
    Settlement,
    StateKey,
    StateValue,
    StateWrite,
    Take,
    TopicInfo,
)
from messaging.backends.memory import shared
from messaging.backends.memory.group import Group
from messaging.backends.memory.positions import just_before
from messaging.backends.memory.store import Limits, Store
from messaging.errors import BusClosedError, BusForkedError
from messaging.process.clock import SYSTEM, Clock
from messaging.process.forks import keep_from_children
from messaging.wire.envelope import Envelope

MAX_BACKLOG = 250_000
MAX_ENVELOPE_BYTES = 4 * 1024 * 1024
MAX_COMMIT_BYTES = 32 * 1024 * 1024
KEEP_UNCLAIMED = 10_000


class MemoryBackend:
    """Keeps everything in this process, for as long as a backend on it is open.

    Args:
        name: backends of one guild with the same name share what they store; "" shares nothing.
        strict: send every message through its header and JSON, as a server would; for tests.
        max_backlog: entries per topic, delayed entries and dead letters, each.
        soft_backlog: entries of a topic from which on publishers wait for agents to catch up; None
            for three quarters of `max_backlog`.
        soft_wait_s: how long each of them waits at most.
        max_envelope_bytes: cap on a payload, and on a value of an agent's state.
        max_commit_bytes: cap on what one commit sends and writes; what travels by reference is not
            counted.
        keep_settled_s: for how long trimming leaves settled entries, to be replayed.
        keep_unclaimed: settled entries per topic that stay for observers.
        clock: by which messages are held back; of those that share a store the first one's.

    A message is handed over by reference where that comes to the same as writing and reading it;
    see `messaging.wire.fidelity`. Any other is encoded when it is accepted, so that nobody can
    change what others are going to read, and nothing arrives here that would not arrive from a
    server.
    """

    profile = "ephemeral"

    def __init__(
        self,
        guild_id: str,
        *,
        name: str = "",
        strict: bool = False,
        max_backlog: int = MAX_BACKLOG,
        soft_backlog: int | None = None,
        soft_wait_s: float = 1.0,
        max_envelope_bytes: int = MAX_ENVELOPE_BYTES,
        max_commit_bytes: int = MAX_COMMIT_BYTES,
        keep_unclaimed: int = KEEP_UNCLAIMED,
        keep_settled_s: float = 0.0,
        clock: Clock = SYSTEM,
    ) -> None:
        self.by_reference = not strict
        self.clock = clock
        self._key = (guild_id, name) if name else None
        soft = max_backlog - max_backlog // 4 if soft_backlog is None else soft_backlog
        self._limits = Limits(
            max_backlog,
            soft,
            soft_wait_s,
            max_envelope_bytes,
            keep_unclaimed,
            keep_settled_s,
            max_commit_bytes,
        )
        self._listeners: list[Callable[[Incident], None]] = []
        self._opened: Store | None = None
        self._accepted: Awaitable[None]
        self._is_forked = False

    @property
    def max_value_bytes(self) -> int:
        return self._limits.max_envelope_bytes

    async def open(self) -> None:
        """Begin to use the store.

        Raises:
            BackendSetupError: it is in use by the event loop of another thread.
            BusForkedError: it was open in the process from which this one was forked.
        """
        if self._opened is None:
            if self._is_forked:
                raise BusForkedError
            self._opened = shared.acquire(self._key, self._new_store)
            self._accepted = _done()
            keep_from_children(self)
            self._opened.listeners.append(self._announce)

    async def close(self) -> None:
        store, self._opened = self._opened, None
        if store is not None:
            store.listeners.remove(self._announce)
            store.room.fire_all()  # ours go: what they published is stored
            shared.release(self._key, store)

    def listen(self, listener: Callable[[Incident], None]) -> None:
        self._listeners.append(listener)

    # -- groups ----------------------------------------------------------------------------------

    async def subscribe(self, group: str, patterns: Sequence[str]) -> None:
        self._store.subscribe(group, patterns)

    async def unsubscribe(self, group: str) -> None:
        self._store.unsubscribe(group)

    async def groups(self) -> Mapping[str, Sequence[str]]:
        return {name: group.patterns for name, group in self._store.groups.items()}

    async def set_paused(self, group: str, is_paused: bool) -> None:
        (self._store.paused.add if is_paused else self._store.paused.discard)(group)

    async def paused(self) -> Sequence[str]:
        return tuple(self._store.paused)

    async def join(self, group: str, partition: int | None = None) -> "MemoryConsumer":
        if group not in self._store.groups:
            raise ValueError(f"{group} is not subscribed: subscribe it before a consumer joins")
        whole = self._store.groups[group]
        return MemoryConsumer(
            self._store, whole if partition is None else whole.partition(partition)
        )

    async def consumers(self, group: str) -> Mapping[str, int]:
        subscribed = self._store.groups.get(group)
        return dict(subscribed.beats) if subscribed else {}

    async def load_state(self, group: str, key: str) -> StateValue | None:
        subscribed = self._store.groups.get(group)
        return subscribed.state.get(key) if subscribed else None

    async def state_keys(
        self, group: str, *, after: str = FROM_START, max_count: int = 100
    ) -> tuple[list[StateKey], str]:
        subscribed = self._store.groups.get(group)
        state = subscribed.state if subscribed else {}
        behind = sorted(key for key in state if key > after)
        page = [StateKey(key, state[key].version, len(state[key].value)) for key in behind]
        return page[:max_count], behind[max_count - 1] if len(behind) > max_count else FROM_START

    # -- entries ---------------------------------------------------------------------------------

    def append(self, envelopes: Sequence[Envelope]) -> Awaitable[None]:
        store = self._opened if self._opened is not None else self._store
        if crowded := store.accept(envelopes):
            return self._wait_for_room(store, crowded)
        return self._accepted

    async def append_once(self, envelope: Envelope) -> None:
        store = self._store
        if crowded := store.accept_once(envelope):
            await self._wait_for_room(store, crowded)

    async def release_due(self, max_count: int = 256) -> float | None:
        return self._store.release_due(max_count)

    async def trim(self) -> int:
        return self._store.trim()

    async def topics(self) -> list[TopicInfo]:
        return self._store.topics()

    # -- observers -------------------------------------------------------------------------------

    async def open_ephemeral(self, topic: str, *, ttl_s: float, max_entries: int) -> None:
        self._store.open_ephemeral(topic, ttl_s, max_entries)

    async def close_ephemeral(self, topic: str) -> None:
        self._store.close_ephemeral(topic)

    async def emit(self, envelopes: Sequence[Envelope]) -> None:
        self._store.accept(envelopes)

    async def tail(self, after: Mapping[str, str], *, max_count: int, wait_s: float) -> list[Entry]:
        store = self._store
        after = {topic: store.resolve(position) for topic, position in after.items()}
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + wait_s
        while True:
            entries = store.since(after, max_count)
            left_s = give_up_at - loop.time()
            if entries or left_s <= 0:
                return entries
            await store.arrivals.wait(after, left_s)

    async def time(self) -> float:
        return self._store.time()

    async def positions_at(self, topics: Collection[str], at: float) -> Mapping[str, str]:
        return self._store.positions_at(topics, at)

    def just_before(self, position: str) -> str:
        return just_before(position)

    # -- dead letters ----------------------------------------------------------------------------

    async def dead_letters(
        self, *, group: str | None = None, after: str = FROM_START, max_count: int = 100
    ) -> list[DeadLetter]:
        return self._store.letters.list(group, after, max_count)

    async def count_dead_letters(self) -> int:
        return len(self._store.letters)

    async def dead_letter(self, dead_letter_id: str) -> DeadLetter | None:
        return self._store.letters.get(dead_letter_id)

    async def requeue(
        self, dead_letter_id: str, envelope: Envelope, *, history: bytes = b""
    ) -> bool:
        """As promised; raises NobodyListensError while the letter's group is not subscribed."""
        return self._store.requeue(dead_letter_id, envelope, history)

    async def drop(self, dead_letter_id: str) -> bool:
        return self._store.drop_letter(dead_letter_id)

    # -- inside ----------------------------------------------------------------------------------

    def forked(self) -> None:
        """Called in a child: what the store holds is the parent's, and nothing here reaches it."""
        self._opened, self._is_forked = None, True

    @property
    def _store(self) -> Store:
        if self._opened is None:
            if self._is_forked:
                raise BusForkedError
            raise BusClosedError("the memory backend is not open: open() it first")
        return self._opened

    async def _wait_for_room(self, store: Store, topics: Sequence[str]) -> None:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + store.limits.soft_wait_s
        for topic in topics:
            while self._opened is store and store.is_crowded(topic):
                left_s = give_up_at - loop.time()
                if left_s <= 0:
                    return
                await store.room.wait((topic,), left_s)

    def _new_store(self) -> Store:
        return Store(self._limits, strict=not self.by_reference, clock=self.clock)

    def _announce(self, incident: Incident) -> None:
        for listener in self._listeners:
            listener(incident)


class MemoryConsumer:
    """One incarnation of one replica of a group, or of a partition of it, in this process."""

    def __init__(self, store: Store, group: Group) -> None:
        self.incarnation = group.join()
        self._store = store
        self._group = group
        self._is_roused = False

    @property
    def group(self) -> str:
        return self._group.name

    async def read(
        self,
        max_count: int,
        wait_s: float,
        take: Take | None = None,  # noqa: ARG002 - what is lent is returned
    ) -> list[Delivery]:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + wait_s
        while True:
            deliveries = self._group.lend(self.incarnation, max_count)
            left_s = give_up_at - loop.time()
            if deliveries or left_s <= 0 or self._is_roused:
                self._is_roused = False
                return deliveries
            await self._store.work.wait((self._group.signal,), left_s)

    def rouse(self) -> None:
        self._is_roused = True
        self._store.work.fire(self._group.signal)

    async def commit(self, settlements: Sequence[Settlement]) -> list[int]:
        return self._store.commit(self._group, self.incarnation, settlements)

    async def journal(self, write: StateWrite) -> int:
        return self._store.journal(self._group, self.incarnation, write)

    async def take_turn(self, message_id: str, keys: Sequence[str]) -> bool:
        self._group.check_fence(self.incarnation)
        return self._group.turns.take((self.incarnation, message_id), keys)

    async def end_turn(self, message_id: str, keys: Sequence[str]) -> None:
        self._group.check_fence(self.incarnation)
        self._group.turns.leave((self.incarnation, message_id), keys)

    async def beat(self) -> Mapping[str, int]:
        self._group.check_fence(self.incarnation)
        return self._group.beat(self.incarnation)

    async def take_over(
        self, incarnation: str, max_count: int, *, alone_from: int = NEVER_ALONE
    ) -> list[Delivery]:
        """As promised; raises FencedError when this consumer was taken over itself."""
        self._group.check_fence(self.incarnation)
        assert incarnation != self.incarnation, "a consumer cannot take itself over"
        lent = self._group.take_over(incarnation, self.incarnation, max_count, alone_from)
        self._store.work.fire(self._group.signal)  # its reader learns of the fence at once
        return lent

    async def lead(self) -> bool:
        self._group.check_fence(self.incarnation)
        return self._group.lead(self.incarnation)

    async def inherit(self, max_count: int) -> list[Delivery]:
        self._group.check_fence(self.incarnation)
        return self._group.inherit(self.incarnation, max_count)

    def abandon(self) -> None: ...

    async def leave(self, unhandled: Sequence[Delivery]) -> None:
        self._group.leave(self.incarnation, unhandled)
        self._store.work.fire(self._group.signal)


def _done() -> asyncio.Future[None]:
    """What was accepted is accepted: one future, done already, says so of all messages."""
    done = asyncio.get_running_loop().create_future()
    done.set_result(None)
    return done
