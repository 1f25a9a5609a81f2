"""A TCP proxy that does to a connection what networks do."""

import asyncio
import contextlib
import socket
import struct
from typing import Self

_MARK = b"executed-and-not-answered"
_MARKED = b"*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n" % (len(_MARK), _MARK)


class FaultyProxy:
    """Stands between a client and a server on loopback.

    Attributes:
        refuses: new connections are reset at once.
        swallows: nothing is passed on in either direction, and nothing is closed.
        lost: how many replies were lost on purpose.
    """

    def __init__(self, upstream_port: int) -> None:
        self.refuses = False
        self.swallows = False
        self.lost = 0
        self._upstream_port = upstream_port
        self._pattern = b""
        self._times = 0
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        self.reset_all()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def lose_replies_to(self, pattern: bytes, times: int = 1) -> None:
        """Let the server run a request that contains `pattern`, then reset instead of answering."""
        self._pattern, self._times = pattern, times

    def reset_all(self) -> None:
        for client in tuple(self._clients):
            _reset(client)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:
            pass  # the end of the test; streams would log a task that ends as cancelled
        finally:
            self._tasks.discard(task)
            self._clients.discard(writer)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            _reset(writer)
            return
        self._clients.add(writer)
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        except OSError:
            _reset(writer)
            return
        is_armed = asyncio.Event()
        both = [
            asyncio.create_task(self._requests(reader, up_writer, is_armed)),
            asyncio.create_task(self._replies(up_reader, writer, is_armed)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            up_writer.close()

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_armed: asyncio.Event
    ) -> None:
        while data := await reader.read(1 << 20):
            if self.swallows:
                continue
            if self._times and self._pattern in data:
                self._times -= 1
                is_armed.set()
                data += _MARKED  # its answer tells that the server has run what came before
            writer.write(data)
            await writer.drain()

    async def _replies(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_armed: asyncio.Event
    ) -> None:
        while data := await reader.read(1 << 20):
            if self.swallows:
                continue
            if is_armed.is_set():
                if _MARK not in data:
                    continue
                self.lost += 1
                _reset(writer)
                return
            writer.write(data)
            await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
