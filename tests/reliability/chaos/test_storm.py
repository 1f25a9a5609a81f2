"""The storm in the size of a coffee break."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.chaos.storm import storm
from tests.reliability.workers.orders import PLAIN
from tests.servers import RedisServer, running_redis

SEED = 20_240_229


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        yield server


async def test_nothing_is_missing_and_nothing_comes_twice(server: RedisServer) -> None:
    result = await storm(server.url, inputs=5_000, kills=10, seed=SEED, patience_s=110)

    assert (result.kills, result.stops) == (10, 5)
    result.outcome.check(within_s=60)


async def test_equals_stay_in_order_while_all_replicas_work(server: RedisServer) -> None:
    result = await storm(server.url, inputs=5_000, kills=8, seed=SEED, patience_s=110, partitions=6)

    assert (result.kills, result.stops) == (8, 4)
    result.outcome.check(within_s=60)
    assert not result.outcome.overtaken


@pytest.mark.long  # it shows that the test above can fail
async def test_without_order_the_storm_mixes_equals_up(server: RedisServer) -> None:
    result = await storm(server.url, inputs=5_000, kills=8, seed=SEED, patience_s=110)

    assert result.outcome.overtaken


@pytest.mark.long  # as above, of the first one
async def test_plain_consumers_repeat_themselves_in_the_same_storm(server: RedisServer) -> None:
    result = await storm(server.url, inputs=5_000, kills=10, seed=SEED, patience_s=110, kind=PLAIN)

    assert result.outcome.repeated
