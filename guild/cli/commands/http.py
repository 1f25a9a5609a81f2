"""What the commands that listen have in common."""

import asyncio
import importlib.util
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from guild.cli.calling.call import Call
from guild.cli.calling.exit_codes import INTERRUPTED, UsageError
from guild.cli.commands.observing import MetricsOf
from guild.errors import MissingExtraError
from guild.gateway.callers import Caller, Callers, OneSecret, Scope, new_secret
from guild.gateway.exposure import DEFAULT_HOST, ExposureError, Listening
from guild.gateway.tokens import TokenFile
from guild.runtime import Guild, GuildStatus

TOKEN_VARIABLE = "GUILDBUS_TOKEN"  # noqa: S105  its name
LAST_PORT = 65_535
_MADE_UP = "made-up"
_PLACE = re.compile(r"((?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]]*):)?(?P<port>[0-9]{1,5})")


def check_installed(command: str) -> None:
    """Pass if what serves HTTP is installed.

    Raises:
        MissingExtraError: it is not.
    """
    missing = [name for name in ("starlette", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(command, "web", missing)


def callers_at(call: Call, place: Listening, file: Path | None) -> tuple[Callers | None, str]:
    """Those who may call, None for everybody here; and the token that was made up now, or "".

    Raises:
        UsageError: it would be open to others without TLS, or the certificate cannot be used.
        TokenFileError: the file of tokens cannot be used.
    """
    callers: Callers | None = token_file(call, file)
    made_up = ""
    if callers is None and place.is_exposed:
        made_up = new_secret()
        callers = OneSecret(Caller(_MADE_UP, frozenset(Scope)), made_up)
    try:
        place.check(has_tokens=callers is not None, remedy="give --tokens FILE")
    except ExposureError as error:
        raise UsageError(str(error)) from error
    return callers, made_up


def token_file(call: Call, path: Path | None) -> TokenFile | None:
    """The tokens in a file; that others can read it is told.

    Raises:
        TokenFileError: it cannot be used.
    """
    if path is None:
        return None
    tokens = TokenFile(path)
    if tokens.warning:
        call.output.note(f"warning: {tokens.warning}")
    return tokens


@contextmanager
def first_signal(call: Call, note: str) -> Iterator[asyncio.Event]:
    """An event that the first SIGINT or SIGTERM sets; the second one ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        if stop.is_set():
            os._exit(INTERRUPTED)
        stop.set()
        call.output.note(note)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


@dataclass(frozen=True)
class Http:
    """What was typed about where and for whom something is served.

    Attributes:
        at: `[HOST:]PORT`, None where it was left out; an IPv6 address stands in brackets.
        tokens: the file of those who may call.
        host: instead of `at`, as is `port`.
    """

    at: str | None = None
    tokens: Path | None = None
    names: tuple[str, ...] = ()
    certificate: Path | None = None
    private_key: Path | None = None
    allow_plain_http: bool = False
    host: str | None = None
    port: int | None = None

    def listening(self, default_port: int) -> Listening:
        """Where a command serves that does so in any case.

        Raises:
            UsageError: that is no place, or it is said twice.
        """
        if self.at is not None and (self.host, self.port) != (None, None):
            raise UsageError("--http HOST:PORT says what --host and --port do: give one of them")
        if self.at is not None:
            return self._listening(*_place_in(self.at))
        port = default_port if self.port is None else self.port
        return self._listening(self.host or DEFAULT_HOST, port)

    def place(self, *, is_request: bool) -> Listening | None:
        """Where the gateway is; None for none.

        Raises:
            UsageError: that is no place, or something is said about a gateway that is not wanted.
        """
        if self.at is None:
            if self != Http():
                raise UsageError("--tokens, --name and the like are of no use without --http PORT")
            return None
        if is_request:
            raise UsageError("--http serves a guild that runs on; --request answers and stops")
        return self._listening(*_place_in(self.at))

    def _listening(self, host: str, port: int) -> Listening:
        key, plain = self.private_key, self.allow_plain_http
        return Listening(host, port, self.names, self.certificate, key, plain)


def _place_in(word: str) -> tuple[str, int]:
    found = _PLACE.fullmatch(word)
    if found is None or int(found["port"]) > LAST_PORT:
        raise UsageError(f"--http wants [HOST:]PORT, as 8700 or [::1]:8700, not {word!r}")
    return (found["host"] or DEFAULT_HOST).strip("[]"), int(found["port"])


NO_HTTP = Http()


@asynccontextmanager
async def gateway_beside(
    guild: Guild,
    call: Call,
    place: Listening | None,
    file: Path | None,
    *,
    metrics_of: MetricsOf | None = None,
) -> AsyncIterator[None]:
    """A block in which the gateway of `guild` is served beside it, until the guild is drained.

    Args:
        guild: a running one.
        call: of the command.
        place: where; None serves nothing.
        file: of those who may call.
        metrics_of: what `/metrics` shows; None for nothing.

    Raises:
        UsageError, ExposureError, TokenFileError: it cannot be served so.
        MissingExtraError: what serves HTTP is not installed.
    """
    if place is None:
        yield
        return
    check_installed("guildbus run --http")
    from guild.gateway.app import gateway_app  # noqa: PLC0415  an extra
    from guild.gateway.exposure import reachable  # noqa: PLC0415  likewise
    from guild.gateway.limits import DEFAULT_LIMITS  # noqa: PLC0415
    from guild.gateway.mounted import extra_apps  # noqa: PLC0415
    from guild.gateway.probes import is_ready  # noqa: PLC0415
    from guild.gateway.serving import listening  # noqa: PLC0415

    callers, made_up = callers_at(call, place, file)
    bus_is_ready = is_ready(lambda: guild.client)

    async def ready() -> str:
        if guild.status in (GuildStatus.RUNNING, GuildStatus.DEGRADED):
            return await bus_is_ready()
        return f"the guild is {guild.status}"

    async with extra_apps(guild.plan) as mounts:
        app = gateway_app(
            lambda: guild.client,
            tokens=callers,
            hosts=place.all_names,
            mounts=mounts,
            ready=ready,
            metrics=None if metrics_of is None else metrics_of(guild.client.bus),
        )
        served = listening(app, place, limits=DEFAULT_LIMITS, streams=app.state.streams)
        async with served as (_, url):
            if made_up:
                call.output.note(f"token, shown this once: export {TOKEN_VARIABLE}={made_up}")
            call.output.note(f"console: {reachable(url)}/")
            yield
            await guild.drain()
