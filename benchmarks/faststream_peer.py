"""FastStream on Redis: streams with consumer groups, which are its acknowledged way, and lists.

Its documentation knows two ways to handle a stream: a handler for each message, as Guildbus and all
others have it, and one for each batch that was read, which publishes through a pipeline and is
acknowledged as a whole. The first costs several times the second; more workers make it no faster.
In bulk both publish through one pipeline.
"""

from collections.abc import Sequence
from typing import Any

from faststream.redis import Pipeline, RedisBroker, StreamSub

from benchmarks.contestant import (
    ALL,
    AWAITED,
    BULK,
    HANDLED,
    PROCESS,
    Contestant,
    Note,
    Tally,
    publish_each,
)

GROUP = "readers"
RECORDS = 512


class FastStreamPeer(Contestant):
    """One broker; each stream with one group, acknowledged as FastStream does by default."""

    scenarios = ALL
    share = 4
    prefix = "bench"

    def __init__(self, url: str) -> None:
        # 64 requests need two connections each.
        self._broker = RedisBroker(url, logger=None, max_connections=256)
        self._client: Any = None
        self._tally = Tally()
        self._notes, self._inputs = f"{self.prefix}.notes", f"{self.prefix}.inputs"

    async def open(self) -> None:
        self._subscribe()
        self._client = await self._broker.connect()
        await self._broker.start()

    async def close(self) -> None:
        await self._broker.stop()

    async def publish_awaited(self, notes: Sequence[Note], publishers: int) -> None:
        self._tally.expect(len(notes))

        await publish_each(
            lambda note: self._broker.publish(note, stream=self._notes), notes, publishers
        )
        await self._tally.complete()

    async def publish_bulk(self, notes: Sequence[Note]) -> None:
        await self._publish_all("bench.bulk", notes)

    async def publish_handled(self, notes: Sequence[Note]) -> None:
        self._tally.expect(len(notes))
        await self._publish_all(self._notes, notes)
        await self._tally.complete()

    async def process(self, notes: Sequence[Note]) -> None:
        self._tally.expect(len(notes))
        await self._publish_all(self._inputs, notes)
        await self._tally.complete()

    async def request(self, note: Note) -> Note:
        reply = await self._broker.request(note, "bench.questions", timeout=30)
        return Note.model_validate(await reply.decode())

    async def unacknowledged(self) -> int:
        streams = (self._notes, self._inputs)
        pending = [await self._client.xpending(stream, GROUP) for stream in streams]
        return sum(int(summary["pending"]) for summary in pending)

    def _subscribe(self) -> None:
        broker = self._broker

        @broker.subscriber(stream=_stream(self._notes))
        async def count(note: Note) -> None:
            self._tally.count()

        @broker.subscriber(stream=_stream(self._inputs))
        @broker.publisher(stream=self._notes)
        async def forward(note: Note) -> Note:
            return note

        @broker.subscriber("bench.questions")
        async def answer(note: Note) -> Note:
            return note

    async def _publish_all(self, stream: str, notes: Sequence[Note]) -> None:
        async with self._client.pipeline(transaction=False) as pipeline:
            for note in notes:
                await self._broker.publish(note, stream=stream, pipeline=pipeline)
            await pipeline.execute()


class FastStreamBatches(FastStreamPeer):
    """The same with handlers of batches."""

    scenarios = (AWAITED, HANDLED, PROCESS)
    share = 2
    prefix = "bench.batches"

    def _subscribe(self) -> None:
        broker = self._broker

        @broker.subscriber(stream=_stream(self._notes, batch=True))
        async def count(notes: list[Note]) -> None:
            self._tally.count(len(notes))

        @broker.subscriber(stream=_stream(self._inputs, batch=True))
        async def forward(notes: list[Note], pipeline: Pipeline) -> None:
            for note in notes:
                await broker.publish(note, stream=self._notes, pipeline=pipeline)
            await pipeline.execute()


class FastStreamLists(FastStreamPeer):
    """Its fastest way in of all: one RPUSH to a list. Whoever reads a list acknowledges nothing."""

    scenarios = (BULK,)
    share = 1

    async def publish_bulk(self, notes: Sequence[Note]) -> None:
        await self._broker.publish_batch(*notes, list="bench.list")

    def _subscribe(self) -> None:
        """No readers, which would take the other's messages."""


def _stream(name: str, *, batch: bool = False) -> StreamSub:
    return StreamSub(name, group=GROUP, consumer="one", max_records=RECORDS, batch=batch)
