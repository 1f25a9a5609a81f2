"""TLS to a real server: what is trusted, and what is refused with the remedy."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from messaging.backend import Settlement
from messaging.backends.redis.connection import connection
from messaging.errors import BackendSetupError, BackendUnavailableError
from tests.certificates import Authority
from tests.messaging.backends.redis.conftest import Guild, command
from tests.messaging.notes import everything_in, joined, note, take_one, texts
from tests.servers import RedisServer, free_port, running_redis


class TlsSite(NamedTuple):
    """A server that speaks TLS on one port and plainly on another."""

    server: RedisServer
    authority: Authority
    port: int
    folder: Path

    def url(self, query: str = "", host: str = "127.0.0.1") -> str:
        return f"rediss://{host}:{self.port}/0?ssl_ca_certs={self.authority.file}{query}"


@pytest.fixture
def tls_site(tmp_path: Path) -> Iterator[TlsSite]:
    authority, port = Authority(tmp_path), free_port()
    certificate = authority.issue("server", "127.0.0.1")
    options = {
        "--tls-port": str(port),
        "--tls-ca-cert-file": str(authority.file),
        "--tls-cert-file": str(certificate.file),
        "--tls-key-file": str(certificate.key_file),
        "--tls-auth-clients": "no",
    }
    flat = [part for pair in options.items() for part in pair]
    with running_redis(tmp_path, *flat) as server:
        yield TlsSite(server, authority, port, tmp_path)


@pytest.fixture
async def guild(tls_site: TlsSite) -> AsyncIterator[Guild]:
    guild = Guild(tls_site.url())
    yield guild
    await guild.close()


async def test_messages_travel_both_ways(guild: Guild) -> None:
    backend = await guild.open()
    worker = await joined(backend, "workers")
    await backend.append([note("x" * 300_000)])

    job = await take_one(worker)
    await worker.commit([Settlement(job, (note("done", "results"),))])

    assert job.envelope.payload
    assert texts(await everything_in(backend, "results")) == ["done"]


async def test_a_lost_connection_comes_back(guild: Guild) -> None:
    backend, other = await guild.open(), await guild.open()
    await backend.append([note("before")])

    await command(other, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await backend.append([note("after")])

    assert texts(await everything_in(backend, "notes")) == ["before", "after"]


async def test_a_server_of_a_strange_authority_is_refused(guild: Guild, tls_site: TlsSite) -> None:
    stranger = Authority(tls_site.folder, "stranger")

    with pytest.raises(BackendSetupError, match=r"not signed by an authority.*ssl_ca_certs"):
        await guild.open(f"rediss://127.0.0.1:{tls_site.port}/0?ssl_ca_certs={stranger.file}")
    with pytest.raises(BackendSetupError, match="ssl_ca_certs"):  # nor does the system know it
        await guild.open(f"rediss://127.0.0.1:{tls_site.port}/0")


async def test_trust_in_anybody_must_be_asked_for(guild: Guild, tls_site: TlsSite) -> None:
    url = f"rediss://127.0.0.1:{tls_site.port}/0?ssl_cert_reqs=none"

    assert (await guild.open(url)).profile == "standard"


async def test_a_certificate_for_another_host_is_refused(guild: Guild, tls_site: TlsSite) -> None:
    with pytest.raises(BackendSetupError, match="another host than localhost"):
        await guild.open(tls_site.url(host="localhost"))

    assert await guild.open(tls_site.url("&ssl_check_hostname=false", host="localhost"))


async def test_an_expired_certificate_is_refused(guild: Guild, tls_site: TlsSite) -> None:
    old = tls_site.authority.issue("old", "127.0.0.1", ended=True)
    admin = await guild.open()
    files = ("tls-cert-file", str(old.file), "tls-key-file", str(old.key_file))
    await command(admin, "CONFIG", "SET", *files)

    with pytest.raises(BackendSetupError, match="expired"):
        await guild.open()


async def test_a_server_that_wants_a_certificate_gets_ours(guild: Guild, tls_site: TlsSite) -> None:
    admin = await guild.open()
    await command(admin, "CONFIG", "SET", "tls-auth-clients", "yes")
    ours = tls_site.authority.issue("client")
    shown = f"&ssl_certfile={ours.file}&ssl_keyfile={ours.key_file}"

    with pytest.raises(BackendSetupError, match="ssl_certfile"):
        await guild.open()
    backend = await guild.open(tls_site.url(shown))
    await backend.append([note("trusted")])

    assert texts(await everything_in(backend, "notes")) == ["trusted"]


async def test_a_certificate_that_the_server_does_not_trust_is_named(
    guild: Guild, tls_site: TlsSite
) -> None:
    admin = await guild.open()
    await command(admin, "CONFIG", "SET", "tls-auth-clients", "yes")
    forged = Authority(tls_site.folder, "forger").issue("forged")

    with pytest.raises(BackendSetupError, match="does not trust our certificate"):
        await guild.open(tls_site.url(f"&ssl_certfile={forged.file}&ssl_keyfile={forged.key_file}"))


async def test_a_plain_port_is_named_as_such(
    guild: Guild, tls_site: TlsSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 0.3)

    with pytest.raises(BackendUnavailableError, match="is it a TLS port"):
        await guild.open(tls_site.server.url.replace("redis:", "rediss:"))


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("ssl_ca_certs=/none.pem", "ssl_ca_certs=/none.pem cannot be used: No such file"),
        ("ssl_certfile=/none.crt", "ssl_certfile=/none.crt cannot be used: No such file"),
        ("ssl_cert_reqs=optional", "optional"),
        ("ssl_ca_cert=/typo.pem", "ssl_ca_cert behind the question mark.*ssl_ca_certs"),
    ],
)
def test_what_cannot_be_used_is_named(query: str, says: str) -> None:
    with pytest.raises(BackendSetupError, match=says):
        Guild("").new(f"rediss://127.0.0.1/0?{query}")


def test_a_file_that_holds_no_certificate_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "notes.txt"
    wrong.write_text("not a certificate")

    with pytest.raises(BackendSetupError, match=r"notes\.txt.*PEM"):
        Guild("").new(f"rediss://127.0.0.1/0?ssl_ca_certs={wrong}")
    with pytest.raises(BackendSetupError, match=r"ssl_certfile=.*notes\.txt"):
        Guild("").new(f"rediss://127.0.0.1/0?ssl_certfile={wrong}")
