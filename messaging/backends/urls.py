"""From a URL to a backend.

memory://, memory://NAME    in this process; buses of one guild and NAME share it, nothing survives
embedded, embedded:FOLDER   a private server with its data in FOLDER (`.guildbus`)
redis:// rediss:// unix://  a server that somebody runs
sentinel://                 the primary that Redis Sentinel names (rediss+sentinel:// with TLS)
redis+cluster://            the node of a cluster that has the guild (rediss+cluster:// with TLS)

Options of the backend may stand behind a question mark: `redis://host/0?profile=durable`.
"""

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import urlsplit

from messaging.backend import Backend
from messaging.backends.url_options import refuse_parameters, take_options
from messaging.errors import BackendSetupError

_HOST_AND_PORT = re.compile(r"[\w.-]+:\d+(/\d*)?")
_NOT_IN_URLS = {"guild_id", "name", "clock", "return"}
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
        guild_id: of the guild; guilds on one server do not see each other.
        options: fields of the backend's `Options`, and `folder` for `embedded`; they take
            precedence over those in the URL.

    Raises:
        BackendSetupError: no such kind of URL, or no such option.
    """
    scheme = _scheme_of(url)
    url = _in_lower_case(url, scheme)
    if "clock" in options and scheme != "memory":
        raise BackendSetupError(
            f"the bus {scheme} takes no clock: its server holds messages back by its own. Turn a "
            "clock on memory://, as `memory_bus` and `launched` have it, or make the delays short"
        )
    try:
        if scheme == "memory":
            return _memory(url, guild_id, options)
        if scheme == "embedded":
            return _embedded(url, guild_id, options)
        if scheme in SERVER_SCHEMES:
            return _redis(url, guild_id, options)
    except TypeError as error:
        raise BackendSetupError(f"an option does not fit the bus {scheme}: {error}") from error
    if "@" in scheme:  # it is all of a URL, as of one whose scheme has an _
        scheme = f"***@{scheme.rpartition('@')[2]}"
    raise BackendSetupError(f"{scheme!r} is not a bus: use {KNOWN}{_meant(url, scheme)}")


def check_url(url: str) -> None:
    """Pass when a bus may have this URL, whatever there is on this machine.

    Raises:
        BackendSetupError: no such kind of URL, no such option, or a value that does not fit.
    """
    scheme = _scheme_of(url)
    if scheme not in SERVER_SCHEMES:
        open_backend(url, "guild")
        return
    from messaging.backends.redis.connection.endpoint import parse_url, redacted  # noqa: PLC0415 - only when used

    plain, _ = _server_options(_in_lower_case(url, scheme))
    try:
        if scheme in ("redis", "rediss", "unix"):
            parse_url(plain)
    except ValueError as error:
        raise BackendSetupError(f"{redacted(url)} is not the URL of a server: {error}") from None


def _scheme_of(url: str) -> str:
    try:
        return urlsplit(url).scheme or url.partition("?")[0]
    except ValueError:  # its text may repeat a part of a password
        raise BackendSetupError(
            "the URL of the bus cannot be read: [ and ] stand around an IPv6 address, and in a "
            "password write [ ] as %5B %5D"
        ) from None


def _in_lower_case(url: str, scheme: str) -> str:
    """`url` with its scheme so; one behind a blank, which `urlsplit` passes over, is refused."""
    return url[: len(scheme)].lower() + url[len(scheme) :]


def _meant(url: str, scheme: str) -> str:
    """What a URL of another form was probably to be."""
    if url.startswith("/"):
        meant = f"unix://{url}"
    elif _HOST_AND_PORT.fullmatch(url):
        meant = f"redis://{url}"
    elif "sock" in scheme or "unix" in scheme:
        meant = "unix:///path"
    else:
        near = get_close_matches(scheme, ("memory", "embedded", *SERVER_SCHEMES), n=1)
        meant = near[0] + "://" * (near[0] != "embedded") if near else ""
    return f"; did you mean {meant}?" if meant else ""


def _memory(url: str, guild_id: str, options: dict[str, Any]) -> Backend:
    from messaging.backends.memory import MemoryBackend  # noqa: PLC0415 - only when used

    types = get_type_hints(MemoryBackend.__init__) | {"profile": str | None}
    types = {name: types[name] for name in types.keys() - _NOT_IN_URLS}
    url, in_url = take_options(url, types)
    refuse_parameters(url, types)
    parts = urlsplit(url)
    options = {"name": parts.netloc + parts.path, **in_url, **options}
    profile = options.pop("profile", None)
    if profile not in (None, "ephemeral"):
        raise BackendSetupError(
            f"memory:// cannot keep the profile {profile}: what it holds ends with this process; "
            "use `embedded`, or a server"
        )
    return MemoryBackend(guild_id, **options)


def _embedded(url: str, guild_id: str, options: dict[str, Any]) -> Backend:
    from messaging.backends.redis import Options, RedisBackend  # noqa: PLC0415 - only when used
    from messaging.backends.redis.connection.embedded import DEFAULT_FOLDER  # noqa: PLC0415 - as above
    from messaging.backends.redis.connection.endpoint import EmbeddedAddress  # noqa: PLC0415 - as above

    types = get_type_hints(Options)
    url, in_url = take_options(url, types)
    refuse_parameters(url, types)
    named = url.removeprefix("embedded").removeprefix(":").removeprefix("//")
    folder = Path(options.pop("folder", None) or named or DEFAULT_FOLDER)
    chosen = Options(**(in_url | options))
    fsync = "always" if chosen.profile == "durable" else "everysec"
    return RedisBackend(EmbeddedAddress(folder, fsync=fsync), guild_id, chosen)


def _redis(url: str, guild_id: str, options: dict[str, Any]) -> Backend:
    from messaging.backends.redis import Options, RedisBackend  # noqa: PLC0415 - only when used
    from messaging.backends.redis.connection.address import address_of  # noqa: PLC0415 - as above

    url, in_url = _server_options(url)
    return RedisBackend(address_of(url, guild_id), guild_id, Options(**(in_url | options)))


def _server_options(url: str) -> tuple[str, dict[str, Any]]:
    """The URL of a server without the options of the bus, and those.

    Raises:
        BackendSetupError: no such option, a value that does not fit, or a password not as in a URL.
    """
    from messaging.backends.redis import Options  # noqa: PLC0415 - only when used
    from messaging.backends.redis.connection.address import parameters_of  # noqa: PLC0415 - as above
    from messaging.backends.redis.connection.endpoint import is_torn, redacted  # noqa: PLC0415 - as above

    if is_torn(url):
        raise BackendSetupError(
            f"{redacted(url)} has a password with a character that ends it: write / ? # and % in "
            "it as %2F %3F %23 and %25"
        )
    types = get_type_hints(Options)
    plain, options = take_options(url, types)
    refuse_parameters(plain, types, parameters_of(plain), shown=redacted(plain))
    return plain, options
