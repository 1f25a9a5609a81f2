"""A server is sent the scripts that it lacks, and no others: Redis 6 writes each to its file."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from messaging.backends.redis.admin import acl
from messaging.backends.redis.server import Server
from messaging.testing import eventually
from tests.messaging.backends.redis.conftest import Guild, command, server_of
from tests.messaging.backends.redis.elsewhere import running_acl_server
from tests.messaging.notes import everything_in, note, texts
from tests.reliability.proxy import FaultyProxy
from tests.servers import RedisServer, redis_6_binary, redis_binary, running

BINARIES = {"redis-6": redis_6_binary, "redis": redis_binary}


@pytest.fixture(params=BINARIES)
def redis_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    with running(BINARIES[request.param](), tmp_path) as server:
        yield server


async def load_all(server: Server, call: Callable[..., Awaitable[Any]]) -> None:
    """The mutant: as if no server had any script."""
    for script in server.scripts.all():
        await call("SCRIPT", "LOAD", script.text)


def written_loads(server: RedisServer) -> int:
    """How many SCRIPT LOAD are in the files that the server keeps."""
    files = [file for file in server.folder.rglob("appendonly*") if file.is_file()]
    return sum(file.read_bytes().upper().count(b"\r\nLOAD\r\n") for file in files)


async def script_calls(guild: Guild) -> int:
    """How many SCRIPT commands the server has got: Redis 6 counts all of them as one."""
    backend = await guild.open()
    stats = (await command(backend, "INFO", "commandstats")).decode()
    await backend.close()
    lines = [line for line in stats.splitlines() if line.startswith("cmdstat_script")]
    return sum(int(line.split("calls=")[1].split(",")[0]) for line in lines)


@pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])
async def test_who_connects_after_another_loads_no_script(
    guild: Guild, redis_server: RedisServer, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await guild.open()
    scripts = {script.sha for script in server_of(first).scripts.all()}
    calls = await script_calls(guild)
    written = written_loads(redis_server)
    if is_mutant:
        monkeypatch.setattr(Server, "_load_missing", load_all)

    more_calls = await script_calls(guild) - calls

    if is_mutant:
        assert more_calls >= len(scripts)
    else:
        assert more_calls == 1
        assert written_loads(redis_server) == written


async def test_only_what_a_server_lacks_is_loaded(guild: Guild) -> None:
    first = await guild.open()
    scripts = server_of(first).scripts
    shas = {script.sha for script in scripts.all()}
    before = await script_calls(guild)
    ours = ("FLUSH",), ("LOAD", scripts.append.text), ("LOAD", scripts.emit.text)
    for words in ours:
        await command(first, "SCRIPT", *words)

    theirs = await script_calls(guild) - before - len(ours)

    assert theirs == 1 + len(shas) - 2
    assert await command(first, "SCRIPT", "EXISTS", *shas) == [1] * len(shas)


async def test_a_server_that_forgets_its_scripts_gets_them_with_their_next_use(
    guild: Guild,
) -> None:
    backend = await guild.open()
    await command(backend, "SCRIPT", "FLUSH")

    await backend.append([note("kept")])

    assert texts(await everything_in(backend, "notes")) == ["kept"]


async def test_a_server_that_came_back_empty_has_all_scripts_before_its_next_use(
    guild: Guild, proxy: FaultyProxy
) -> None:
    backend = await guild.open(proxy.url)
    shas = {script.sha for script in server_of(backend).scripts.all()}
    other = await guild.open()
    await command(other, "SCRIPT", "FLUSH")

    proxy.reset_all()
    await eventually(lambda: "bus.reconnected" in guild.events())

    assert await command(other, "SCRIPT", "EXISTS", *shas) == [1] * len(shas)


async def test_rights_that_an_older_version_wrote_are_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = [words for words in acl._COMMANDS if words != "+script|exists"]
    assert len(older) == len(acl._COMMANDS) - 1
    monkeypatch.setattr(acl, "_COMMANDS", older)
    with running_acl_server(tmp_path) as acl_server:
        guild = Guild("")
        guild.url = acl_server.admit(guild.guild_id)

        backend = await guild.open()
        await backend.append([note("kept")])

        assert texts(await everything_in(backend, "notes")) == ["kept"]
        await guild.close()
