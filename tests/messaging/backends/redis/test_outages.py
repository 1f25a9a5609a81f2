"""A server that is away: said once while that lasts, once when it is over, and to whoever waits."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog

from messaging.backend import LOSSES, SERVER_AWAY, SERVER_BACK, Incident
from messaging.backends.redis import RedisBackend
from messaging.backends.redis.connection.outage import Outage
from messaging.backends.urls import open_backend
from messaging.bus import Bus
from messaging.control import incidents
from messaging.control.outages import Outages
from messaging.errors import BackendSetupError, BackendUnavailableError, RequestTimeoutError
from messaging.handling.context import Context
from messaging.handling.subscription import Subscription
from messaging.testing import eventually
from messaging.wire.message import Message
from tests.messaging.backends.redis.conftest import Guild, command
from tests.messaging.buses import at_work
from tests.messaging.notes import note
from tests.reliability.proxy import FaultyProxy
from tests.reliability.workers.patience import stretched
from tests.servers import RedisServer, running_redis

TOLD_WITHIN_S = 3.0
MANY = 20
BY_ITSELF = {"tail.unavailable", "pauses.unknown", "maintenance.failed"}


class Word(Message, wire_name="outages.word"):
    text: str = ""


async def told(guild: Guild, event: str) -> str:
    """The text of the one incident of this kind, which comes soon."""
    began_s = time.monotonic()
    await eventually(lambda: event in guild.events())
    assert time.monotonic() - began_s < stretched(TOLD_WITHIN_S)
    (text,) = [incident.text for incident in guild.incidents if incident.event == event]
    return text


@pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])
async def test_a_server_that_is_gone_is_told_long_before_anything_gives_up(
    guild: Guild, redis_server: RedisServer, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        monkeypatch.setattr(Outage, "lost", lambda *_: None)
    backend = await guild.open(give_up_after_s=2 * TOLD_WITHIN_S)
    await backend.append([note("before")])

    redis_server.kill()
    waiting = asyncio.ensure_future(backend.append([note("meanwhile")]))
    if is_mutant:
        with pytest.raises(BackendUnavailableError):
            await waiting
        assert guild.events() == []
        return
    away = await told(guild, SERVER_AWAY)
    assert not waiting.done()
    assert redis_server.url in away
    assert "Connect call failed" in away
    assert "at most 6 s" in away

    await asyncio.to_thread(redis_server.start)
    await waiting
    assert "is back; it was away for" in await told(guild, SERVER_BACK)
    assert guild.events().count(SERVER_AWAY) == 1


async def test_a_server_that_says_nothing_is_told_before_its_connection_is_given_up(
    guild: Guild, proxy: FaultyProxy
) -> None:
    backend = await guild.open(proxy.url, reply_timeout_s=600.0)
    proxy.swallows = True
    waiting = asyncio.ensure_future(backend.append([note("x")]))

    assert "it does not answer" in await told(guild, SERVER_AWAY)
    proxy.swallows = False

    await waiting
    await told(guild, SERVER_BACK)
    assert guild.events() == [SERVER_AWAY, SERVER_BACK]


async def test_a_server_that_refuses_for_now_is_told_with_what_it_says(guild: Guild) -> None:
    backend = await guild.open()
    await command(backend, "CONFIG", "SET", "min-replicas-to-write", "1")
    waiting = asyncio.ensure_future(backend.append([note("x")]))

    assert "NOREPLICAS" in await told(guild, SERVER_AWAY)
    await command(backend, "CONFIG", "SET", "min-replicas-to-write", "0")

    await waiting
    await told(guild, SERVER_BACK)
    assert guild.events() == [SERVER_AWAY, SERVER_BACK]


async def test_a_server_that_stays_silent_until_it_is_gone_is_away_once(
    guild: Guild, proxy: FaultyProxy
) -> None:
    backend = await guild.open(proxy.url, reply_timeout_s=1.5)
    proxy.swallows = True
    waiting = asyncio.ensure_future(backend.append([note("x")]))
    await told(guild, SERVER_AWAY)

    proxy.refuses = True
    proxy.swallows = False
    proxy.reset_all()
    proxy.refuses = False

    await waiting
    await told(guild, SERVER_BACK)
    assert guild.events().count(SERVER_AWAY) == guild.events().count(SERVER_BACK) == 1


async def test_a_connection_that_is_lost_for_a_moment_is_no_outage(
    guild: Guild, proxy: FaultyProxy
) -> None:
    backend = await guild.open(proxy.url)
    proxy.reset_all()

    await backend.append([note("x")])
    await asyncio.sleep(0)

    assert guild.events() == ["bus.reconnected"]
    outage = backend._parts.server.connection.outage  # type: ignore[union-attr] # it is open
    assert outage is not None
    assert outage._began_at_s is None


@pytest.fixture
def closed_server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path, "--requirepass", "s3cret") as server:
        yield server


async def test_no_password_is_told(guild: Guild, closed_server: RedisServer) -> None:
    await guild.open(f"redis://:s3cret@127.0.0.1:{closed_server.port}/0")

    closed_server.kill()

    assert "s3cret" not in await told(guild, SERVER_AWAY)


@pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])
async def test_an_outage_is_told_of_one_agent_and_not_of_each(
    redis_server: RedisServer, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        monkeypatch.setattr(Outages, "hear", lambda *_: None)
    heard: list[Incident] = []

    async def answer(word: Word, context: Context) -> Word:
        return word

    backend = open_backend(redis_server.url, "many", give_up_after_s=2.5)
    with structlog.testing.capture_logs() as logs:
        async with Bus(backend, name="many") as bus:
            bus.listen(heard.append)
            for n in range(MANY):
                await bus.subscribe(Subscription(f"agent{n}", (f"topic{n}",), {Word: answer}))
            redis_server.kill()
            await eventually(lambda: len(_stopped(logs)) == MANY)
            stopped = [incident.text for incident in heard if incident.event == "backend_away"]
            await asyncio.to_thread(redis_server.start)
    assert len(stopped) > MANY / 2 if is_mutant else len(stopped) == 1


def _stopped(logs: Sequence[Mapping[str, Any]]) -> set[str]:
    """The agents that have stopped because the server is away, told of or not."""
    told = {line["text"].split()[0] for line in logs if line.get("incident") == "backend_away"}
    return told | {line["group"] for line in logs if line["event"] == "bus.backend_away"}


@pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])
async def test_a_loss_of_data_is_told_once_and_not_by_each_agent(
    redis_server: RedisServer, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        monkeypatch.setattr(incidents, "ONE_LOSS_S", 0.0)
    heard: list[str] = []

    async def answer(word: Word, context: Context) -> Word:
        return word

    backend = open_backend(redis_server.url, "many")
    async with Bus(backend, name="many") as bus:
        bus.listen(lambda incident: heard.append(incident.event))
        for n in range(MANY):
            await bus.subscribe(Subscription(f"agent{n}", (f"topic{n}",), {Word: answer}))
        await eventually(lambda: len(at_work()) == MANY)
        before = at_work()
        assert isinstance(backend, RedisBackend)
        await command(backend, "FLUSHALL")
        await eventually(lambda: len(at_work() - before) == MANY)
    assert heard.count("bus.data_lost") == 1
    assert heard.count("fenced") == (MANY if is_mutant else 0)


async def test_whoever_waits_for_an_answer_is_told_that_the_server_was_away(
    redis_server: RedisServer,
) -> None:
    async with Bus(open_backend(redis_server.url, "asking"), name="asking") as bus:
        with pytest.raises(RequestTimeoutError, match="it stays accepted"):
            await bus.request("topic", Word(), require_listener=False, timeout_s=0.1)

        redis_server.kill()
        with pytest.raises(RequestTimeoutError, match="the server has been away for"):
            await bus.request(
                "topic", Word(), require_listener=False, timeout_s=stretched(TOLD_WITHIN_S)
            )
        redis_server.start()


@pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])
async def test_what_a_bus_does_by_itself_warns_of_no_outage_that_was_told(
    redis_server: RedisServer, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        monkeypatch.setattr(Outages, "hear", lambda *_: None)
    heard: list[str] = []

    async def answer(word: Word, context: Context) -> Word:
        return word

    with structlog.testing.capture_logs() as logs:
        backend = open_backend(redis_server.url, "chores", give_up_after_s=2.5)
        async with Bus(backend, name="chores") as bus:
            bus.listen(lambda incident: heard.append(incident.event))
            await bus.subscribe(Subscription("agent", ("topic",), {Word: answer}))
            redis_server.kill()
            await eventually(lambda: {line["event"] for line in logs} >= BY_ITSELF)
            await asyncio.to_thread(redis_server.start)
            await eventually(lambda: SERVER_BACK in heard)

    warned = [line for line in logs if line["log_level"] not in ("debug", "info")]
    told = [line["incident"] for line in warned if line["event"] == "bus.incident"]
    assert [told.count(SERVER_AWAY), told.count(SERVER_BACK)] == [1, 1]
    assert ({line["event"] for line in warned} >= BY_ITSELF) is is_mutant
    if not is_mutant:
        assert {line["event"] for line in warned} == {"bus.incident"}
        # A server whose disk is busy has not written down yet what it was asked last.
        known = {SERVER_AWAY, SERVER_BACK, "backend_away", "bus.reconnected", *LOSSES}
        assert set(told) <= known


@pytest.mark.parametrize("is_away", [False, True])
def test_what_is_no_outage_is_warned_of_at_any_time(is_away: bool) -> None:
    outages = Outages()
    if is_away:
        outages.hear(Incident(SERVER_AWAY, ""))

    with structlog.testing.capture_logs() as logs:
        outages.warn("chore.failed", BackendSetupError("a stranger's key"))
        outages.warn("chore.failed", BackendUnavailableError("away"))

    assert [line["log_level"] for line in logs] == ["warning", "debug" if is_away else "warning"]
