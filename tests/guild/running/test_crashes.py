"""What waits for its time outlives the server and every process, and comes once."""

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncIterator, Collection
from pathlib import Path

from guild.client import GuildClient
from guild.running.scheduler import GROUP, Armed
from messaging.bus import Bus
from messaging.wire.envelope import Envelope
from tests.guild.processes import running_module
from tests.guild.running import clockwork
from tests.guild.samples import Ping, Pong
from tests.messaging.buses import settled_all
from tests.servers import running_redis

WORKERS = 3
ROUNDING_S = 0.005


async def test_a_delay_a_timer_and_schedules_survive_the_server_and_all_workers(
    tmp_path: Path,
) -> None:
    with running_redis(tmp_path) as server:
        async with GuildClient.connect(clockwork.clockwork(), bus=server.url) as client:
            async with workers(server.url) as first:
                await settled_all(client.bus, GROUP)
                begun = await armed(client.bus)
                await client.publish("told", Pong(text="delay"), delay_s=clockwork.WAIT_S)
                await client.publish("default_topic", Ping(text="timer"))
                await timer_is_set(client.bus)
                server.kill()
                for process in first:
                    process.kill()
            server.start()
            async with workers(server.url):
                async with asyncio.timeout(90):
                    await seen(client.bus, "told", {"delay", "timer"})
                    await fired(client.bus, begun)
                await settled_all(client.bus, "clock")
                told = [text for text, _ in await seen(client.bus, "told")]
                ticks = await seen(client.bus, "ticks")

    assert sorted(told) == ["delay", "timer"]
    for schedule, first_due in begun.items():
        fired_at = [at for text, at in ticks if text == schedule]
        # What was missed while all were away comes once: each tick has a time of its own.
        times = [math.floor((at - first_due + ROUNDING_S) / clockwork.EVERY_S) for at in fired_at]
        assert times == sorted(set(times))
        assert times[-1] >= 0  # one that was armed before everything died


@contextlib.asynccontextmanager
async def workers(url: str) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    async with contextlib.AsyncExitStack() as stack:
        starting = [running_module(clockwork.__name__, url) for _ in range(WORKERS)]
        yield await asyncio.gather(*map(stack.enter_async_context, starting))


async def armed(bus: Bus) -> dict[str, float]:
    """When each schedule is due next."""
    due = {}
    for schedule in clockwork.SCHEDULES:
        stored = await bus.backend.load_state(GROUP, f"schedule.{schedule}")
        assert stored is not None
        due[schedule] = Armed.model_validate_json(stored.value).due
    return due


async def timer_is_set(bus: Bus) -> None:
    async with asyncio.timeout(30):
        while await bus.backend.load_state("clock", "_bus.timer.tea") is None:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def seen(bus: Bus, topic: str, wanted: Collection[str] = ()) -> list[tuple[str, float]]:
    """Each text in `topic` and when it was made, once all those wanted are there."""
    while True:
        entries = await bus.backend.tail({topic: ""}, max_count=1_000, wait_s=0.2)
        found = [(_text(entry.envelope), _made_at(entry.envelope)) for entry in entries]
        if {*wanted} <= {text for text, _ in found}:
            return found


async def fired(bus: Bus, due: dict[str, float]) -> None:
    """Return once each schedule has fired for the time at which it was due, or a later one."""
    while True:
        latest = dict(sorted(await seen(bus, "ticks"), key=lambda tick: tick[1]))
        if all(latest.get(each, 0.0) + ROUNDING_S >= at for each, at in due.items()):
            return


def _text(envelope: Envelope) -> str:
    return str(json.loads(envelope.payload)["text"])


def _made_at(envelope: Envelope) -> float:
    return int(envelope.id[:12], 16) / 1000  # a UUID of version 7
