"""FastStream on Redis: streams with consumer groups, which are its acknowledged way, and lists.

In bulk it goes the fastest ways that its documentation knows: published through one pipeline, read
and acknowledged in batches. What is handled one by one is so for its decorators, too; more workers
make that no faster.
"""

from collections.abc import Sequence
from typing import Any

from faststream.redis import RedisBroker, StreamSub

from benchmarks.contestant import ALL, BULK, Contestant, Note, Tally, publish_each

RECORDS = 512


class FastStreamPeer(Contestant):
    """One broker; each stream with one group, acknowledged as FastStream does by default."""

    scenarios = ALL
    share = 2

    def __init__(self, url: str) -> None:
        # 64 requests need two connections each.
        self._broker = RedisBroker(url, logger=None, max_connections=256)
        self._client: Any = None
        self._tally = Tally()

    async def open(self) -> None:
        broker = self._broker

        @broker.subscriber(stream=_stream("bench.notes"))
        async def count(note: Note) -> None:
            self._tally.count()

        @broker.subscriber(stream=_stream("bench.batches", batch=True))
        async def count_batch(notes: list[Note]) -> None:
            self._tally.count(len(notes))

        @broker.subscriber(stream=_stream("bench.inputs"))
        @broker.publisher(stream="bench.notes")
        async def forward(note: Note) -> Note:
            return note

        @broker.subscriber("bench.questions")
        async def answer(note: Note) -> Note:
            return note

        self._client = await broker.connect()
        await broker.start()

    async def close(self) -> None:
        await self._broker.stop()

    async def publish_awaited(self, notes: Sequence[Note], publishers: int) -> None:
        self._tally.expect(len(notes))

        await publish_each(
            lambda note: self._broker.publish(note, stream="bench.notes"), notes, publishers
        )
        await self._tally.complete()

    async def publish_bulk(self, notes: Sequence[Note]) -> None:
        await self._publish_all("bench.bulk", notes)

    async def publish_handled(self, notes: Sequence[Note]) -> None:
        self._tally.expect(len(notes))
        await self._publish_all("bench.batches", notes)
        await self._tally.complete()

    async def process(self, notes: Sequence[Note]) -> None:
        self._tally.expect(len(notes))
        await self._publish_all("bench.inputs", notes)
        await self._tally.complete()

    async def request(self, note: Note) -> Note:
        reply = await self._broker.request(note, "bench.questions", timeout=30)
        return Note.model_validate(await reply.decode())

    async def _publish_all(self, stream: str, notes: Sequence[Note]) -> None:
        async with self._client.pipeline(transaction=False) as pipeline:
            for note in notes:
                await self._broker.publish(note, stream=stream, pipeline=pipeline)
            await pipeline.execute()


class FastStreamLists(FastStreamPeer):
    """Its fastest way in of all: one RPUSH to a list. Whoever reads a list acknowledges nothing."""

    scenarios = (BULK,)
    share = 1

    async def open(self) -> None:
        await self._broker.start()  # no readers, which would take the other's messages

    async def publish_bulk(self, notes: Sequence[Note]) -> None:
        await self._broker.publish_batch(*notes, list="bench.list")


def _stream(name: str, *, batch: bool = False) -> StreamSub:
    return StreamSub(name, group="readers", consumer="one", max_records=RECORDS, batch=batch)
