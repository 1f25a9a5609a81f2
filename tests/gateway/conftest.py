"""A crew at work on a real Redis, and its gateway."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from guild.gateway import gateway_app
from guild.runtime import Guild
from messaging.wire.envelope import new_id
from tests.gateway.crew import crew_spec
from tests.servers import running_redis

LOCAL = "http://localhost"


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
        transport=transport, base_url=f"{LOCAL}/api/v1/", headers=headers
    ) as client:
        yield client


async def until(is_so: Callable[[], bool]) -> None:
    """Return once it is so; the test's timeout ends what never comes."""
    while not is_so():  # noqa: ASYNC110  in a worker of the bus
        await asyncio.sleep(0)
