"""The proxy does what its faults are named after; else the rows that use it would prove nothing."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.reliability.proxy import FaultyProxy

PATIENCE_S = 15.0


class Echo:
    """A server that answers with what it hears, and remembers in which pieces that came."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.news = asyncio.Event()
        self.serving: list[asyncio.Task[None] | None] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serving.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                self.heard.append(data)
                self.news.set()
                writer.write(data)
        writer.close()

    async def has_heard(self, text: bytes) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while text not in b"".join(self.heard):
                self.news.clear()
                await self.news.wait()


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Connection]]


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[FaultyProxy]:
    async with (
        await asyncio.start_server(echo.serve, "127.0.0.1", 0) as server,
        FaultyProxy(server.sockets[0].getsockname()[1]) as proxy,
    ):
        yield proxy
    await asyncio.gather(*filter(None, echo.serving), return_exceptions=True)


@pytest.fixture
async def connect(proxy: FaultyProxy) -> AsyncIterator[Connect]:
    opened: list[Connection] = []

    async def connect() -> Connection:
        opened.append(await asyncio.open_connection("127.0.0.1", proxy.port))
        return opened[-1]

    yield connect
    for _, writer in opened:
        writer.close()


async def echoed(connection: Connection, data: bytes) -> float:
    """How long it took to get `data` back."""
    reader, writer = connection
    began_at = time.monotonic()
    writer.write(data)
    async with asyncio.timeout(PATIENCE_S):
        assert await reader.readexactly(len(data)) == data
    return time.monotonic() - began_at


async def test_latency_is_added_to_a_round_trip_and_not_to_each_piece_of_it(
    proxy: FaultyProxy, connect: Connect
) -> None:
    connection = await connect()
    proxy.conditions.latency_s = 0.3
    assert await echoed(connection, b"x") >= 0.3

    many = [echoed(await connect(), b"x" * 1_000_000) for _ in range(3)]

    assert max(await asyncio.gather(*many)) < 3.0


async def test_one_byte_slices_arrive_one_byte_at_a_time(
    echo: Echo, proxy: FaultyProxy, connect: Connect
) -> None:
    connection = await connect()
    proxy.conditions.slice_bytes = 1

    await echoed(connection, b"*1\r\n$4\r\nPING\r\n" * 20)

    assert max(map(len, echo.heard)) < 14  # never a whole request at once
    assert len(echo.heard) > 100


async def test_a_narrow_link_lets_so_much_through_and_makes_the_sender_wait(
    proxy: FaultyProxy, connect: Connect
) -> None:
    connections = [await connect() for _ in range(2)]
    proxy.conditions.bytes_per_s = 1 << 17

    took_s = await asyncio.gather(*[echoed(one, b"x" * (1 << 16)) for one in connections])

    assert max(took_s) >= 0.9  # they share it


async def test_what_was_swallowed_arrives_late_even_of_a_client_that_has_gone(
    echo: Echo, proxy: FaultyProxy, connect: Connect
) -> None:
    reader, writer = await connect()
    await echoed((reader, writer), b"before")
    proxy.swallows = True
    writer.write(b"meanwhile")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await reader.read(1)
    writer.close()
    assert b"meanwhile" not in echo.heard

    proxy.swallows = False

    await echo.has_heard(b"meanwhile")


async def test_a_share_of_the_connections_is_cut_off_until_it_is_mended(
    proxy: FaultyProxy, connect: Connect
) -> None:
    connections = [await connect() for _ in range(6)]
    for one in connections:
        await echoed(one, b"before")

    assert proxy.cut_off(0.5, random.Random(7)) == 3

    waiting = [asyncio.create_task(echoed(one, b"meanwhile")) for one in connections]
    await echoed(await connect(), b"a new one gets through")
    done, cut = await asyncio.wait(waiting, timeout=0.5)
    assert (len(done), len(cut)) == (3, 3)
    proxy.mend()
    await asyncio.gather(*cut)
