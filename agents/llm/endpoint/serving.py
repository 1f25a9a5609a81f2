"""The endpoint as a server of its own."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from agents.llm.endpoint.access import is_address, is_loopback
from agents.llm.endpoint.app import DEADLINE_S, MAX_BODY_BYTES, create_app
from agents.llm.engines.config import EngineConfig
from agents.llm.engines.registry import DEFAULT_IDLE_UNLOAD_S, ModelRegistry

MAX_CONNECTIONS = 512
_GRACE_S = 10


async def serve(
    models: Mapping[str, EngineConfig],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    keys: Iterable[str] = (),
    hosts: Iterable[str] = (),
    certificate: Path | None = None,
    private_key: Path | None = None,
    allow_plain_http: bool = False,
    defaults: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    loading: Callable[[str], None] | None = None,
    idle_unload_s: float | None = DEFAULT_IDLE_UNLOAD_S,
    max_body_bytes: int = MAX_BODY_BYTES,
    deadline_s: float | None = DEADLINE_S,
    ready: Callable[[str], None] = lambda _: None,
    stopping: Callable[[], None] = lambda: None,
) -> None:
    """Serve `models` until SIGINT or SIGTERM, or until cancelled.

    Args:
        models: by the name that clients use.
        host: where to listen. Beyond loopback a key is needed, and TLS or `allow_plain_http`.
        port: 0 for any that is free.
        keys: see `create_app`.
        hosts: names by which clients reach the server, beside `localhost` and addresses.
        certificate: a PEM file, for TLS.
        private_key: its key, where it is not in the same file.
        allow_plain_http: serve beyond loopback without TLS, behind a proxy that has it.
        defaults: see `create_app`.
        loading: is told the name of each model before it is loaded, all of them before `ready`;
            None loads each with its first request.
        idle_unload_s: seconds without a request after which a model is freed.
        max_body_bytes: larger requests are refused.
        deadline_s: seconds after which a generation ends with an error.
        ready: is told the URL for clients, as soon as they are answered.
        stopping: is called when a signal has come. At the first one answers have ten seconds to
            end, and a model that is being loaded is waited for.

    Raises:
        ValueError: it would be open to others than those who have a key.
        OSError: nobody can listen there.
        LLMInitializationError: a model cannot be loaded, where they are loaded first.
    """
    keys = list(keys)
    check_exposure(host, keys, has_tls=certificate is not None, allow_plain_http=allow_plain_http)
    with _stopped_by_signals(stopping) as signals:
        async with ModelRegistry(idle_unload_s=idle_unload_s) as registry:
            names = [*hosts] if is_address(host) else [*hosts, host]
            app = create_app(
                models,
                registry,
                defaults=defaults,
                keys=keys,
                hosts=names,
                max_body_bytes=max_body_bytes,
                deadline_s=deadline_s,
            )
            tls = {"ssl_certfile": certificate, "ssl_keyfile": private_key} if certificate else {}
            async with _started(app, host, port, tls) as (server, url):
                signals.stop(server)
                if loading is None or await _are_loaded(models, registry, loading, server):
                    ready(url)
                await asyncio.shield(server.running)


async def _are_loaded(
    models: Mapping[str, EngineConfig],
    registry: ModelRegistry,
    loading: Callable[[str], None],
    server: "_Server",
) -> bool:
    """Load each model; False where the server was stopped meanwhile."""
    names: dict[str, str] = {}
    for name, config in models.items():
        names.setdefault(config.key, name)

    async def load() -> None:
        for name in names.values():
            loading(name)
            async with registry.lease(models[name]):
                pass

    work = asyncio.create_task(load())
    await asyncio.wait({work, server.running}, return_when=asyncio.FIRST_COMPLETED)
    if work.done():
        work.result()
        return not server.should_exit
    work.cancel()
    await asyncio.wait({work})
    return False


def check_exposure(
    host: str, keys: Iterable[str], *, has_tls: bool, allow_plain_http: bool
) -> None:
    """Refuse to listen beyond loopback without keys and TLS.

    Raises:
        ValueError: one of them is missing.
    """
    if is_loopback(host):
        return
    if not list(keys):
        raise ValueError(
            f"{host} can be reached by others: give an API key, or listen on 127.0.0.1"
        )
    if not has_tls and not allow_plain_http:
        raise ValueError(
            f"{host} can be reached by others, who could read keys and texts on their way: give a "
            "certificate, or allow plain HTTP if a proxy in front of it has TLS"
        )


@asynccontextmanager
async def serving(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve any app while the block runs; gives the URL for clients, `http://…/v1`."""
    async with _started(app, host, port, {}) as (_, url):
        yield url


@asynccontextmanager
async def _started(
    app: ASGIApp, host: str, port: int, tls: Mapping[str, Any]
) -> AsyncIterator[tuple["_Server", str]]:
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=_GRACE_S,
        **tls,
    )
    with _listening(host, port) as listener:
        server = _Server(config)
        server.running = asyncio.create_task(server.serve(sockets=[listener]))
        ready = asyncio.create_task(server.ready.wait())
        await asyncio.wait({server.running, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        try:
            if server.running.done():
                server.running.result()
            name = f"[{host}]" if ":" in host else host
            scheme = "https" if tls else "http"
            yield server, f"{scheme}://{name}:{listener.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            await server.running


class _Server(uvicorn.Server):
    """Says when it is ready, and leaves signals to whoever runs it."""

    running: "asyncio.Task[None]"

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Signals:
    """A first signal lets answers end, a second SIGINT does not wait for them."""

    def __init__(self, stopping: Callable[[], None]) -> None:
        self._stopping = stopping
        self._server: _Server | None = None
        self._early: int | None = None

    def stop(self, server: _Server) -> None:
        """Whom they stop from now on."""
        self._server = server
        if self._early is not None:
            server.handle_exit(self._early, None)

    def take(self, number: int) -> None:
        if self._server is None:
            self._early = number
        else:
            self._server.handle_exit(number, None)
        self._stopping()


@contextmanager
def _stopped_by_signals(stopping: Callable[[], None]) -> Iterator[_Signals]:
    loop = asyncio.get_running_loop()
    signals = _Signals(stopping)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signals.take, number)
    try:
        yield signals
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)
