"""One direction of a connection, as long, narrow and broken as somebody wants it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

CHUNK = 1 << 14
MOST_CHUNKS = 8  # on their way at once; then the sender has to wait, as in TCP


@dataclass
class Conditions:
    """What all roads of a proxy have in common.

    Attributes:
        latency_s: what a round trip takes longer.
        slice_bytes: what arrives at once, 0 for everything.
        bytes_per_s: what gets through in either direction by all connections, 0 for everything.
    """

    latency_s: float = 0.0
    slice_bytes: int = 0
    bytes_per_s: int = 0


class Lane:
    """The bandwidth of one direction, which all connections share."""

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        self._free_at = 0.0

    async def pass_through(self, size_bytes: int) -> None:
        """Return when so many bytes have got through."""
        rate = self._conditions.bytes_per_s
        if rate:
            loop = asyncio.get_running_loop()
            self._free_at = max(self._free_at, loop.time()) + size_bytes / rate
            await asyncio.sleep(self._free_at - loop.time())


class Barrier:
    """Keeps back what comes; like TCP it loses nothing, and lets it through when it is lifted."""

    def __init__(self) -> None:
        self._is_lifted = asyncio.Event()
        self._is_lifted.set()

    @property
    def is_down(self) -> bool:
        return not self._is_lifted.is_set()

    def lower(self) -> None:
        self._is_lifted.clear()

    def lift(self) -> None:
        self._is_lifted.set()

    async def passed(self) -> None:
        await self._is_lifted.wait()


class Road:
    """Takes what is `sent` to `writer`, in order."""

    def __init__(
        self,
        writer: asyncio.StreamWriter,
        conditions: Conditions,
        lane: Lane,
        barriers: tuple[Barrier, ...],
    ) -> None:
        self._writer = writer
        self._conditions = conditions
        self._lane = lane
        self._barriers = barriers
        self._under_way: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue(MOST_CHUNKS)

    async def send(self, data: bytes) -> None:
        """Put `data` on its way; waits where too much is under way."""
        arrives_at = asyncio.get_running_loop().time() + self._conditions.latency_s / 2
        await self._under_way.put((arrives_at, data))

    async def end(self) -> None:
        """Nothing more comes: `deliver` returns after what is under way."""
        await self._under_way.put(None)

    async def deliver(self) -> None:
        """Until the end."""
        async for data in self._arriving():
            for piece in self._pieces(data):
                await self._lane.pass_through(len(piece))
                for barrier in self._barriers:
                    await barrier.passed()
                self._writer.write(piece)
                await self._writer.drain()
                if self._conditions.slice_bytes:
                    await asyncio.sleep(0)  # so that each is read by itself

    async def _arriving(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        while (item := await self._under_way.get()) is not None:
            arrives_at, data = item
            if arrives_at > loop.time():
                await asyncio.sleep(arrives_at - loop.time())
            yield data

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        size = self._conditions.slice_bytes or CHUNK
        if self._conditions.bytes_per_s:
            size = min(size, max(1, self._conditions.bytes_per_s // 50))
        for start in range(0, len(data), size):
            yield data[start : start + size]
