"""A crew at work on a real Redis, and its gateway."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, NamedTuple

import httpx
import pytest
from jsonschema import Draft202012Validator

from guild.gateway import gateway_app
from guild.gateway.endpoint import Endpoint
from guild.gateway.exposure import Listening
from guild.gateway.limits import DEFAULT_LIMITS, Limits
from guild.gateway.openapi import document_of
from guild.gateway.serving import Server, listening
from guild.gateway.streams import Streams
from guild.gateway.table import TABLE
from guild.runtime import Guild
from messaging.wire.envelope import new_id
from tests.gateway.crew import crew_spec
from tests.servers import running_redis

LOCAL = "http://localhost"
DOCUMENT = document_of(TABLE, has_tokens=True)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture
async def crew(redis_url: str) -> AsyncIterator[Guild]:
    """A guild of its own on the module's server."""
    async with Guild.launch(crew_spec(f"crew-{new_id()}"), bus=redis_url) as guild:
        yield guild


@pytest.fixture
async def http(crew: Guild) -> AsyncIterator[httpx.AsyncClient]:
    """Asks a gateway without tokens, in this process and without a network."""
    async with asking(gateway_app(crew.client)) as client:
        yield client


@asynccontextmanager
async def asking(app: Any, token: str = "", **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    if token:
        headers["Authorization"] = f"Bearer {token}"
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport,
        base_url=f"{LOCAL}/api/v1/",
        headers=headers,
        event_hooks={"response": [check_is_documented]},
    ) as client:
        yield client


async def check_is_documented(answer: httpx.Response) -> None:
    """Fail unless the document says that this may be the answer to such a request."""
    method, path = answer.request.method, answer.request.url.path.removeprefix("/api/v1")
    row = _row_of("GET" if method == "HEAD" else method, path)
    if row is None:
        return
    told = DOCUMENT["paths"][row.path][row.method.lower()]["responses"]
    status, media_type = str(answer.status_code), answer.headers.get("Content-Type", "")
    assert status in told, f"{method} {path}: {status} is not documented"
    content = told[status].get("content", {})
    assert not content or media_type.partition(";")[0] in content, f"{path}: {media_type}"
    if media_type.endswith("json") and method != "HEAD":
        schema = {**content[media_type]["schema"], "components": DOCUMENT["components"]}
        await answer.aread()
        Draft202012Validator(schema).validate(answer.json())


def _row_of(method: str, path: str) -> Endpoint[Any, Any] | None:
    """As the router finds it."""
    fits = (
        row
        for row in TABLE
        if row.method == method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", row.path), path)
    )
    return next(fits, None)


async def until(is_so: Callable[[], bool]) -> None:
    """Return once it is so; the test's timeout ends what never comes."""
    while not is_so():  # noqa: ASYNC110  in a worker of the bus
        await asyncio.sleep(0)


Serve = Callable[..., Any]


@pytest.fixture
async def serve(crew: Guild) -> AsyncIterator[Serve]:
    """Serves gateways of the crew on loopback."""
    async with AsyncExitStack() as stack:

        async def start(limits: Limits = DEFAULT_LIMITS, **options: Any) -> Served:
            app = gateway_app(crew.client, limits=limits, **options.pop("gateway", {}))
            serving = listening(
                app, Listening(), limits=limits, streams=app.state.streams, **options
            )
            server, url = await stack.enter_async_context(serving)
            return Served(url, server, app.state.streams)

        yield start


class Served(NamedTuple):
    """A gateway on a port of its own."""

    url: str
    server: Server
    streams: Streams

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def http(self, **headers: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=f"{self.url}/api/v1/",
            headers=headers,
            timeout=60.0,
            event_hooks={"response": [check_is_documented]},
        )


class Reader:
    """A client of one stream that takes bytes when it is told to.

    Its window is small, so that what it does not take waits in the gateway.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def until(self, wanted: str) -> str:
        """What comes up to `wanted`."""
        seen = bytearray()
        while wanted.encode() not in seen[-2048:]:
            more = await self._reader.read(1024)
            assert more, f"{wanted} did not come: {seen[-500:]!r}"
            seen += more
        return seen.decode()

    async def rest(self) -> bytes:
        """All that comes until the connection ends, in whatever way."""
        seen = b""
        with suppress(ConnectionError):
            while more := await self._reader.read(65536):
                seen += more
        return seen

    def cut(self) -> None:
        """Go away without a word."""
        self._writer.transport.abort()


@asynccontextmanager
async def reading(
    port: int, method: str, path: str, body: object = None, length: int | None = None
) -> AsyncIterator[Reader]:
    """A client of its own connection, which asks for events.

    Args:
        port: of the gateway.
        method: of the request.
        path: below `/api/v1`.
        body: as JSON, or as text; None without one.
        length: that the request says its body has, where it has another one.
    """
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=4096)
    text = "" if body is None else body if isinstance(body, str) else json.dumps(body)
    headers = ["Host: localhost", "Accept: text/event-stream"]
    if body is not None:
        headers += [f"Content-Length: {length or len(text)}", "Content-Type: application/json"]
    head = "\r\n".join([f"{method} /api/v1/{path} HTTP/1.1", *headers])
    writer.write(f"{head}\r\n\r\n{text}".encode())
    try:
        yield Reader(reader, writer)
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()
