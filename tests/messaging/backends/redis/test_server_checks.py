"""A server that cannot keep the promises is refused with the remedy, before anything is sent."""

import asyncio
import contextlib
from pathlib import Path
from urllib.parse import quote

import pytest

from messaging.backends.redis.connection import connection
from messaging.backends.redis.connection.endpoint import endpoint_of, is_torn, redacted
from messaging.backends.urls import check_url, open_backend
from messaging.errors import BackendSetupError, BackendUnavailableError, BusClosedError
from tests.messaging.backends.redis.conftest import Guild, command
from tests.messaging.notes import everything_in, note, texts
from tests.servers import running_redis


async def test_a_server_with_an_append_only_file_keeps_the_standard_profile(guild: Guild) -> None:
    backend = await guild.open()

    assert backend.profile == "standard"
    assert guild.events() == []


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_a_server_that_evicts_is_refused(guild: Guild, policy: str) -> None:
    healthy = await guild.open()
    await command(healthy, "CONFIG", "SET", "maxmemory-policy", policy)

    with pytest.raises(BackendSetupError, match=f"{policy}.*noeviction") as refused:
        await guild.open()
    assert guild.url in str(refused.value)


async def test_a_server_without_persistence_says_so(tmp_path: Path) -> None:
    with running_redis(tmp_path, "--appendonly", "no") as server:
        guild = Guild(server.url)
        backend = await guild.open()

        assert backend.profile == "ephemeral"
        assert guild.events() == ["bus.ephemeral"]
        await guild.close()


async def test_a_server_without_persistence_is_refused_for_the_standard_profile(
    tmp_path: Path,
) -> None:
    with running_redis(tmp_path, "--appendonly", "no") as server:
        guild = Guild(server.url)
        with pytest.raises(BackendSetupError, match="appendonly yes"):
            await guild.open(profile="standard")


async def test_a_profile_that_nobody_knows_is_refused(guild: Guild) -> None:
    with pytest.raises(BackendSetupError, match=r"eternal.*ephemeral, standard, durable"):
        await guild.open(profile="eternal")


async def test_a_replica_is_refused(guild: Guild) -> None:
    healthy = await guild.open()
    await command(healthy, "REPLICAOF", "127.0.0.1", "1")

    with pytest.raises(BackendSetupError, match="primary"):
        await guild.open()
    await command(healthy, "REPLICAOF", "NO", "ONE")


async def test_no_server_is_an_error_that_names_the_url_and_the_remedy() -> None:
    backend = open_backend("redis://127.0.0.1:1/0", "g")

    with pytest.raises(BackendUnavailableError, match=r"redis://127\.0\.0\.1:1/0.*redis-server"):
        await backend.open()
    with pytest.raises(BusClosedError):
        await backend.append([note("x")])
    await backend.close()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "does not speak the protocol of Redis"),
        (b"", "silent"),
    ],
)
async def test_what_is_no_redis_at_all_is_named(
    answer: bytes, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 0.3)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        with contextlib.suppress(ConnectionError):
            while await reader.read(100):  # until the other side has enough
                pass
        writer.close()
        closed.set()

    closed = asyncio.Event()
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as stranger:
        port = stranger.sockets[0].getsockname()[1]
        with pytest.raises(BackendUnavailableError, match=says):
            await open_backend(f"redis://127.0.0.1:{port}", "g").open()
        await closed.wait()


async def test_no_socket_is_an_error_too(tmp_path: Path) -> None:
    backend = open_backend(f"unix://{tmp_path}/none.sock", "g")

    with pytest.raises(BackendUnavailableError, match=r"none\.sock"):
        await backend.open()


async def test_a_wrong_password_is_named_and_not_repeated(tmp_path: Path) -> None:
    with running_redis(tmp_path, "--requirepass", "right") as server:
        for url in (server.url, server.url.replace("//", "//:wrong-secret@")):
            backend = open_backend(url, "g")
            with pytest.raises(BackendSetupError) as refused:
                await backend.open()
            assert "wrong-secret" not in str(refused.value)

        guild = Guild(server.url.replace("//", "//:right@") + "?protocol=2")
        backend = await guild.open()
        await backend.append([note("inside")])
        assert texts(await everything_in(backend, "notes")) == ["inside"]
        await guild.close()


async def test_a_user_who_may_not_ask_for_the_set_up_is_told_so(guild: Guild) -> None:
    admin = await guild.open()
    rights = ["~*", "&*", "+@all", "-info"]
    await command(admin, "ACL", "SETUSER", "bus", "on", ">secret", *rights)
    url = guild.url.replace("//", "//bus:secret@")

    assert (await guild.open(url)).profile == "ephemeral"
    assert guild.events() == ["bus.unchecked"]
    assert (await guild.open(url, profile="standard")).profile == "standard"


