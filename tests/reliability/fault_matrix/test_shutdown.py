"""Processes are asked to end while they work, twice, and while their server is away."""

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from messaging.backends.redis.connection.notifications import Notifications
from messaging.bus import Bus, connect
from messaging.client.maintenance import Maintenance
from messaging.handling.context import Context
from tests.messaging.buses import REGISTRY, Ask, Told, listening, texts_in
from tests.reliability.workers.mutants import nothing
from tests.reliability.workers.orders import ENDLESS
from tests.reliability.workers.patience import stretched
from tests.reliability.workers.processes import REPOSITORY
from tests.reliability.workers.scenario import scenario_on
from tests.servers import RedisServer, running_redis

ENDS_WITHIN_S = 10.0
HURRIES_WITHIN_S = 1.0

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
    async with scenario_on(server_url, workers=1) as scenario:
        leaver = await scenario.workers.start_one(kind=kind)
        await scenario.publish(1_000, handler_fault="dally")
        await scenario.told(100)

        leaver.terminate()
        code = await leaver.gone(stretched(ENDS_WITHIN_S))

        kept = await scenario.pending_by(leaver)
        outcome = await scenario.outcome(patience_s=30)
    assert code == 0
    assert bool(kept) is (kind == "no-drain")
    outcome.check(within_s=30)  # that much work is left


@pytest.mark.parametrize("kind", ["bus", "unhurried"])
async def test_a_second_sigterm_waits_for_no_handler(server_url: str, kind: str) -> None:
    async with scenario_on(server_url, drain_s=3600) as scenario:
        leaver = await scenario.workers.start_one(kind=kind)
        await scenario.publish(100, handler_fault="never end")
        await leaver.until(lambda: ENDLESS in leaver.heard)
        leaver.terminate()
        await leaver.leaving()
        with pytest.raises(TimeoutError):  # so it is the second one that makes the difference
            await leaver.gone(timeout_s=1)

        leaver.terminate()
        asked_at = time.monotonic()
        if kind != "bus":
            with pytest.raises(TimeoutError):
                await leaver.gone(stretched(HURRIES_WITHIN_S))
            return
        code = await leaver.gone(stretched(HURRIES_WITHIN_S))

        sys.stdout.write(f"gone after {time.monotonic() - asked_at:.2f} s\n")
        assert code == 0
        assert await scenario.pending_by(leaver) == 0
        assert await scenario.owed() == 100


@pytest.mark.parametrize("kind", ["bus", "patient"])
async def test_a_sigterm_while_the_server_is_away(server: RedisServer, kind: str) -> None:
    async with scenario_on(server.url, workers=2, kind=kind) as scenario:
        await scenario.publish(500, handler_fault="dally")
        await scenario.told(50)
        await scenario.written()
        server.kill()

        for worker in scenario.workers.all:
            worker.terminate()
        within_s = ENDS_WITHIN_S if kind == "patient" else stretched(ENDS_WITHIN_S)
        leaving = asyncio.gather(*[worker.gone(within_s) for worker in scenario.workers.all])
        if kind == "patient":
            with pytest.raises(TimeoutError):
                await leaving
        else:
            assert await leaving == [0, 0]

        server.start()
        await scenario.workers.start(2, kind="bus")  # those who start next go on with it
        outcome = await scenario.outcome(patience_s=60)
    assert outcome.is_exact, str(outcome)


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

    took_s = time.monotonic() - asked_at
    sys.stdout.write(f"gone after {took_s:.1f} s\n")
    assert guild.returncode == 0, told
    assert took_s < stretched(ENDS_WITHIN_S), told


@contextmanager
def unchanged() -> Iterator[None]:
    """The bus as it is."""
    yield


@contextmanager
def taking_a_signal() -> Iterator[None]:
    """A bus that drains by itself when its process is asked to end."""
    opened, loop = Bus.open, asyncio.get_running_loop()

    async def open_and_listen(self: Bus) -> Bus:
        loop.add_signal_handler(signal.SIGUSR1, lambda: None)
        return await opened(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bus, "open", open_and_listen)
        yield
    loop.remove_signal_handler(signal.SIGUSR1)


@contextmanager
def leaving_a_task() -> Iterator[None]:
    """A bus that does not end its chores when it is closed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Maintenance, "close", nothing)
        yield
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


@contextmanager
def leaving_a_connection() -> Iterator[None]:
    """A bus that forgets to hang up where it listens."""
    left: list[Notifications] = []

    async def close(self: Notifications) -> None:
        left.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Notifications, "close", close)
        yield
    for notifications in left:
        pipeline = notifications._connection.current()
        assert pipeline is not None
        notifications._connection._is_closed = True
        pipeline.abort()


@pytest.mark.parametrize(
    ("kind", "differs"),
    [
        (unchanged, []),
        (taking_a_signal, ["handlers"]),
        (leaving_a_task, ["tasks"]),
        (leaving_a_connection, ["descriptors"]),
    ],
)
async def test_a_bus_in_somebody_elses_service_leaves_it_as_it_was(
    server_url: str, kind: Callable[[], AbstractContextManager[None]], differs: list[str]
) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)
    before = _belongings()

    with kind():
        async with connect(server_url, "embedded-in-a-service", registry=REGISTRY) as bus:
            await bus.subscribe(listening("tellers", _tell))
            await bus.publish_many("asks", [Ask(text=str(number)) for number in range(100)])
            await texts_in(bus, "told", 100)
            during = _belongings()
        after = _belongings()

    assert during.tasks - before.tasks  # so it sees them
    assert during.descriptors - before.descriptors
    assert (during.handlers == before.handlers) is ("handlers" not in differs)
    assert [kind for kind, left in _left(before, after).items() if left] == differs
    assert asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)


async def _tell(ask: Ask, context: Context) -> None:
    context.send(Told(text=ask.text), "told")


class Belongings(NamedTuple):
    """The tasks, open descriptors and threads of this process, and what it does on which signal."""

    tasks: set[asyncio.Task[object]]
    descriptors: set[str]
    threads: set[threading.Thread]
    handlers: set[tuple[signal.Signals, object]]


def _belongings() -> Belongings:
    descriptors = {descriptor.name for descriptor in Path("/proc/self/fd").iterdir()}
    handlers: set[tuple[signal.Signals, object]] = set()
    handlers |= {(one, signal.getsignal(one)) for one in signal.valid_signals()}
    return Belongings(asyncio.all_tasks(), descriptors, set(threading.enumerate()), handlers)


def _left(before: Belongings, after: Belongings) -> dict[str, set[Any]]:
    """What is there after and was not before; a thread of an earlier test may well have ended."""
    earlier = before._asdict()
    return {kind: now - earlier[kind] for kind, now in after._asdict().items()}
