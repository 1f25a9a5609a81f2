"""More than agents can do, a backlog at the start, many topics, and one agent slow or busy.

The sizes are those of a coffee break; `python -m tests.reliability.fault_matrix.full_load` takes
the full ones.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path

import pytest
import redis.asyncio

from messaging.backend import Delivery, Settlement
from messaging.backends.redis.connection.connection import Connection
from messaging.backends.redis.connection.notifications import Notifications
from messaging.backends.urls import open_backend
from messaging.bus import Bus
from messaging.consuming.committer import Committer
from messaging.consuming.consumer_loop import ConsumerLoop
from tests.reliability.fault_matrix.loads import (
    HARD,
    SOFT,
    Disturbance,
    Overload,
    blocking_agent,
    first_of_a_backlog_s,
    handled_on_topics,
    hot_agent,
    neighbours_p99_s,
    overload,
    slow_agent,
)
from tests.reliability.workers.patience import stretched
from tests.servers import running_redis

PROBES = 25
SLOWED_BY = 1.2
MOST_CONNECTIONS = 5
FLAT_BYTES = 1 << 18
BACKLOG = 100_000
SHORTER_BACKLOG = 20_000  # whoever handled all of it first would be as late
FIRST_WITHIN_S = 2.0


def _is_past_all_bounds(result: Overload) -> bool:
    return result.longest > HARD and len(result.used_bytes) > 1 and result.grown_bytes > FLAT_BYTES


@pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])
async def test_an_overload_is_bounded_and_loses_nothing(tmp_path: Path, is_mutant: bool) -> None:
    unbounded = {"max_backlog": 1_000_000, "soft_backlog": 1_000_000}
    with running_redis(tmp_path) as server:
        limits = unbounded if is_mutant else {}
        result = await overload(server.url, 4.0, _is_past_all_bounds, **limits)

    sys.stdout.write(f"{result}\n")
    assert result.handled.keys() == result.accepted
    assert max(result.handled.values()) == 1
    assert (result.longest > HARD) == is_mutant, str(result)
    assert (result.grown_bytes > FLAT_BYTES) == is_mutant, str(result)
    if not is_mutant:
        assert result.longest >= SOFT, "there was no overload"


@pytest.mark.parametrize(
    ("disturb", "is_mutant"),
    [(slow_agent, False), (hot_agent, False), (blocking_agent, True)],
)
async def test_one_agent_of_ten_holds_up_none_of_the_others(
    server_url: str, disturb: Disturbance, is_mutant: bool
) -> None:
    found = await neighbours_p99_s(server_url, disturb, PROBES, rounds=3 if is_mutant else 7)

    # What else the machine does only adds to either, and not in all rounds: the least is without.
    calm_s, beside_s = (min(each) for each in zip(*found, strict=True))
    slowed_by = beside_s / calm_s
    sys.stdout.write(f"least p99 {slowed_by:.2f} times as long beside it as alone: {found}\n")
    assert (slowed_by > stretched(SLOWED_BY)) == is_mutant


async def read_all(self: ConsumerLoop) -> None:
    """Read everything before anything is handled."""
    lent: list[Delivery] = []
    while more := await self._consumer.read(BACKLOG, 0.1):
        lent += more
    self._take(lent)


def keep_until_all_is_done(self: Committer, settlement: Settlement) -> None:
    """Handle everything before anything is committed."""
    self._ready.append(settlement)
    if len(self._ready) == BACKLOG:
        self._wake.set()


@pytest.mark.parametrize(
    ("backlog", "is_mutant"),
    [
        pytest.param(SHORTER_BACKLOG, False, id="bus"),
        pytest.param(BACKLOG, False, id="bus at length", marks=pytest.mark.long),
        pytest.param(BACKLOG, True, id="mutant"),
    ],
)
async def test_the_first_result_comes_soon_however_much_has_waited(
    server_url: str, backlog: int, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        monkeypatch.setattr(ConsumerLoop, "_read", read_all)
        monkeypatch.setattr(Committer, "add", keep_until_all_is_done)

    took_s = await first_of_a_backlog_s(server_url, backlog)

    sys.stdout.write(f"first result after {took_s:.2f} s\n")
    assert (took_s > FIRST_WITHIN_S) == is_mutant


@asynccontextmanager
async def dialling_for_each_topic() -> AsyncIterator[None]:
    """Have whoever waits for a topic do so on a connection of its own, as XREADGROUP BLOCK does."""
    watch, links = Notifications.watch, list[Connection]()

    async def dial(self: Notifications, channels: dict[bytes, Callable[[bytes], None]]) -> None:
        for _ in channels:
            links.append(
                Connection(self._connection._address, give_up_after_s=1.0, reply_timeout_s=1.0)
            )
            await links[-1].open()
        await watch(self, channels)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Notifications, "watch", dial)
        yield
    await asyncio.gather(*[connection.close() for connection in links])


@pytest.mark.parametrize(
    ("kind", "topics"), [(nullcontext, 1_000), (dialling_for_each_topic, 10)], ids=["bus", "mutant"]
)
async def test_a_thousand_topics_take_a_process_no_more_connections_than_one(
    tmp_path: Path, kind: Callable[[], AbstractAsyncContextManager[None]], topics: int
) -> None:
    with running_redis(tmp_path) as server:
        async with (
            redis.asyncio.Redis.from_url(server.url) as observer,
            kind(),
            Bus(open_backend(server.url, "many")) as bus,
        ):
            assert await handled_on_topics(bus, topics) == topics

            clients = await observer.client_list()
            others = [client for client in clients if client["cmd"] != "client|list"]
            assert others
            assert (len(others) <= MOST_CONNECTIONS) == (kind is nullcontext)
