"""What every backend promises, kept by the oldest, the newest and another kind of server.

`make test` asks the one that is installed, which is in between.
"""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.messaging.backends.redis.every_promise import *  # noqa: F403 - the same tests, here
from tests.messaging.conftest import Site
from tests.servers import RedisServer, redis_6_binary, redis_8_binary, running, valkey_binary

pytestmark = pytest.mark.long

BINARIES = {"redis-6.2": redis_6_binary, "redis-8": redis_8_binary, "valkey": valkey_binary}


@pytest.fixture(scope="module", params=BINARIES)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    with running(BINARIES[request.param](), tmp_path_factory.mktemp(request.param)) as server:
        yield server


@pytest.fixture
async def site(server: RedisServer) -> AsyncIterator[Site]:
    site = Site("by-version", server.url)
    yield site
    await site.close()
