"""From a URL to a backend.

memory://, memory://NAME    in this process; buses of one guild and NAME share it, nothing survives
embedded, embedded:FOLDER   a private server with its data in FOLDER (`.guildbus`)
redis:// rediss:// unix://  a server that somebody runs
sentinel://                 the primary that Redis Sentinel names (rediss+sentinel:// with TLS)
redis+cluster://            the node of a cluster that has the guild (rediss+cluster:// with TLS)
"""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from messaging.backend import Backend
from messaging.errors import BackendSetupError

KNOWN = "memory://, embedded, redis://, rediss://, unix://, sentinel:// or redis+cluster://"
SERVER_SCHEMES = (
    *("redis", "rediss", "unix"),
    *("sentinel", "redis+sentinel", "rediss+sentinel"),
    *("redis+cluster", "rediss+cluster"),
)


def open_backend(url: str, guild_id: str, **options: Any) -> Backend:
    """The backend that `url` names, not yet opened.

    Args:
        url: see the top of this file.
        guild_id: whose messages; guilds on one server do not see each other.
        options: fields of the backend's `Options`, and `folder` for `embedded`.

    Raises:
        BackendSetupError: no such kind of URL, or no such option.
    """
    scheme = urlsplit(url).scheme or url
    try:
        if scheme == "memory":
            return _memory(url, guild_id, options)
        if scheme == "embedded":
            return _embedded(url, guild_id, options)
        if scheme in SERVER_SCHEMES:
            return _redis(url, guild_id, options)
    except TypeError as error:
        raise BackendSetupError(f"an option does not fit the bus {scheme}: {error}") from error
    raise BackendSetupError(f"{scheme!r} is not a bus: use {KNOWN}")


def _memory(url: str, guild_id: str, options: dict[str, Any]) -> Backend:
    from messaging.backends.memory import MemoryBackend  # noqa: PLC0415 - only when used

    parts = urlsplit(url)
    return MemoryBackend(guild_id, **{"name": parts.netloc + parts.path, **options})


def _embedded(url: str, guild_id: str, options: dict[str, Any]) -> Backend:
    from messaging.backends.redis import Options, RedisBackend  # noqa: PLC0415 - only when used
    from messaging.backends.redis.embedded import DEFAULT_FOLDER  # noqa: PLC0415 - as above
    from messaging.backends.redis.endpoint import EmbeddedAddress  # noqa: PLC0415 - as above

    in_url = url.removeprefix("embedded").removeprefix(":").removeprefix("//")
    folder = Path(options.pop("folder", None) or in_url or DEFAULT_FOLDER)
    return RedisBackend(EmbeddedAddress(folder), guild_id, Options(**options))


def _redis(url: str, guild_id: str, options: dict[str, Any]) -> Backend:
    from messaging.backends.redis import Options, RedisBackend  # noqa: PLC0415 - only when used
    from messaging.backends.redis.address import address_of  # noqa: PLC0415 - as above

    return RedisBackend(address_of(url, guild_id), guild_id, Options(**options))
