"""The servers that the bus runs on, each with what it cannot do."""

from collections.abc import Callable
from pathlib import Path

import pytest
import redis.asyncio

from messaging.backend import Settlement
from messaging.backends.redis.admin.acl import write_acl_file
from messaging.backends.redis.admin.versions import version_of
from messaging.errors import BackendSetupError, BusFullError
from tests.messaging.backends.redis.conftest import Guild, command
from tests.messaging.notes import everything_in, joined, note, notes, settled, take, texts
from tests.servers import (
    redis_6_binary,
    redis_8_binary,
    redis_binary,
    running,
    running_redis_5,
    valkey_binary,
)

ALL = [redis_6_binary, redis_binary, redis_8_binary, valkey_binary]


@pytest.mark.parametrize("binary", ALL)
async def test_every_version_takes_the_acl_file(binary: Callable[[], str], tmp_path: Path) -> None:
    guild = Guild("")
    file = tmp_path / "users.acl"
    _, (user, password) = write_acl_file(file, guild.guild_id)
    with running(binary(), tmp_path, "--aclfile", str(file)) as server:
        url = server.url.replace("//", f"//{user}:{password}@")
        backend = await guild.open(url, profile="standard")
        worker = await joined(backend, "workers")
        await backend.append(notes(3))
        await worker.commit(settled(await take(worker, 3)))
        with pytest.raises(BackendSetupError, match="NOPERM"):
            await command(backend, "FLUSHALL")
        await guild.close()


@pytest.mark.parametrize("binary", ALL)
async def test_every_version_works_for_a_user_who_may_not_ask_for_it(
    binary: Callable[[], str], tmp_path: Path
) -> None:
    with running(binary(), tmp_path) as server:
        guild = Guild(server.url)
        admin = await guild.open()
        rights = ["~*", "&*", "+@all", "-info"]
        await command(admin, "ACL", "SETUSER", "bus", "on", ">secret", *rights)

        backend = await guild.open(server.url.replace("//", "//bus:secret@"))
        await backend.append([note("inside")])

        assert texts(await everything_in(backend, "notes")) == ["inside"]
        assert guild.events() == ["bus.unchecked"]
        await guild.close()


async def test_redis_6_without_memory_refuses_whole(tmp_path: Path) -> None:
    with running(redis_6_binary(), tmp_path) as server:
        guild = Guild(server.url)
        backend = await guild.open()
        worker = await joined(backend, "workers")
        await backend.append(notes(2))
        jobs = await take(worker, 2)
        await command(backend, "CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(BusFullError, match="memory"):
            await backend.append([note("refused")])
        with pytest.raises(BusFullError):
            await worker.commit([Settlement(job, (note("done", "results"),)) for job in jobs])

        await command(backend, "CONFIG", "SET", "maxmemory", "0")
        await worker.commit([Settlement(job, (note("done", "results"),)) for job in jobs])

        assert texts(await everything_in(backend, "results")) == ["done"] * 2
        await guild.close()


async def test_redis_6_names_a_key_that_is_not_ours(tmp_path: Path) -> None:
    with running(redis_6_binary(), tmp_path) as server:
        guild = Guild(server.url)
        backend = await guild.open()
        await command(backend, "SET", f"{{{guild.guild_id}}}:t:notes", "somebody else's")

        with pytest.raises(BackendSetupError, match="another guild id"):
            await backend.append([note("x")])
        await guild.close()


@pytest.mark.parametrize("profile", [None, "ephemeral"])
async def test_redis_5_is_refused_before_anything_is_written(profile: str | None) -> None:
    with running_redis_5() as url:
        guild = Guild(url)
        with pytest.raises(BackendSetupError, match=r"is Redis 5\.0.*needs Redis 6\.2") as refused:
            await guild.open(profile=profile)

        assert url in str(refused.value)
        assert await commands_given(url) <= {"ping", "info", "client"}


async def commands_given(url: str) -> set[str]:
    """What that server has ever been told to do."""
    async with redis.asyncio.from_url(url, protocol=2) as client:
        statistics = await client.info("commandstats")
    return {name.removeprefix("cmdstat_") for name in statistics}


@pytest.mark.parametrize(
    ("info", "named", "has_shebang"),
    [
        ({"redis_version": "6.2.14"}, "Redis 6.2.14", False),
        ({"redis_version": "7.0.15"}, "Redis 7.0.15", True),
        ({"redis_version": "8.2.1"}, "Redis 8.2.1", True),
        ({"redis_version": "10.0.0"}, "Redis 10.0.0", True),
        ({"redis_version": "7.2.4", "valkey_version": "9.0.0"}, "Valkey 9.0.0", True),
    ],
)
def test_a_version_is_read_from_what_the_server_says(
    info: dict[str, str], named: str, has_shebang: bool
) -> None:
    version = version_of(info, "redis://here")

    assert f"{version.product} {version.text}" == named
    assert version.has_shebang is has_shebang


@pytest.mark.parametrize("text", ["6.0.16", "5.0.7", "", "unstable"])
def test_a_server_that_is_too_old_or_unknown_is_refused(text: str) -> None:
    with pytest.raises(BackendSetupError, match=r"needs Redis 6\.2"):
        version_of({"redis_version": text}, "redis://here")
