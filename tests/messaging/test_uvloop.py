"""The event loop that uvicorn brings along does as well: requests, streams, outages, the end."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from messaging.bus import Bus, connect
from messaging.handling.context import Context
from messaging.handling.subscription import Subscription
from messaging.wire.message import MessageRegistry
from tests.messaging.buses import Ask, Progress, Told
from tests.servers import RedisServer, running_redis, server_url

REGISTRY = MessageRegistry(Ask, Told, Progress)


async def tell(ask: Ask, context: Context) -> Told:
    context.emit(Progress(step=1))
    return Told(text=ask.text)


def run(url: str, use: Callable[[Bus], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), connect(url, "uv", registry=REGISTRY) as bus:
            await bus.subscribe(Subscription("team", ("asks",), {Ask: tell}))
            await use(bus)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


@pytest.mark.parametrize("kind", ["memory", "embedded", "external-redis"])
def test_requests_and_streams_are_answered(kind: str, tmp_path: Path) -> None:
    async def use(bus: Bus) -> None:
        assert await bus.request("asks", Ask(text="one")) == Told(text="one")
        items = [item async for item in bus.stream("asks", Ask(text="two"))]
        assert items == [Progress(step=1), Told(text="two")]

    if kind == "memory":
        run("memory://", use)
        return
    with server_url(kind, tmp_path) as url:
        run(url, use)


def test_a_bus_goes_on_after_its_server_was_killed(tmp_path: Path) -> None:
    async def use(bus: Bus) -> None:
        await asyncio.to_thread(restart, server)
        assert await bus.request("asks", Ask(text="again")) == Told(text="again")

    with running_redis(tmp_path, "--appendfsync", "always") as server:
        run(server.url, use)


def restart(server: RedisServer) -> None:
    server.kill()
    server.start()
