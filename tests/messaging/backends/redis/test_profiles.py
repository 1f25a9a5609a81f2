"""What a server has to be for the profile that was asked for, and what `durable` waits for."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from messaging.backend import Settlement, StateWrite
from messaging.backends.urls import open_backend
from messaging.bus import Bus
from messaging.errors import BackendSetupError, NotReplicatedError
from messaging.testing import eventually
from tests.messaging.backends.redis.conftest import Guild, command, server_of
from tests.messaging.notes import everything_in, joined, note, notes, take_one, texts
from tests.servers import RedisServer, running_redis

ALWAYS = ("--appendfsync", "always", "--repl-diskless-sync-delay", "0")


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[RedisServer]:
    folder = tmp_path / "primary"
    folder.mkdir()
    with running_redis(folder, *ALWAYS) as server:
        yield server


@pytest.fixture
def replica(primary: RedisServer, tmp_path: Path) -> Iterator[RedisServer]:
    folder = tmp_path / "replica"
    folder.mkdir()
    # Without a file of its own: a server that writes its first one refuses to end.
    source = ("--replicaof", f"127.0.0.1 {primary.port}")
    with running_redis(folder, "--appendonly", "no", *source) as server:
        yield server
        # It may have been stopped by the test, and would not hear that it shall end.
        os.kill(_pid_of(server), signal.SIGCONT)


def _pid_of(server: RedisServer) -> int:
    assert server._process is not None
    return server._process.pid


async def in_step(guild: Guild) -> None:
    """Return once the replica is connected to the primary."""
    backend = await guild.open(profile="standard")
    async with asyncio.timeout(15):
        while b"state=online" not in await command(backend, "INFO", "replication"):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


async def test_durable_is_kept_by_a_server_that_always_writes_first(primary: RedisServer) -> None:
    guild = Guild(primary.url + "?profile=durable")
    backend = await guild.open()

    assert backend.profile == "durable"
    assert guild.events() == []

    await backend.append([note("safe")])
    primary.kill()
    primary.start()
    assert texts(await everything_in(backend, "notes")) == ["safe"]
    assert "bus.not_durable" not in guild.events()
    await guild.close()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--appendfsync", "everysec"), "appendfsync everysec.*appendfsync always"),
        (("--appendonly", "no"), "appendonly yes"),
    ],
)
async def test_durable_is_refused_by_any_other(
    tmp_path: Path, options: tuple[str, ...], says: str
) -> None:
    with running_redis(tmp_path, *options) as server:
        guild = Guild(server.url)
        with pytest.raises(BackendSetupError, match=says):
            await guild.open(profile="durable")


async def test_an_embedded_server_is_made_durable(tmp_path: Path) -> None:
    guild = Guild(f"embedded:{tmp_path}?profile=durable")

    assert (await guild.open()).profile == "durable"

    await guild.close()


async def test_an_embedded_server_that_others_started_for_less_is_refused(tmp_path: Path) -> None:
    guild = Guild(f"embedded:{tmp_path}")
    await guild.open()

    with pytest.raises(BackendSetupError, match="appendfsync everysec"):
        await guild.open(profile="durable")

    await guild.close()


async def test_a_server_that_comes_back_weaker_is_an_incident(primary: RedisServer) -> None:
    guild = Guild(primary.url)
    backend = await guild.open(profile="durable")
    primary._command += ["--appendfsync", "everysec"]

    primary.kill()
    primary.start()

    await everything_in(backend, "notes")
    await eventually(lambda: "bus.not_durable" in guild.events())
    await guild.close()


async def test_who_may_not_ask_for_the_set_up_is_told_that_nobody_checked(
    primary: RedisServer,
) -> None:
    guild = Guild(primary.url)
    admin = await guild.open()
    await command(admin, "ACL", "SETUSER", "bus", "on", ">secret", "~*", "&*", "+@all", "-config")

    backend = await guild.open(primary.url.replace("//", "//bus:secret@"), profile="durable")

    assert backend.profile == "durable"
    assert guild.events() == ["bus.unchecked"]
    await guild.close()


async def test_what_was_published_is_on_the_replica(
    primary: RedisServer, replica: RedisServer
) -> None:
    guild = Guild(primary.url)
    await in_step(guild)
    backend = await guild.open(profile="durable")

    await asyncio.gather(*[backend.append([one]) for one in notes(20)])

    primary.kill()
    assert await _length_at(replica, server_of(backend).keys.stream("notes")) == 20
    await guild.close()


async def _length_at(server: RedisServer, stream: bytes) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"XLEN " + stream + b"\r\n")
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return int(answer.strip().lstrip(b":"))


async def test_a_replica_that_stands_still_is_an_error_that_says_what_is_true(
    primary: RedisServer, replica: RedisServer
) -> None:
    guild = Guild(primary.url)
    await in_step(guild)
    backend = await guild.open(profile="durable", replication_timeout_s=0.2)
    worker = await joined(backend, "workers")
    os.kill(_pid_of(replica), signal.SIGSTOP)

    with pytest.raises(NotReplicatedError, match=r"0 of 1 replicas.*do not publish it again"):
        await backend.append([note("stored")])
    job = await take_one(worker)
    await worker.journal(StateWrite("done", b"x", 0))
    assert await worker.commit([Settlement(job)]) == []
    assert guild.events() == ["bus.not_replicated"]

    os.kill(_pid_of(replica), signal.SIGCONT)
    async with asyncio.timeout(15):
        while "bus.replicated_again" not in guild.events():
            try:
                await backend.append([note("again")])
            except NotReplicatedError:
                continue
    await guild.close()


async def test_more_replicas_may_be_asked_for_than_are_there(primary: RedisServer) -> None:
    guild = Guild(primary.url)
    backend = await guild.open(profile="durable", replicas=1, replication_timeout_s=0.05)

    with pytest.raises(NotReplicatedError, match="0 of 1"):
        await backend.append([note("x")])

    await guild.close()


async def test_a_bus_says_its_profile_when_it_opens() -> None:
    with capture_logs() as lines:
        async with Bus(open_backend("memory://", "g")):
            pass

    (said,) = [line for line in lines if line["event"] == "bus.opened"]
    assert said["profile"] == "ephemeral"
    assert "live as long as" in said["promise"]


def test_memory_refuses_what_it_cannot_keep() -> None:
    with pytest.raises(BackendSetupError, match=r"durable.*embedded"):
        open_backend("memory://?profile=durable", "g")
    open_backend("memory://?profile=ephemeral&max_backlog=5", "g")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("memory://?color=red", "color.*max_backlog"),
        ("embedded?color=red", "color.*profile"),
        (
            "redis://localhost?color=red",
            "^redis://localhost.color=red has color .*max_backlog.*ssl",
        ),
        ("redis://localhost?max_baklog=3", "max_baklog .*; did you mean max_backlog.$"),
        ("redis://:secret@host?color=red", r"^redis://:\*\*\*@host.color=red has color .*profile"),
        ("sentinel://a/n?color=red", "^sentinel://a/n.color=red has color .*max_back.*sentinel_us"),
        ("redis+cluster://a?color=red", r"^redis\+cluster://a.color=red has color .*max_backlog"),
        ("redis://localhost?max_backlog=many", "max_backlog=many.*integer"),
        ("redis://localhost?max_backlog=1&max_backlog=2", "max_backlog twice"),
    ],
)
def test_an_option_in_the_url_that_does_not_fit_is_named(url: str, says: str) -> None:
    with pytest.raises(BackendSetupError, match=says):
        open_backend(url, "g")
