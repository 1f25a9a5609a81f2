"""A gateway as a server of its own. The signals stay those of whoever runs it."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from guild.gateway.exposure import ExposureError, Listening
from guild.gateway.limits import Limits
from guild.gateway.streams import ABORT, Streams
from messaging.process.logs import get_logger

log = get_logger()

MORE_CONNECTIONS = 512
GRACE_S = 10
SILENT_S = 30.0
"""After so long a connection that sends no whole request is closed."""
KEPT_S = 75
"""So long it is kept for the next request: proxies give theirs up after 60 s, and what they send
just as the other end gives up is a 502."""
SENT_BYTES = 256 * 1024
"""So much of one answer may lie in the system until its reader takes it, which would keep megabytes
for each."""
GOODBYE_S = 2.0
"""How long a server that stops waits for the word with which TLS ends, when all is sent."""
LOST_S = 60
"""After so long the system gives up a peer that confirms nothing."""

_LOOK_S = 5.0


class Server(uvicorn.Server):
    """Says when it is ready, closes connections that are silent, and cuts off single ones."""

    running: "asyncio.Task[None]"

    def __init__(self, config: uvicorn.Config, place: Listening, silent_s: float) -> None:
        super().__init__(config)
        self._place = place
        self._certificate = _state_of(place)
        self.ready = asyncio.Event()
        self._silent_s = silent_s
        self._silent: WeakKeyDictionary[Any, tuple[object, float]] = WeakKeyDictionary()
        self._looks_at = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def on_tick(self, counter: int) -> bool:
        now = time.monotonic()
        if now >= self._looks_at:
            self._looks_at = now + min(_LOOK_S, self._silent_s / 2)
            self._close_silent(now)
            self._take_new_certificate()
        return await super().on_tick(counter)

    def _take_new_certificate(self) -> None:
        """Show those who come from now on what was renewed, without a new start."""
        context, state = self.config.ssl, _state_of(self._place)
        if context is None or self._place.certificate is None or state == self._certificate:
            return
        self._certificate = state
        try:
            self._place.check_certificate()  # one that cannot be used would spoil the other
            context.load_cert_chain(self._place.certificate, self._place.private_key)
        except (ExposureError, OSError) as error:
            log.warning("gateway.certificate_not_taken", problem=str(error))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        parting = asyncio.create_task(self._part())
        try:
            await super().shutdown(sockets)
        finally:
            parting.cancel()

    async def _part(self) -> None:
        """Leave clients that do not look at their connection, as those in a pool."""
        leaving: set[Any] = set()
        while True:
            closing = {
                connection
                for connection in self.server_state.connections
                if connection.transport.is_closing()
                and not connection.transport.get_write_buffer_size()
            }
            for connection in closing & leaving:
                connection.transport.abort()
            leaving = closing
            await asyncio.sleep(GOODBYE_S)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def abort(self, client: object) -> None:
        """Cut the connection of this client at once, with what was not sent yet."""
        for connection in list(self.server_state.connections):
            if getattr(connection, "client", None) == client:
                connection.transport.abort()

    def _close_silent(self, now: float) -> None:
        """Close what has sent no whole head of a request for too long, however it trickles.

        A connection that has sent nothing since its last answer is kept, see `KEPT_S`.
        """
        for connection in list(self.server_state.connections):
            cycle = getattr(connection, "cycle", None)  # the last request of the connection
            if cycle is not None and not cycle.response_complete:
                continue
            is_kept = getattr(connection, "timeout_keep_alive_task", None) is not None
            last, since = self._silent.get(connection, (self, now))
            if last is not cycle or is_kept:
                self._silent[connection] = cycle, now
            elif now - since >= self._silent_s:
                connection.transport.abort()


@asynccontextmanager
async def listening(
    app: ASGIApp,
    place: Listening,
    *,
    limits: Limits | None = None,
    streams: Streams | None = None,
    silent_s: float = SILENT_S,
    sent_bytes: int = SENT_BYTES,
) -> AsyncIterator[tuple[Server, str]]:
    """Serve `app` while the block runs; gives the server and its URL.

    At the end of the block answers have ten seconds to end. Streams end at once: their readers come
    back, and go on where they were.

    Args:
        app: what is served.
        place: where; checked by the caller.
        limits: of the app, by which the server knows how many connections there may be.
        streams: those of the app.
        silent_s: after so long a connection that sends no whole request is closed.
        sent_bytes: of one answer, as `SENT_BYTES`.

    Raises:
        ExposureError: it is impossible to listen there; says why.
    """
    tls: dict[str, Any] = {}
    if place.certificate is not None:
        tls = {"ssl_certfile": place.certificate, "ssl_keyfile": place.private_key}
    server: Server

    async def abortable(scope: Scope, receive: Receive, send: Send) -> None:
        def abort() -> None:
            server.abort(scope.get("client"))

        extensions = {**scope.get("extensions", {}), ABORT: abort}
        await app({**scope, "extensions": extensions}, receive, send)

    config = uvicorn.Config(
        abortable,
        lifespan="off",
        http="h11",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MORE_CONNECTIONS + (limits.streams if limits else 0),
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=KEPT_S,
        **tls,
    )
    with _listener(place, sent_bytes) as listener:
        server = Server(config, place, silent_s)
        server.running = asyncio.create_task(server.serve(sockets=[listener]))
        ready = asyncio.create_task(server.ready.wait())
        try:
            await asyncio.wait({server.running, ready}, return_when=asyncio.FIRST_COMPLETED)
            if server.running.done():
                server.running.result()
            name = f"[{place.host}]" if ":" in place.host else place.host
            scheme = "https" if tls else "http"
            yield server, f"{scheme}://{name}:{listener.getsockname()[1]}"
        finally:
            ready.cancel()
            server.should_exit = True
            if streams is not None:
                streams.close()
            await server.running


def _state_of(place: Listening) -> Sequence[int | None]:
    """Which versions of its certificate and key are there."""
    return [_version_of(file) for file in (place.certificate, place.private_key)]


def _version_of(file: Path | None) -> int | None:
    try:
        return None if file is None else file.stat().st_mtime_ns
    except OSError:  # to load it tells why
        return None


def _listener(place: Listening, sent_bytes: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    try:
        listener = socket.create_server((place.host, place.port), family=family)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise ExposureError(
            f"nobody can listen on {place.host}:{place.port}: {reason}; choose another port (0 "
            "is any that is free), or another address"
        ) from error
    # What is accepted inherits these: a peer that has vanished is found out.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sent_bytes)
    with suppress(AttributeError, OSError):  # not every system has it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, LOST_S * 1000)
    return listener
