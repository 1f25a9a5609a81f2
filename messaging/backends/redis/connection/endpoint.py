"""Where a server is and how to greet it, from a URL or from our own embedded server."""

import asyncio
import re
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from messaging.backends.redis.connection.embedded import EmbeddedServer
from messaging.backends.redis.connection.tls import PARAMETERS as TLS_PARAMETERS
from messaging.backends.redis.connection.tls import tls_of
from messaging.errors import BackendSetupError

DEFAULT_PORT = 6379
PARAMETERS = TLS_PARAMETERS | {"allow_no_password", "db", "protocol"}
_NUMBERS = frozenset({"db", "protocol"})
_HOST = r"(\[[^]]+\]|[^:,@\[\]]+)(:\d*)?"
_HOSTS = re.compile(rf"{_HOST}(,{_HOST})*")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", ""})


class Endpoint(NamedTuple):
    """A server's address.

    Attributes:
        greeting: the commands that a fresh connection sends first.
        is_ours: whether it is an embedded server, which answered just now.
    """

    url: str
    path: str = ""
    host: str = ""
    port: int = DEFAULT_PORT
    tls: ssl.SSLContext | None = None
    greeting: tuple[tuple[str, ...], ...] = ()
    is_ours: bool = False


class FixedAddress:
    """A server that somebody else runs."""

    def __init__(self, url: str) -> None:
        self._endpoint = endpoint_of(url)

    async def resolve(self) -> Endpoint:
        return self._endpoint


class EmbeddedAddress:
    """Our own server, started if it does not run, also after it was lost."""

    def __init__(self, folder: Path, *, fsync: str = "everysec") -> None:
        self.server = EmbeddedServer(folder, fsync=fsync)

    async def resolve(self) -> Endpoint:
        path = await asyncio.to_thread(self.server.start)
        return Endpoint(url=f"embedded:{self.server.folder}", path=path, is_ours=True)


def endpoint_of(url: str) -> Endpoint:
    """The endpoint that `url` names: redis://, rediss:// or unix://.

    `?allow_no_password=true` permits a server without a password on another host; for TLS see
    `messaging.backends.redis.connection.tls`.

    Raises:
        BackendSetupError: not such a URL, an unknown parameter or unusable certificate in it, or a
            bare server on another host.
    """
    _check_parameters(url)
    allow_no_password, plain_url = _take_permission(url)
    try:
        found = parse_url(plain_url)
    except ValueError as error:
        raise BackendSetupError(f"{redacted(url)} is not the URL of a server: {error}") from error
    host = str(found.get("host", "localhost"))
    password = found.get("password")
    path = str(found.get("path", ""))
    if not (path or password or allow_no_password or host in LOOPBACK):
        raise BackendSetupError(
            f"{redacted(url)} has no password and is not this machine: anybody there could read "
            "and forge messages. Set one (redis://:password@host), or add ?allow_no_password=true"
        )
    return Endpoint(
        url=redacted(plain_url),
        path=path,
        host=host,
        port=int(found.get("port", DEFAULT_PORT)),
        tls=tls_of(found) if plain_url.startswith("rediss:") else None,
        greeting=_greeting(found.get("username"), password, int(found.get("db") or 0)),
    )


def parse_url(url: str) -> dict[str, Any]:
    """What `url` says, by the names and rules of redis-py, which takes long to import.

    Raises:
        ValueError: it is not such a URL, or has text where a number belongs.
    """
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("it must begin with redis://, rediss:// or unix://")
    parts = urlsplit(url)
    found: dict[str, Any] = {}
    for name, value in parse_qsl(parts.query):
        found.setdefault(name, value)
    for name in found.keys() & _NUMBERS:
        try:
            found[name] = int(found[name])
        except ValueError:
            raise ValueError(f"{name} is {found[name]!r}, which is not a number") from None
    for name, given in (("username", parts.username), ("password", parts.password)):
        if given:
            found[name] = unquote(given)
    if parts.scheme == "unix":
        return found | ({"path": unquote(parts.path)} if parts.path else {})
    if parts.hostname:
        found["host"] = unquote(parts.hostname)
    if parts.port:
        found["port"] = parts.port
    with suppress(ValueError):  # a path that is no number names no database
        found.setdefault("db", int(unquote(parts.path).replace("/", "")))
    return found


def is_torn(url: str) -> bool:
    """Whether a password in `url` has a /, ? or #, so that its rest would be taken for a path."""
    parts = urlsplit(url)
    scheme = parts.scheme.partition("+")[0]
    if "@" not in url or scheme not in ("redis", "rediss", "sentinel", "unix"):
        return False
    if scheme == "unix":  # there is no host, and a path may have an @
        return bool(parts.netloc) and not parts.netloc.endswith("@")
    names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    has_host = not parts.netloc or _HOSTS.fullmatch(parts.netloc.rpartition("@")[2])
    return "@" in "".join([parts.path, parts.fragment, *names, "" if has_host else parts.query])


def redacted(url: str) -> str:
    """`url` without its passwords."""
    parts = urlsplit(url)
    if is_torn(url):
        return f"{parts.scheme}://***@{url.rpartition('@')[2]}"
    if "password" in parts.query:
        pairs = parse_qsl(parts.query)
        hidden = [(name, "***" if name.endswith("password") else value) for name, value in pairs]
        parts = parts._replace(query=urlencode(hidden, safe="*/"))
    if parts.password is None:
        return urlunsplit(parts)
    user = f"{parts.username}:***@" if parts.username else ":***@"
    return urlunsplit(parts._replace(netloc=user + parts.netloc.rpartition("@")[2]))


def _check_parameters(url: str) -> None:
    given = [name for name, _ in parse_qsl(urlsplit(url).query)]
    if unknown := sorted(set(given) - PARAMETERS):
        raise BackendSetupError(
            f"{redacted(url)} has {', '.join(unknown)} behind the question mark, which the bus "
            f"does not know; it knows {', '.join(sorted(PARAMETERS))}"
        )


def _take_permission(url: str) -> tuple[bool, str]:
    base, _, query = url.partition("?")
    pairs = parse_qsl(query)
    kept = [(name, value) for name, value in pairs if name != "allow_no_password"]
    allowed = any(name == "allow_no_password" and value == "true" for name, value in pairs)
    return allowed, f"{base}?{urlencode(kept)}" if kept else base


def _greeting(
    username: str | None, password: str | None, database: int
) -> tuple[tuple[str, ...], ...]:
    commands: list[tuple[str, ...]] = []
    if password:
        commands.append(("AUTH", username, password) if username else ("AUTH", password))
    if database:
        commands.append(("SELECT", str(database)))
    return tuple(commands)
