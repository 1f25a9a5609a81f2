"""Processes are asked to end while they work, twice, and while their server is away."""

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from messaging.bus import connect
from messaging.context import Context
from tests.crew.crew import REPOSITORY
from tests.crew.patience import stretched
from tests.crew.stage import on_stage
from tests.messaging.buses import REGISTRY, Ask, Told, listening, texts_in
from tests.servers import RedisServer, running_redis

ENDS_WITHIN_S = 10.0

GUILD = """
id: asked-to-end
bus: {url}
agents:
  - {{id: greeter, type: hello.greeter}}
  - {{id: counter, type: hello.counter}}
schedules:
  - {{id: often, every_s: 3600, message: hello.greet, data: {{name: Ada}}}}
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        yield server


@pytest.mark.parametrize("kind", ["bus", "no-drain"])
async def test_a_sigterm_under_load(server_url: str, kind: str) -> None:
    async with on_stage(server_url, workers=1) as stage:
        leaver = await stage.crew.hire_one(kind=kind)
        await stage.publish(1_000, deed="dally")
        await stage.told(100)

        leaver.terminate()
        code = await leaver.gone(stretched(ENDS_WITHIN_S))

        kept = await stage.pending_by(leaver)
        account = await stage.account(patience_s=30)
    assert code == 0
    assert bool(kept) is (kind == "no-drain")
    account.check(within_s=30)  # that much work is left


async def test_a_second_sigterm_waits_for_no_handler(server_url: str) -> None:
    async with on_stage(server_url, drain_s=3600) as stage:
        leaver = await stage.crew.hire_one()
        await stage.publish(100, deed="never end")
        await stage.lent_to(leaver)
        leaver.terminate()
        await leaver.leaving()
        with pytest.raises(TimeoutError):  # so it is the second one that makes the difference
            await leaver.gone(timeout_s=1)

        leaver.terminate()
        code = await leaver.gone(timeout_s=5)

        assert code == 0
        assert await stage.pending_by(leaver) == 0
        assert await stage.owed() == 100


@pytest.mark.parametrize("kind", ["bus", "patient"])
async def test_a_sigterm_while_the_server_is_away(server: RedisServer, kind: str) -> None:
    async with on_stage(server.url, workers=2, kind=kind) as stage:
        await stage.publish(500, deed="dally")
        await stage.told(50)
        await stage.written()
        server.kill()

        for worker in stage.crew.workers:
            worker.terminate()
        within_s = ENDS_WITHIN_S if kind == "patient" else stretched(ENDS_WITHIN_S)
        leaving = asyncio.gather(*[worker.gone(within_s) for worker in stage.crew.workers])
        if kind == "patient":
            with pytest.raises(TimeoutError):
                await leaving
        else:
            assert await leaving == [0, 0]

        server.start()
        await stage.crew.hire(2, kind="bus")  # those who start next go on with it
        account = await stage.account(patience_s=60)
    assert account.is_exact, str(account)


async def test_a_guild_is_asked_to_end_while_its_server_is_away(
    server: RedisServer, tmp_path: Path
) -> None:
    spec = tmp_path / "guild.yaml"
    spec.write_text(GUILD.format(url=server.url))
    guild = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "guild.cli", "run", str(spec)),
        cwd=REPOSITORY,
        stderr=asyncio.subprocess.PIPE,
    )
    assert guild.stderr is not None
    while b"is running on" not in await guild.stderr.readline():
        assert not guild.stderr.at_eof()
    server.kill()
    asked_at = time.monotonic()

    guild.terminate()
    _, told = await guild.communicate()

    assert guild.returncode == 0, told
    assert time.monotonic() - asked_at < stretched(ENDS_WITHIN_S), told


async def test_a_bus_in_somebody_elses_service_leaves_it_as_it_was(server_url: str) -> None:
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)
    before = _belongings()
    handlers = [signal.getsignal(number) for number in signals]

    async with connect(server_url, "embedded-in-a-service", registry=REGISTRY) as bus:
        await bus.subscribe(listening("tellers", _tell))
        await bus.publish_many("asks", [Ask(text=str(number)) for number in range(100)])
        await texts_in(bus, "told", 100)
        during = _belongings()
        assert [signal.getsignal(number) for number in signals] == handlers

    assert all(more > less for more, less in zip(during[:2], before[:2], strict=True))  # it sees
    assert _belongings() == before
    assert [signal.getsignal(number) for number in signals] == handlers
    assert asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)


async def _tell(ask: Ask, context: Context) -> None:
    context.send(Told(text=ask.text), "told")


def _belongings() -> tuple[int, int, int]:
    """How many tasks, open descriptors and threads this process has."""
    descriptors = list(Path("/proc/self/fd").iterdir())
    return len(asyncio.all_tasks()), len(descriptors), threading.active_count()
