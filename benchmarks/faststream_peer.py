"""FastStream on Redis: streams with consumer groups, which are its acknowledged way."""

import asyncio
from collections.abc import Sequence

from faststream.redis import RedisBroker, StreamSub

from benchmarks.contestant import ALL, Note, Tally

AT_ONCE = 512


class FastStreamPeer:
    """One broker; each stream with one group, acknowledged as FastStream does by default."""

    scenarios = ALL
    is_on_server = True
    share = 2

    def __init__(self, url: str) -> None:
        # 64 requests need two connections each, a burst of publishes one each.
        self._broker = RedisBroker(url, logger=None, max_connections=2 * AT_ONCE)
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

        await broker.start()

    async def close(self) -> None:
        await self._broker.stop()

    async def publish_awaited(self, notes: Sequence[Note], publishers: int) -> None:
        self._tally.expect(len(notes))
        await self._publish("bench.notes", notes, publishers)
        await self._tally.complete()

    async def publish_bulk(self, notes: Sequence[Note]) -> None:
        # A list is its fastest way in: one RPUSH with every message. What reads lists does not
        # acknowledge, so the scenario that goes on to the handler uses a stream in batches.
        await self._broker.publish_batch(*notes, list="bench.bulk")

    async def publish_handled(self, notes: Sequence[Note]) -> None:
        self._tally.expect(len(notes))
        await self._publish("bench.batches", notes, AT_ONCE)
        await self._tally.complete()

    async def process(self, notes: Sequence[Note]) -> None:
        self._tally.expect(len(notes))
        await self._publish("bench.inputs", notes, AT_ONCE)
        await self._tally.complete()

    async def request(self, note: Note) -> Note:
        reply = await self._broker.request(note, "bench.questions", timeout=30)
        return Note.model_validate(await reply.decode())

    async def _publish(self, stream: str, notes: Sequence[Note], at_once: int) -> None:
        async def publish(share: Sequence[Note]) -> None:
            for note in share:
                await self._broker.publish(note, stream=stream)

        await asyncio.gather(*(publish(notes[start::at_once]) for start in range(at_once)))


def _stream(name: str, *, batch: bool = False) -> StreamSub:
    return StreamSub(name, group="readers", consumer="one", max_records=512, batch=batch)