async def test_databases_of_one_server_are_apart(guild: Guild) -> None:
    here, there = await guild.open(), await guild.open(guild.url.replace("/0", "/1"))

    await here.append([note("here")])

    assert texts(await everything_in(there, "notes")) == []


async def test_a_server_is_reached_by_its_socket(tmp_path: Path) -> None:
    socket = tmp_path / "s.sock"
    with running_redis(tmp_path, "--unixsocket", str(socket)) as server:
        guild = Guild(f"unix://{socket}?db=2")
        backend = await guild.open()
        await backend.append([note("inside")])
        assert texts(await everything_in(await guild.open(), "notes")) == ["inside"]
        assert await everything_in(await guild.open(server.url), "notes") == []
        await guild.close()


def test_a_bare_server_on_another_host_is_refused_unless_permitted() -> None:
    with pytest.raises(BackendSetupError, match="password"):
        endpoint_of("redis://db.example:6379/0")

    assert endpoint_of("redis://db.example:6379/0?allow_no_password=true").host == "db.example"
    assert endpoint_of("redis://:secret@db.example").greeting == (("AUTH", "secret"),)
    assert endpoint_of("redis://localhost").port == 6379


def test_passwords_are_not_shown() -> None:
    assert redacted("redis://user:secret@host:1/0") == "redis://user:***@host:1/0"
    assert redacted("sentinel://h/m?sentinel_password=s") == "sentinel://h/m?sentinel_password=***"
    assert endpoint_of("rediss://:secret@host:1/3").url == "rediss://:***@host:1/3"


@pytest.mark.parametrize("scheme", ["redis", "rediss", "redis+cluster", "unix"])
@pytest.mark.parametrize("user", ["", "user"])
@pytest.mark.parametrize("password", ["s3/cret", "s3#cret", "s3?cret", "s3?cret=s3", "s3@x/cret"])
def test_a_password_that_tears_its_url_apart_is_not_shown(
    scheme: str, user: str, password: str
) -> None:
    where = "/run/server.sock" if scheme == "unix" else "host:6379/0"
    url = f"{scheme}://{user}:{password}@{where}"
    with pytest.raises(BackendSetupError, match="%2F") as opened:
        open_backend(url, "guild")
    with pytest.raises(BackendSetupError, match="%2F") as checked:
        check_url(url)

    for shown in (str(opened.value), str(checked.value)):
        assert "s3" not in shown
        assert "cret" not in shown
    open_backend(f"{scheme}://{user}:{quote(password, safe='')}@{where}", "guild")


@pytest.mark.parametrize(
    "url",
    [
        "redis://host/0?db=1&protocol=2",
        "rediss://h:1?ssl_ca_certs=/home/a@b/ca.pem&allow_no_password=true",
        "redis://:p@[::1]:6379/0?ssl_password=a@b",
        "unix:///run/a@b.sock",
        "sentinel://h:1,h2:2/name?sentinel_password=a@b",
        "redis://user@host",
    ],
)
def test_what_may_hold_an_at_sign_is_taken_for_what_it_is(url: str) -> None:
    assert not is_torn(url)


@pytest.mark.parametrize(
    "query", ["ssl_cert_reqs=none", "ssl_check_hostname=false", "ssl_cert_reqs=required"]
)
def test_tls_is_checked_as_the_url_says(query: str) -> None:
    tls = endpoint_of(f"rediss://:secret@host?{query}").tls

    assert tls is not None
    assert tls.check_hostname == (query == "ssl_cert_reqs=required")
    assert endpoint_of("redis://:secret@host").tls is None


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("amqp://host", "not a bus"),
        ("", "not a bus"),
        ("redis+sentinels://host/name", "not a bus.*sentinel://"),
        ("redis-cluster://host", "not a bus.*redis.cluster://"),
        ("redis://host:notaport/0", "not the URL"),
    ],
)
def test_an_unknown_url_is_an_error_that_lists_the_known_ones(url: str, says: str) -> None:
    with pytest.raises(BackendSetupError, match=says):
        open_backend(url, "g")


def test_an_unknown_option_is_an_error_that_names_it() -> None:
    for url in ("memory://", "redis://localhost", "embedded"):
        with pytest.raises(BackendSetupError, match="max_backlogs"):
            open_backend(url, "g", max_backlogs=1)
