"""One fixture, `backend`, that stands for every backend there is."""

import contextlib
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from messaging.backend import Backend
from messaging.backends.memory import MemoryBackend
from messaging.backends.redis.connection.embedded import EmbeddedServer
from messaging.backends.urls import open_backend
from messaging.wire.envelope import new_id
from tests.servers import SERVER_KINDS, server_url

# As redis-py wants them: a dict of all that it could take.
Fields = dict[Any, Any]

KINDS = ("memory", "memory-strict", *SERVER_KINDS)
HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """What builds on backends meets the same server whether it is embedded or not; where both can
    be had, the embedded one is asked that at length. The promises of backends are asked of both."""
    if shutil.which("redis-server") is None:
        return
    for item in items:
        called = getattr(item, "callspec", None)
        is_embedded = called is not None and called.params.get("site") == "embedded"
        if (
            is_embedded
            and item.path.is_relative_to(HERE)
            and HERE / "backends" not in item.path.parents
        ):
            item.add_marker(pytest.mark.long)


class Site:
    """One guild's store, and as many backends on it as a test wants, as if in many processes."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind = kind
        self.url = url
        self.guild_id = f"guild-{new_id()}"
        self._opened: list[Backend] = []

    async def open(self, **limits: Any) -> Backend:
        """Another backend on the same store; `limits` of the first one hold."""
        backend = self._new_backend(limits)
        await backend.open()
        self._opened.append(backend)
        return backend

    async def inject(self, topic: str, fields: Fields) -> None:
        """Put an entry into a server's stream as a stranger would, past the bus."""
        await self._inject(f"t:{topic}", fields)

    async def inject_dead(self, fields: Fields) -> None:
        """As `inject`, among the dead letters."""
        await self._inject("dead", fields)

    async def _inject(self, name: str, fields: Fields) -> None:
        folder = self.url.removeprefix("embedded:")
        url = (
            self.url if folder == self.url else f"unix://{EmbeddedServer(Path(folder)).socket_path}"
        )
        async with redis.asyncio.Redis.from_url(url) as stranger:
            await stranger.xadd(f"{{{self.guild_id}}}:{name}", fields, nomkstream=True)

    async def close(self) -> None:
        for backend in self._opened:
            await backend.close()

    def _new_backend(self, limits: dict[str, Any]) -> Backend:
        if self.kind.startswith("memory"):
            strict = self.kind == "memory-strict"
            return MemoryBackend(self.guild_id, name="site", strict=strict, **limits)
        return open_backend(self.url, guild_id=self.guild_id, **limits)


@pytest.fixture(scope="session")
def url_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """The URL of a server of some kind, started when first asked for and stopped at the end."""
    urls: dict[str, str] = {}
    with contextlib.ExitStack() as servers:

        def find(kind: str) -> str:
            if kind not in urls:
                folder: Path = tmp_path_factory.mktemp(kind)
                urls[kind] = servers.enter_context(server_url(kind, folder))
            return urls[kind]

        yield find


@pytest.fixture(params=KINDS)
async def site(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> AsyncIterator[Site]:
    kind = request.param
    site = Site(kind, "" if kind.startswith("memory") else url_of(kind))
    yield site
    await site.close()


@pytest.fixture
async def backend(site: Site) -> Backend:
    return await site.open()
