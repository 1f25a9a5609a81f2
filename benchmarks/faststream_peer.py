"""FastStream on Redis: streams with consumer groups where it offers them."""

import asyncio
from collections.abc import Sequence

from faststream.redis import RedisBroker, StreamSub

from benchmarks.contestant import Note


class FastStreamPeer:
    """One broker, one consumer group, acknowledged as FastStream does by default."""

    name = "FastStream"

    def __init__(self, url: str) -> None:
        self._broker = RedisBroker(
            url, logger=None, max_connections=512
        )  # 64 requests need two each
        self._handled = asyncio.Event()
        self._missing = 0

    async def open(self) -> None:
        broker = self._broker

        @broker.subscriber(
            stream=StreamSub("bench.notes", group="readers", consumer="one", max_records=512)
        )
        async def count(note: Note) -> None:
            self._missing -= 1
            if self._missing == 0:
                self._handled.set()

        @broker.subscriber("bench.questions")
        async def answer(note: Note) -> Note:
            return note

        await broker.start()

    async def close(self) -> None:
        await self._broker.stop()

    async def publish_awaited(self, notes: Sequence[Note], publishers: int) -> None:
        self._missing = len(notes)
        self._handled.clear()

        async def publish(share: Sequence[Note]) -> None:
            for note in share:
                await self._broker.publish(note, stream="bench.notes")

        await asyncio.gather(*(publish(notes[start::publishers]) for start in range(publishers)))
        await self._handled.wait()

    async def publish_bulk(self, notes: Sequence[Note]) -> None:
        # A list is its fastest acknowledged way: one RPUSH with every message.
        await self._broker.publish_batch(*notes, list="bench.bulk")

    async def request(self, note: Note) -> Note:
        reply = await self._broker.request(note, "bench.questions", timeout=30)
        return Note.model_validate(await reply.decode())
