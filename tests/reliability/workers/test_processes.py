"""Whoever torments workers is told how they end, and of all that they leave behind."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from messaging.wire.envelope import new_id
from tests.reliability.workers.fork_server import Launch
from tests.reliability.workers.orders import Orders
from tests.reliability.workers.processes import FORK_SERVER, REPOSITORY, Worker
from tests.reliability.workers.scenario import scenario_on
from tests.servers import running_redis


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(tmp_path_factory.mktemp("processes")) as server:
        yield server.url


async def test_a_worker_with_an_environment_is_told_of_as_any_other(server_url: str) -> None:
    async with scenario_on(server_url) as scenario:
        (forked,) = await scenario.workers.start()
        (started,) = await scenario.workers.start(environment={"PYTHONHASHSEED": "1"})

        await forked.kill()
        assert await scenario.workers.terminate() == [0]

    assert (forked.exit_code, started.exit_code) == (-signal.SIGKILL, 0)


async def test_what_a_worker_has_started_is_left_behind_by_it(server_url: str) -> None:
    async with scenario_on(server_url) as scenario:
        (worker,) = await scenario.workers.start()
        command = (sys.executable, "-c", "input()")
        child = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.PIPE, process_group=worker.pid
        )

        assert scenario.workers.left_behind() == sorted([worker.pid, child.pid])
        await worker.kill()
        assert scenario.workers.left_behind() == [child.pid]
        await child.communicate(b"\n")
        assert scenario.workers.left_behind() == []


async def test_no_worker_outlives_whoever_has_it_started(server_url: str) -> None:
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", FORK_SERVER),
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert server.stdout is not None
    socket = (await server.stdout.readline()).decode().rstrip()
    reader, writer = await asyncio.open_unix_connection(socket)
    launch = Launch(orders=Orders(url=server_url, guild_id=new_id()))
    writer.write(f"{launch.model_dump_json()}\n".encode())
    worker = Worker(int(await reader.readline()), reader, writer)
    await worker.ready()

    server.terminate()  # whoever ends a whole process group ends its owner, too
    await server.communicate(b"")

    assert await worker.gone() == -signal.SIGKILL
