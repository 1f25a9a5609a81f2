"""A relay that is killed, and servers that are away: what is sent to the other guild comes once."""

import asyncio
import contextlib
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from messaging.bus import Bus, connect
from messaging.handling.context import Context
from tests.messaging.buses import REGISTRY, Ask, Told, listening, lying_in, settled_all, texts_in
from tests.reliability.proxy import FaultyProxy
from tests.servers import RedisServer, running_redis

ROOT = Path(__file__).parents[4]
PATIENCE_S = 60.0
COUNT = 200


@pytest.fixture
def there(tmp_path: Path) -> Iterator[RedisServer]:
    """The server of the other guild."""
    folder = tmp_path / "there"
    folder.mkdir()
    with running_redis(folder) as server:
        yield server


async def tell_others(ask: Ask, ctx: Context) -> None:
    ctx.send(Told(text=ask.text), "news", guild="other")


@contextlib.asynccontextmanager
async def relay(url: str, other: str) -> AsyncIterator[asyncio.subprocess.Process]:
    words = ("-m", "tests.messaging.client.relay_worker", url, "here", other)
    process = await asyncio.create_subprocess_exec(sys.executable, *words, cwd=ROOT)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def tellers(server: RedisServer) -> AsyncIterator[Bus]:
    """The guild here, whose handlers tell the other one everything."""
    async with connect(server.url, "here", registry=REGISTRY) as bus:
        await bus.subscribe(listening("tellers", tell_others, neighbours=("other",)))
        yield bus


async def outbox(bus: Bus) -> tuple[int, int]:
    """How many messages wait for a relay, and how many are in the hands of one."""
    topics = {info.topic: info for info in await bus.backend.topics()}
    box = topics["outbox.other"]
    return box.waiting["outbox.other"], box.pending["outbox.other"]


async def until_outbox(bus: Bus, state: tuple[int, int]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await outbox(bus) != state:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


async def test_a_relay_process_that_dies_between_delivery_and_receipt_delivers_once(
    redis_server: RedisServer, there: RedisServer
) -> None:
    async with (
        tellers(redis_server) as bus,
        connect(there.url, "other", registry=REGISTRY) as other,
        FaultyProxy(redis_server.port) as proxy,
        relay(proxy.url, there.url) as doomed,
    ):
        await bus.publish("asks", Ask(text="first"))
        assert await texts_in(other, "news", 1) == ["first"]  # it works
        await until_outbox(bus, (0, 0))
        os.kill(_pid_of(there), signal.SIGSTOP)
        try:
            await bus.publish("asks", Ask(text="once"))
            await until_outbox(bus, (0, 1))
            proxy.swallows = True  # from now on it can tell its own server nothing
        finally:
            os.kill(_pid_of(there), signal.SIGCONT)
        await lying_in(other, "news", 2)
        assert await outbox(bus) == (0, 1)

        doomed.kill()
        async with relay(redis_server.url, there.url):
            await until_outbox(bus, (0, 0))

        assert await texts_in(other, "news", 2) == ["first", "once"]


async def test_all_arrive_once_though_relays_and_the_other_server_are_killed(
    redis_server: RedisServer, there: RedisServer
) -> None:
    async with tellers(redis_server) as bus:
        await bus.publish_many("asks", [Ask(text=str(number)) for number in range(COUNT)])
        async with connect(there.url, "other", registry=REGISTRY) as other:
            for least in (COUNT // 4, COUNT // 2):
                async with relay(redis_server.url, there.url) as doomed:
                    await lying_in(other, "news", least)
                    doomed.kill()
        async with relay(redis_server.url, there.url):
            there.kill()
            await bus.publish("asks", Ask(text="while it was away"))
            await settled_all(bus, "tellers")
            there.start()
            await until_outbox(bus, (0, 0))

        async with connect(there.url, "other", registry=REGISTRY) as other:
            told = Counter(await texts_in(other, "news", COUNT + 1))
    assert told == dict.fromkeys([*map(str, range(COUNT)), "while it was away"], 1)


def _pid_of(server: RedisServer) -> int:
    assert server._process is not None
    return server._process.pid
