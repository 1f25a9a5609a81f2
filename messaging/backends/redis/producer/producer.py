"""Appending: what is queued in one tick goes out as one batch per topic, two ticks at a time.
A batch that is full does not wait for either, nor does a message that comes alone, as several
before it did.

Each batch carries this producer's sequence on its topic, so a batch that is sent twice is stored
once. When anything but success comes back, sending stops, and the unsettled batches are settled
in order, one at a time; then it goes on. A server that comes back without what it had accepted
last is sent that again first.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Protocol

from messaging.backends.redis.connection.pipeline import ConnectionLostError, Pipeline
from messaging.backends.redis.entries import pack_entry
from messaging.backends.redis.producer.backpressure import Backpressure
from messaging.backends.redis.producer.batch import (
    BATCH_BYTES,
    BATCH_ENTRIES,
    REMEMBERED_S,
    AppendCall,
    Batch,
    ResendBuffer,
    missing_text,
)
from messaging.backends.redis.registry.registry import TopicRegistry
from messaging.backends.redis.server import Server
from messaging.backends.redis.upkeep import Trimmed, trim_topic
from messaging.errors import BusClosedError, BusFullError, NotAskedError
from messaging.wire.envelope import Envelope, new_id
from messaging.wire.topic import is_ephemeral, is_reply_topic

MOST_IN_FLIGHT = 2
LONE_FLUSHES = 8  # fewer would tear apart what many publish together

_topic_of = attrgetter("topic")  # applied by `map`: no call for each batch

_ABSENT, _FULL, _GAP, _DELAYS_FULL = -1, -2, -3, -4


class Append(Protocol):
    """See `Backend.append`."""

    def __call__(self, envelopes: Sequence[Envelope]) -> Awaitable[None]: ...


class Producer:
    """Appends for one process, as one producer.

    Args:
        emit: takes what goes to ephemeral topics, which keep no promise.
    """

    def __init__(
        self,
        server: Server,
        registry: TopicRegistry,
        emit: Callable[[Sequence[Envelope]], Awaitable[None]],
    ) -> None:
        self._server = server
        self._registry = registry
        self._emit = emit
        self._connection = server.connection
        self._loop = asyncio.get_running_loop()
        self._limit_bytes = server.options.max_envelope_bytes
        self._queued: list[Batch] = []
        self._open: dict[str, Batch] = {}  # of those that are queued, the last one of each topic
        self._unsettled: list[Batch] = []
        self._batches_in_flight = 0
        self._is_flush_due = False
        self._lone_flushes = 0  # in a row
        self._is_grounded = asyncio.Event()
        self._settling: asyncio.Task[None] | None = None
        self._is_closed = False
        self._backpressure = Backpressure(server)
        self._resend_buffer = ResendBuffer(server.keys)
        self._call = AppendCall(server)
        self._command = self._call.packed
        self._producer, self._last = new_id(), dict[str, int]()
        server.on_back.append(self._look_what_is_forgotten)
        registry.on_lost.append(self._forget)

    def append(self, envelopes: Sequence[Envelope]) -> Awaitable[None]:
        """See `Backend.append`; everything is queued when this returns."""
        if self._is_closed:
            raise BusClosedError("the bus is closed")
        if self._server.replication is not None:
            return self._append_with_care(envelopes)
        for envelope in envelopes:
            if envelope.topic.startswith("_"):
                return self._append_with_care(envelopes)
        return self._append(envelopes)

    async def _append_with_care(self, envelopes: Sequence[Envelope]) -> None:
        """What is not to be kept, or is to be confirmed by others besides."""
        if any(is_ephemeral(envelope.topic) for envelope in envelopes):
            await self._emit([e for e in envelopes if is_ephemeral(e.topic)])
            envelopes = [envelope for envelope in envelopes if not is_ephemeral(envelope.topic)]
        if envelopes:
            await self._append(envelopes)
            if self._server.replication is not None:
                await self._server.replication.require()

    def _append(self, envelopes: Sequence[Envelope]) -> Awaitable[None]:
        limit = self._limit_bytes
        if len(envelopes) == 1:  # one message, one call: the way of nearly everything
            (envelope,) = envelopes
            entry = (*pack_entry(envelope, limit), envelope.delay_s)
            return self._queue(envelope.topic, (entry,))
        entries = [(*pack_entry(envelope, limit), envelope.delay_s) for envelope in envelopes]
        by_topic: dict[str, list[tuple[bytes, bytes, float]]] = {}
        for envelope, entry in zip(envelopes, entries, strict=True):
            by_topic.setdefault(envelope.topic, []).append(entry)
        stored = [self._queue(topic, entries) for topic, entries in by_topic.items()]
        return stored[0] if len(stored) == 1 else self._all_of(stored)

    async def _all_of(self, stored: Sequence[asyncio.Future[None]]) -> None:
        for outcome in await asyncio.gather(*stored, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def append_once(self, envelope: Envelope) -> None:
        """See `Backend.append_once`: each message is its own producer, of one message."""
        header, payload = pack_entry(envelope, self._server.options.max_envelope_bytes)
        batch = Batch(envelope.topic, self._server.connection.deadline())
        batch.add(((header, payload, envelope.delay_s),))
        is_asked = is_reply_topic(envelope.reply_to)
        batch.producer, batch.is_once = f"once.{envelope.id}", True
        batch.first, batch.last, batch.reached = 1, 1, 1 if is_asked else 2
        stored = self._loop.create_future()
        batch.callers.append(stored)
        while True:
            try:
                length = await self._store(batch)
                break
            except ConnectionLostError:
                await self._server.connection.connected(batch.give_up_at)
        if is_asked:
            await self._expect_asked(envelope, batch)
        self._accepted(batch, length)
        await stored

    async def _expect_asked(self, envelope: Envelope, batch: Batch) -> None:
        keys = self._server.keys
        producer, stream = keys.producer(batch.producer), keys.stream(batch.topic)
        reached = await self._server.connection.call("HGET", producer, stream)
        if reached is not None and int(reached) > batch.reached:
            raise NotAskedError(envelope.type, envelope.id, envelope.topic)

    async def close(self) -> None:
        """Fail what was not stored yet."""
        self._is_closed = True
        if self._settling is not None:
            self._settling.cancel()
            await asyncio.gather(self._settling, return_exceptions=True)
        await self._backpressure.close()
        for batch in (*self._unsettled, *self._queued):
            batch.settle(BusClosedError("the bus was closed before this was stored"))

    def _queue(
        self, topic: str, entries: Sequence[tuple[bytes, bytes, float]]
    ) -> asyncio.Future[None]:
        """Put the entries into one batch of their topic; the future is done once it is stored."""
        batch = self._open.get(topic)
        if batch is None or (
            batch.count + len(entries) > BATCH_ENTRIES or batch.size_bytes >= BATCH_BYTES
        ):
            if batch is not None:
                self._flush()  # the server stores what is full meanwhile
            give_up_at = self._loop.time() + self._server.options.give_up_after_s
            batch = self._open[topic] = Batch(topic, give_up_at)
            self._queued.append(batch)
        batch.add(entries)
        # Each caller waits for a future of its own: a cancelled caller cancels what it waits for,
        # and to shield one that all share costs half as much again.
        stored = self._loop.create_future()
        batch.callers.append(stored)
        if not self._is_flush_due:
            self._flush_soon()
        return stored

    def _flush_soon(self) -> None:
        if self._settling is None and self._batches_in_flight < MOST_IN_FLIGHT:
            if self._lone_flushes >= LONE_FLUSHES and not self._batches_in_flight:
                self._flush()
            else:
                self._is_flush_due = True
                self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        if not self._queued or self._settling is not None or self._is_closed:
            return
        in_flight, self._queued = self._queued, []
        self._open.clear()
        is_lone = len(in_flight) == 1 and in_flight[0].count == 1
        self._lone_flushes = self._lone_flushes + 1 if is_lone else 0
        for batch in in_flight:
            self._number(batch)
        self._unsettled += in_flight
        commands = tuple(map(self._command, in_flight))
        topics = map(_topic_of, in_flight)
        self._batches_in_flight += 1
        if not self._connection.send(commands, topics, partial(self._landed, in_flight)):
            self._batches_in_flight -= 1
            self._settle_one_by_one()

    def _landed(self, in_flight: list[Batch], answers: list[int | Exception]) -> None:
        """Every answer to the batches that went out together is there, in order."""
        self._batches_in_flight -= 1
        lengths = list[int]()
        for batch, answer in zip(in_flight, answers, strict=True):
            batch.answer = answer
            if isinstance(answer, int) and answer >= 0:
                lengths.append(answer)
        if self._settling is not None:
            if not self._batches_in_flight:
                self._is_grounded.set()
        elif len(lengths) == len(in_flight):
            for batch, length in zip(in_flight, lengths, strict=True):
                self._accepted(batch, length)
            del self._unsettled[: len(in_flight)]
        else:
            self._settle_one_by_one()
        if self._queued and not self._is_flush_due:
            self._flush_soon()

    def _settle_one_by_one(self) -> None:
        self._is_grounded = asyncio.Event()
        if not self._batches_in_flight:
            self._is_grounded.set()
        self._settling = self._loop.create_task(self._settle_unsettled())

    async def _settle_unsettled(self) -> None:
        """Bring every unsettled batch to its end, in order, before anything new is sent."""
        await self._is_grounded.wait()
        await self._bring_absent()
        while self._unsettled:
            batch = self._unsettled[0]
            length = batch.length_after
            try:
                if length is None:
                    await self._server.connection.connected(batch.give_up_at)
                    if batch is not self._unsettled[0]:
                        continue  # a server that came back needs something else first
                    length = await self._store(batch)
            except ConnectionLostError:
                continue
            except Exception as error:  # noqa: BLE001 - its publishers are told
                self._give_up(batch, error)
            else:
                self._accepted(batch, length)
            self._unsettled.remove(batch)
        self._settling = None
        if self._queued and not self._is_flush_due:
            self._flush_soon()

    async def _bring_absent(self) -> None:
        """Create all topics that are missing in one call, before their batches are sent again."""
        absent = [batch for batch in self._unsettled if batch.answer == _ABSENT]
        births = [self._registry.ensure(batch.topic) for batch in absent]
        for batch, error in zip(
            absent, await asyncio.gather(*births, return_exceptions=True), strict=True
        ):
            if error is None:
                batch.answer = None  # what is wrong with the others is found in their turn

    def _give_up(self, batch: Batch, error: Exception) -> None:
        if batch.was_accepted:
            self._announce_lost({batch.topic: batch.count})
        batch.settle(error)
        self._start_anew()

    async def _look_what_is_forgotten(self, pipeline: Pipeline) -> None:
        """Before anybody uses a new connection: put what has to be sent again in front."""
        for batch in self._unsettled:
            batch.answer = None  # of the connection before; the server may have forgotten since
        now_s = self._loop.time()
        self._resend_buffer.mark(self._producer, self._reached())
        stored = await self._resend_buffer.look(pipeline)
        if self._is_closed:
            return
        forgotten = self._resend_buffer.take_forgotten(stored, now_s)
        if missing := self._resend_buffer.take_missing(stored, forgotten, now_s):
            self._announce_lost(missing)
            self._be_new()  # or what comes next would look as if it was lost with it
        if forgotten:
            self._send_again(forgotten)

    def _send_again(self, forgotten: list[Batch]) -> None:
        give_up_at = self._server.connection.deadline()
        for batch in forgotten:
            batch.answer, batch.give_up_at, batch.was_accepted = None, give_up_at, True
        self._unsettled = [*forgotten, *self._unsettled]
        count = sum(batch.count for batch in forgotten)
        self._server.announce(
            "bus.sent_again",
            f"the server has forgotten {count:,} messages that it had accepted lately; "
            "they are sent again",
        )
        if self._settling is None:
            self._settle_one_by_one()

    def _reached(self) -> dict[str, int]:
        """The last sequence on each topic that was accepted of this producer."""
        reached = dict(self._last)
        for batch in reversed(self._unsettled):
            if batch.producer == self._producer:
                reached[batch.topic] = batch.first - 1
        return reached

    def _forget(self) -> None:
        """The server has lost everything: nothing is sent or announced again."""
        self._resend_buffer.clear()
        self._be_new()

    def _accepted(self, batch: Batch, length: int) -> None:
        """Tell its callers: at once, or when the topic, which is so long now, has room again."""
        self._resend_buffer.keep(batch, self._loop.time())
        if length > self._backpressure.soft_backlog:
            self._backpressure.hold(batch.topic, batch.settle)
        else:
            batch.settle()

    async def _store(self, batch: Batch) -> int:
        """Store `batch`, and return how long its topic is then.

        Raises:
            ConnectionLostError: on another connection something else may have to come first.
        """
        generation = self._server.connection.generation
        trimmed: Trimmed | None = None
        if batch.answer == _ABSENT:  # a newborn topic need not be told of a long batch twice
            await self._registry.ensure(batch.topic)
        batch.answer = None
        while True:
            answer = await self._server.run(
                self._server.scripts.append,
                self._call.keys(batch.producer, batch.topic),
                *self._call.arguments(batch),
                give_up_at=batch.give_up_at,
                only_in=generation,
            )
            if answer >= 0:
                return int(answer)
            if answer == _ABSENT:
                await self._registry.ensure(batch.topic)
            elif answer == _GAP:  # what came before was refused, so this was too: number it anew
                self._begin_again(batch)
            elif answer == _DELAYS_FULL:
                raise self._too_many_delayed(batch.topic)
            elif trimmed is not None:
                limit = self._server.options.max_backlog
                raise BusFullError.of_topic(batch.topic, limit, trimmed.lagging)
            else:
                trimmed = await trim_topic(self._server, batch.topic)

    def _too_many_delayed(self, topic: str) -> BusFullError:
        limit = self._server.options.max_backlog
        return BusFullError(
            f"the guild holds its limit of {limit:,} delayed messages; {topic} got nothing",
            limit=limit,
        )

    def _begin_again(self, batch: Batch) -> None:
        """Number `batch` anew, because the server lacks what came before it on its topic."""
        was_refused = batch.producer != self._producer
        self._start_anew()
        if not was_refused:
            self._resend_buffer.unmark(batch.topic)
            if self._is_remembered:
                self._announce_lost({batch.topic: 0})
        self._number(batch)

    @property
    def _is_remembered(self) -> bool:
        """Whether the server would still know this producer, had it forgotten nothing."""
        return self._loop.time() - self._resend_buffer.accepted_at_s < REMEMBERED_S

    def _announce_lost(self, missing: Mapping[str, int]) -> None:
        """Of these topics, so many each; 0 where that is unknown."""
        self._server.announce("bus.publishes_lost", missing_text(missing))

    def _start_anew(self) -> None:
        """Be a new producer, so that no late copy of a refused batch can stand for a new one."""
        self._resend_buffer.mark(self._producer, self._reached())
        self._be_new()

    def _be_new(self) -> None:
        self._producer, self._last = new_id(), {}

    def _number(self, batch: Batch) -> None:
        before = self._last.get(batch.topic, 0)
        last = self._last[batch.topic] = before + batch.count
        batch.producer, batch.first = self._producer, before + 1
        batch.last = batch.reached = last
