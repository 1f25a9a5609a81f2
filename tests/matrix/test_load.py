"""More than agents can do, a backlog at the start, many topics, and one agent slow or busy.

The sizes are those of a coffee break; `python -m tests.matrix.full_load` takes the full ones.
"""

import sys
from pathlib import Path

import pytest
import redis.asyncio

from messaging.bus import Bus
from messaging.urls import open_backend
from tests.matrix.loads import (
    HARD,
    SOFT,
    Disturbance,
    blocking_agent,
    first_of_a_backlog_s,
    handled_on_topics,
    hot_agent,
    neighbours_p99_s,
    overload,
    slow_agent,
)
from tests.servers import running_redis

PROBES = 150
NOISE = 3.0  # how much slower two equal runs may be on a busy machine
NOISE_S = 0.05
MOST_CONNECTIONS = 5


@pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])
async def test_an_overload_is_bounded_and_loses_nothing(server_url: str, is_mutant: bool) -> None:
    unbounded = {"max_backlog": 1_000_000, "soft_backlog": 1_000_000}
    result = await overload(server_url, 0.2 if is_mutant else 4.0, **unbounded if is_mutant else {})

    sys.stdout.write(f"{result}\n")
    assert result.handled.keys() == result.accepted
    assert max(result.handled.values()) == 1
    assert (result.longest > HARD) == is_mutant, str(result)
    if not is_mutant:
        assert result.longest >= SOFT, "there was no overload"


@pytest.mark.parametrize(
    ("disturb", "is_mutant"),
    [(slow_agent, False), (hot_agent, False), (blocking_agent, True)],
)
async def test_one_agent_of_ten_holds_up_none_of_the_others(
    server_url: str, disturb: Disturbance, is_mutant: bool
) -> None:
    calm_s = await neighbours_p99_s(server_url, None, PROBES)
    p99_s = await neighbours_p99_s(server_url, disturb, PROBES)

    sys.stdout.write(f"p99 {calm_s * 1e3:.1f} ms alone, {p99_s * 1e3:.1f} ms beside it\n")
    assert (p99_s > NOISE * calm_s + NOISE_S) == is_mutant


async def test_the_first_result_comes_soon_however_much_has_waited(server_url: str) -> None:
    took_s = await first_of_a_backlog_s(server_url, 20_000)

    sys.stdout.write(f"first result after {took_s:.2f} s\n")
    assert took_s <= 2.0


async def test_a_thousand_topics_take_a_process_no_more_connections_than_one(
    tmp_path: Path,
) -> None:
    with running_redis(tmp_path) as server:
        async with (
            redis.asyncio.Redis.from_url(server.url) as observer,
            Bus(open_backend(server.url, "many")) as bus,
        ):
            assert await handled_on_topics(bus, 1_000) == 1_000

            clients = await observer.client_list()
            others = [client for client in clients if client["cmd"] != "client|list"]
            assert 1 <= len(others) <= MOST_CONNECTIONS
