"""Guilds on a real server: shared between processes, and across the death of one."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from guild.agent.registry import type_name_of
from guild.checking.loader import load_file, load_yaml
from guild.client import GuildClient
from guild.errors import SpecError
from guild.runtime import Guild, GuildStatus
from messaging.errors import BackendUnavailableError
from tests.guild.processes import TIMEOUT_S, line, running_module
from tests.guild.samples import Echo, Ping, Pong
from tests.guild.worker import Worker, shared_spec
from tests.servers import running_redis


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


def worker(
    url: str, **environ: str
) -> contextlib.AbstractAsyncContextManager[asyncio.subprocess.Process]:
    """Another process that runs the shared guild."""
    return running_module(Worker.__module__, url, **environ)


async def test_a_second_launch_shares_the_work(url: str) -> None:
    async with (
        worker(url) as one,
        worker(url) as two,
        GuildClient.connect(shared_spec(), bus=url) as client,
    ):
        asked = [client.request("default_topic", Ping(text=str(n)), Pong) for n in range(100)]
        answers = await asyncio.gather(*asked)

    assert len(answers) == 100
    assert {answer.text for answer in answers} <= {str(one.pid), str(two.pid)}


async def test_what_a_killed_process_held_is_answered_by_another(url: str) -> None:
    async with (
        worker(url, HANG_ON="hang") as doomed,
        GuildClient.connect(shared_spec(), bus=url) as client,
    ):
        asking = asyncio.create_task(
            client.request("default_topic", Ping(text="hang"), Pong, timeout_s=TIMEOUT_S)
        )
        await line(doomed, "hanging")
        async with worker(url) as survivor:
            doomed.kill()
            answer = await asking
            assert answer.text == str(survivor.pid)


async def test_a_request_waits_for_a_guild_that_comes_back(url: str) -> None:
    async with GuildClient.connect(shared_spec(), bus=url) as client:
        async with worker(url):
            pass
        asking = asyncio.create_task(
            client.request("default_topic", Ping(), Pong, timeout_s=TIMEOUT_S)
        )
        async with worker(url) as back:
            assert (await asking).text == str(back.pid)


async def test_a_guild_without_its_server_does_not_start(tmp_path: Path) -> None:
    guild = Guild.launch(load_file("specs/hello.yaml"), bus=f"unix://{tmp_path}/none.sock")

    with pytest.raises(BackendUnavailableError):
        await guild.start()
    assert guild.status is GuildStatus.CLOSED


def test_a_guild_without_its_secrets_is_not_launched() -> None:
    spec = load_yaml(
        f"id: x\nagents:\n  - id: a\n    type: {type_name_of(Echo)}\n"
        "    properties: {token: '${env:ECHO_TOKEN}'}\n",
        "s.yaml",
    )

    with pytest.raises(SpecError, match=r"^s\.yaml:5:25: the environment variable ECHO_TOKEN"):
        Guild.launch(spec, environ={})
    assert Guild.launch(spec, environ={"ECHO_TOKEN": "hunter2"})


def test_a_secret_that_does_not_fit_is_told_without_its_value() -> None:
    spec = load_yaml(
        "id: x\nagents:\n  - id: a\n    type: hello.counter\n    properties: {top: '${env:TOP}'}\n"
    )

    with pytest.raises(SpecError, match="'top' should be a valid integer") as caught:
        Guild.launch(spec, environ={"TOP": "hunter2"})
    assert "hunter2" not in str(caught.value)
