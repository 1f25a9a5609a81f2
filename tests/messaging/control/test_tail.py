"""Answers are heard again by a server that has lost its data, whatever time it tells."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis.asyncio

from messaging.bus import connect
from messaging.control.tail import Tail
from messaging.errors import RequestTimeoutError
from tests.clocks import Clock
from tests.messaging.buses import REGISTRY, Ask, Told, echo, listening
from tests.messaging.test_observing import with_mutant
from tests.servers import RedisServer, valkey_binary

HOUR_S = 3_600


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


@pytest.fixture
def server(tmp_path: Path, clock: Clock) -> Iterator[RedisServer]:
    server = RedisServer(valkey_binary(), tmp_path, environment=clock.environment)
    server.start()
    yield server
    server.stop()


@with_mutant
@pytest.mark.parametrize("ahead_s", [-HOUR_S, HOUR_S])
async def test_answers_come_from_a_server_that_has_lost_its_data_and_tells_another_time(
    server: RedisServer,
    clock: Clock,
    ahead_s: int,
    is_mutant: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a clock that is behind, it counts from below what was read of its topics before."""
    if is_mutant:

        async def believed(self: Tail) -> None: ...

        monkeypatch.setattr(Tail, "_begin_anew_where_lost", believed)
    is_deaf = is_mutant and ahead_s < 0
    async with (
        connect(server.url, registry=REGISTRY) as bus,
        connect(server.url, registry=REGISTRY) as caller,
    ):
        await bus.subscribe(listening("echo", echo))
        assert await caller.request("asks", Ask(text="before")) == Told(text="before")
        clock.set(ahead_s)
        async with redis.asyncio.Redis.from_url(server.url) as operator:
            await operator.flushall()

        expected = pytest.raises(RequestTimeoutError) if is_deaf else contextlib.nullcontext()
        with expected:
            asked = caller.request(
                "asks",
                Ask(text="after"),
                timeout_s=4.0 if is_deaf else 30.0,
                require_listener=False,
            )
            assert await asked == Told(text="after")
