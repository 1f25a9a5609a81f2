"""A TCP proxy that does to a connection what networks do."""

import asyncio
import contextlib
import random
import socket
import struct
from collections import Counter
from typing import Self

from tests.reliability.proxy.requests import Requests
from tests.reliability.proxy.road import CHUNK, Barrier, Conditions, Lane, Road

_MARK = b"executed-and-not-answered"
# Its answer tells that the server has run what came before; also where channels are listened to.
_MARKED = b"*2\r\n$4\r\nPING\r\n$%d\r\n%s\r\n" % (len(_MARK), _MARK)
_RECEIVE_BYTES = CHUNK  # little, so that a slow road is felt by whoever sends


class FaultyProxy:
    """Stands between a client and a server on loopback.

    Attributes:
        conditions: latency, bandwidth and the size of what arrives at once.
        refuses: new connections are reset at once.
        lost: how many times replies were lost on purpose.
        lost_kinds: the requests, by name or hash of a script, whose replies were lost.
    """

    def __init__(self, upstream_port: int) -> None:
        self.conditions = Conditions()
        self.refuses = False
        self.lost = 0
        self.lost_kinds: Counter[str] = Counter()
        self._upstream_port = upstream_port
        self._pattern = b""
        self._times = 0
        self._loses_each_kind = False
        self._barrier = Barrier()
        self._lanes = (Lane(self.conditions), Lane(self.conditions))
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.StreamWriter, Barrier] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        listening.bind(("127.0.0.1", 0))
        self._server = await asyncio.start_server(self._connected, sock=listening, limit=CHUNK)
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        self.reset_all()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- faults ----------------------------------------------------------------------------------

    @property
    def swallows(self) -> bool:
        """Whether nothing gets through in either direction, while nothing is closed.

        What was sent meanwhile arrives when that ends, even of clients that have gone: a network
        that is away loses no bytes of a connection, and delivers late.
        """
        return self._barrier.is_down

    @swallows.setter
    def swallows(self, swallows: bool) -> None:
        (self._barrier.lower if swallows else self._barrier.lift)()

    def cut_off(self, share: float, chance: random.Random) -> int:
        """Let nothing through by that share of the connections, until `mend`; how many they are.

        New connections get through.
        """
        chosen = chance.sample(list(self._clients.values()), round(share * len(self._clients)))
        for barrier in chosen:
            barrier.lower()
        return len(chosen)

    def mend(self) -> None:
        for barrier in self._clients.values():
            barrier.lift()

    def lose_replies_to(self, pattern: bytes, times: int = 1) -> None:
        """Let the server run a request that contains `pattern`, then reset instead of answering."""
        self._pattern, self._times = pattern, times

    def lose_a_reply_of_each_kind(self) -> None:
        """Lose the reply to the first request of every kind that comes by from now on."""
        self._loses_each_kind = True

    def reset_all(self) -> None:
        for client in tuple(self._clients):
            _reset(client)

    # -- what is carried -------------------------------------------------------------------------

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
            self._clients.pop(writer, None)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            _reset(writer)
            return
        own = self._clients[writer] = Barrier()
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        except OSError:
            _reset(writer)
            return
        there, back = self._lanes
        barriers = (self._barrier, own)
        is_armed = asyncio.Event()
        out = Road(up_writer, self.conditions, there, barriers)
        home = Road(writer, self.conditions, back, barriers)
        sending = asyncio.create_task(self._requests(reader, out, is_armed))
        answering = asyncio.create_task(self._replies(up_reader, home, writer, is_armed))
        carrying = [asyncio.create_task(road.deliver()) for road in (out, home)]
        both = [sending, answering]
        try:
            await asyncio.wait([*both, carrying[1]], return_when=asyncio.FIRST_COMPLETED)
            if sending.done():  # what a client had sent before it left still arrives
                await asyncio.wait([carrying[0]])
        finally:
            up_writer.close()
            for task in (*both, *carrying):
                task.cancel()
            await asyncio.gather(*both, *carrying, return_exceptions=True)

    async def _requests(
        self, reader: asyncio.StreamReader, out: Road, is_armed: asyncio.Event
    ) -> None:
        requests, unmarked = Requests(), False
        try:
            while data := await reader.read(CHUNK):
                unmarked |= self._is_to_be_lost(data, requests)
                if unmarked and requests.is_between_two:
                    unmarked = False
                    is_armed.set()
                    data += _MARKED
                await out.send(data)
        except OSError:
            pass  # the client is gone
        await out.end()

    def _is_to_be_lost(self, data: bytes, requests: Requests) -> bool:
        kinds = requests.read(data)
        fresh = {kind for kind in kinds if kind not in self.lost_kinds}
        if self._loses_each_kind and fresh:
            self.lost_kinds.update(kinds)
            return True
        if self._times and self._pattern in data:
            self._times -= 1
            self.lost_kinds.update(kinds)
            return True
        return False

    async def _replies(
        self,
        reader: asyncio.StreamReader,
        home: Road,
        client: asyncio.StreamWriter,
        is_armed: asyncio.Event,
    ) -> None:
        while data := await reader.read(CHUNK):
            if is_armed.is_set():
                if _MARK not in data:
                    continue
                self.lost += 1
                _reset(client)
                return
            await home.send(data)
        await home.end()


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
