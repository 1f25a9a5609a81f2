"""A server that a test may torment, and backends on it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from messaging.backend import Incident
from messaging.backends.redis import RedisBackend
from messaging.backends.redis.server import Server
from messaging.backends.urls import open_backend
from messaging.wire.envelope import new_id
from tests.reliability.proxy import FaultyProxy
from tests.servers import RedisServer, running_redis

PATIENCE_S = 15.0


class Guild:
    """Backends of one guild; remembers the incidents of all."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.guild_id = f"guild-{new_id()}"
        self.incidents: list[Incident] = []
        self._opened: list[RedisBackend] = []

    async def open(self, url: str = "", **options: Any) -> RedisBackend:
        backend = self.new(url, **options)
        await backend.open()
        self._opened.append(backend)
        return backend

    def new(self, url: str = "", **options: Any) -> RedisBackend:
        """A backend that is not open yet."""
        backend = open_backend(url or self.url, self.guild_id, **options)
        assert isinstance(backend, RedisBackend)
        backend.listen(self.incidents.append)
        return backend

    async def close(self) -> None:
        for backend in self._opened:
            await backend.close()

    def events(self) -> list[str]:
        return [incident.event for incident in self.incidents]


def server_of(backend: RedisBackend) -> Server:
    assert backend._parts is not None
    return backend._parts.server


async def command(backend: RedisBackend, *parts: Any) -> Any:
    """What the server answers to a command of the test's own."""
    return await server_of(backend).connection.call(*parts)


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        yield server


@pytest.fixture
async def guild(redis_server: RedisServer) -> AsyncIterator[Guild]:
    guild = Guild(redis_server.url)
    yield guild
    await guild.close()


@pytest.fixture
async def proxy(redis_server: RedisServer) -> AsyncIterator[FaultyProxy]:
    async with FaultyProxy(redis_server.port) as proxy:
        yield proxy
