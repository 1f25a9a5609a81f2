"""The one task of a bus that watches its ephemeral topics: answers, emitted items, control."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from messaging.backend import FROM_START, LOSSES, Backend, Entry, Incident
from messaging.control.outages import Outages
from messaging.errors import BackendError, BackendUnavailableError
from messaging.process.logs import get_logger
from messaging.wire.envelope import Envelope, new_id
from messaging.wire.topic import CONTROL_TOPIC, reply_topic_of

log = get_logger()

TTL_S = 60.0
REOPEN_EVERY_S = 2.0  # a server whose clock is set ahead forgets them, and drops answers meanwhile
WAIT_S = 1.0
RECOVERY_S = 0.25
FAREWELL_S = 1.0
MOST_ENTRIES = 10_000
MOST_AT_ONCE = 512

EntryListener = Callable[[Entry], None]
RoundListener = Callable[[bool], None]


class Tail:
    """Reads all followed topics in one call and passes each entry to its listeners.

    Answers come last within a round: what a handler emitted is there before its answer.
    """

    def __init__(self, backend: Backend, client_id: str, outages: Outages) -> None:
        self.reply_topic = reply_topic_of(client_id)
        self._backend = backend
        self._outages = outages
        self._positions: dict[str, str] = {}
        self._listeners: dict[str, list[EntryListener]] = {}
        self._round_listeners: list[RoundListener] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._is_open = False
        self._is_due = asyncio.Event()
        self._has_lost = False
        backend.listen(self._hear)

    async def open(self) -> None:
        for topic in (self.reply_topic, CONTROL_TOPIC):
            await self._open_topic(topic)
            self._positions.setdefault(topic, FROM_START)
        self._is_open = True
        self._tasks = [
            asyncio.create_task(self._read(), name="tail"),
            asyncio.create_task(self._keep_alive(), name="tail-ttl"),
        ]

    async def close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(BackendError, TimeoutError):  # it expires by itself
            async with asyncio.timeout(FAREWELL_S):
                await self._backend.close_ephemeral(self.reply_topic)

    def listen(self, topic: str, listener: EntryListener) -> None:
        """Call `listener` with each entry of `topic`."""
        self._listeners.setdefault(topic, []).append(listener)

    def listen_to_rounds(self, listener: RoundListener) -> None:
        """Call `listener` after each round, with whether there may be more to read at once."""
        self._round_listeners.append(listener)

    async def follow(self, topic: str, listener: EntryListener) -> None:
        """Bring `topic` into being and pass on what comes from now on."""
        await self._open_topic(topic)
        self.listen(topic, listener)
        if topic not in self._positions:
            self._positions[topic] = FROM_START
            try:
                await self._nudge()
            except BaseException:
                await self.unfollow(topic, listener, close=False)  # it expires by itself
                raise

    async def unfollow(self, topic: str, listener: EntryListener, *, close: bool) -> None:
        """Stop calling `listener`; forget the topic when it was the last and `close` is set."""
        listeners = self._listeners.get(topic, [])
        listeners.remove(listener)
        if listeners:
            return
        del self._listeners[topic], self._positions[topic]
        if close:
            with suppress(BackendError):
                await self._backend.close_ephemeral(topic)

    async def _open_topic(self, topic: str) -> None:
        await self._backend.open_ephemeral(topic, ttl_s=TTL_S, max_entries=MOST_ENTRIES)

    async def _nudge(self) -> None:
        """End the current read, so that the next one sees what has changed."""
        nudge = Envelope(new_id(), "bus.nudge", 1, self.reply_topic, b"{}")
        await self._backend.emit([nudge])

    async def _read(self) -> None:
        while self._is_open:
            try:
                entries = await self._backend.tail(
                    dict(self._positions), max_count=MOST_AT_ONCE, wait_s=WAIT_S
                )
                self._pass_on(entries)
            except BackendUnavailableError as error:
                self._outages.warn("tail.unavailable", error)
                await self._recover()
            except Exception:  # whatever it was, without this task no answer would ever arrive
                log.exception("tail.failed")
                await self._recover()

    async def _recover(self) -> None:
        await asyncio.sleep(RECOVERY_S)
        await self._reopen()

    def _pass_on(self, entries: list[Entry]) -> None:
        answers = [entry for entry in entries if entry.envelope.topic == self.reply_topic]
        others = [entry for entry in entries if entry.envelope.topic != self.reply_topic]
        for entry in (*others, *answers):
            topic = entry.envelope.topic
            if topic in self._positions:
                self._positions[topic] = entry.position
            for listener in tuple(self._listeners.get(topic, ())):
                listener(entry)
        for round_listener in self._round_listeners:
            round_listener(len(entries) >= MOST_AT_ONCE)

    async def _keep_alive(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(REOPEN_EVERY_S):
                    await self._is_due.wait()
            self._is_due.clear()
            await self._reopen()

    def _hear(self, incident: Incident) -> None:
        """A server that has lost its data has lost our topics, and would drop the next answers."""
        if incident.event in LOSSES:
            self._has_lost = True
            self._is_due.set()

    async def _reopen(self) -> None:
        try:
            for topic in tuple(self._positions):
                await self._open_topic(topic)
            if self._has_lost:
                await self._begin_anew_where_lost()
                self._has_lost = False
        except BackendError:
            pass  # it is tried again soon
        except Exception:  # as above
            log.exception("tail.failed")

    async def _begin_anew_where_lost(self) -> None:
        """A server whose clock is behind that of the lost one counts from below what was read."""
        for topic, position in tuple(self._positions.items()):
            is_lost = position != FROM_START and not await self._holds(topic, position)
            if is_lost and self._positions.get(topic) == position:  # nothing was read meanwhile
                self._positions[topic] = FROM_START

    async def _holds(self, topic: str, position: str) -> bool:
        before = self._backend.just_before(position)
        found = await self._backend.tail({topic: before}, max_count=1, wait_s=0.0)
        return bool(found) and found[0].position == position
