"""The floor: what is left when everything that makes a bus is taken away.

The same messages through the same server with the same parser, pipelined by hand: no names, no
ids, no fence, no retries, no deadlines, no reconnecting, no flow control, one topic, one group.
Whatever is between this and Guildbus is the price of its promises.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

import hiredis

from benchmarks.contestant import AWAITED, BULK, HANDLED, Contestant, Note, Tally, publish_each

COUNT = 512


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._unwritten: list[bytes] = []
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            self._waiting.popleft().set_result(reply)

    def call(self, *command: Any) -> asyncio.Future[Any]:
        if not self._unwritten:
            self._loop.call_soon(self._flush)
        self._unwritten.append(hiredis.pack_command(command))  # type: ignore[arg-type] # any length
        reply = self._loop.create_future()
        self._waiting.append(reply)
        return reply

    def close(self) -> None:
        self._transport.close()

    def _flush(self) -> None:
        self._transport.write(b"".join(self._unwritten))
        self._unwritten.clear()


class Floor(Contestant):
    """XADD, XREADGROUP in batches on a connection of its own, XACK in batches."""

    scenarios = (AWAITED, BULK, HANDLED)

    def __init__(self, url: str) -> None:
        self._path = url.removeprefix("unix://")
        self._tally = Tally()
        self._reading: asyncio.Task[None] | None = None
        self._connections: list[_Connection] = []

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(2):
            _, connection = await loop.create_unix_connection(_Connection, self._path)
            self._connections.append(connection)
        await self._connections[0].call("XGROUP", "CREATE", "floor", "all", "0", "MKSTREAM")
        self._reading = loop.create_task(self._read())

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        for connection in self._connections:
            connection.close()

    async def publish_awaited(self, notes: Sequence[Note], publishers: int) -> None:
        self._tally.expect(len(notes))
        call, encode = self._connections[0].call, Note.__pydantic_serializer__.to_json

        await publish_each(
            lambda note: call("XADD", "floor", "*", "p", encode(note)), notes, publishers
        )
        await self._tally.complete()

    async def publish_bulk(self, notes: Sequence[Note]) -> None:
        await self._add_all("floor.bulk", notes)

    async def publish_handled(self, notes: Sequence[Note]) -> None:
        self._tally.expect(len(notes))
        await self._add_all("floor", notes)
        await self._tally.complete()

    async def unacknowledged(self) -> int:
        count, *_ = await self._connections[0].call("XPENDING", "floor", "all")
        return int(count)

    async def _add_all(self, stream: str, notes: Sequence[Note]) -> None:
        call, encode = self._connections[0].call, Note.__pydantic_serializer__.to_json
        adding = [call("XADD", stream, "*", "p", encode(note)) for note in notes]
        await adding[-1]

    async def _read(self) -> None:
        publishing, reading = self._connections
        decode = Note.__pydantic_validator__.validate_json
        command = ("XREADGROUP", "GROUP", "all", "one", "COUNT", COUNT, "BLOCK", 0)
        while True:
            ((_, entries),) = await reading.call(*command, "STREAMS", "floor", ">")
            for _, fields in entries:
                await self._handle(decode(fields[1]))
            publishing.call("XACK", "floor", "all", *(position for position, _ in entries))

    async def _handle(self, note: Note) -> None:
        self._tally.count()
