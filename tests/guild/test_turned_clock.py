"""A clock that tests turn: what is due by then was released and handled when it has turned."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from guild.agent.agent import Agent, handles
from guild.builder import AgentBuilder, GuildBuilder
from guild.runtime import Guild
from guild.spec.spec import GuildSpec
from guild.testing import launched
from messaging.backends.memory import MemoryBackend
from messaging.bus import Bus, connect
from messaging.errors import BackendSetupError, RequestFailedError
from messaging.handling.context import Context
from messaging.handling.retry import RetryPolicy
from messaging.testing import Recorder, TestClock, memory_bus
from messaging.testing.clock import TURN_PATIENCE_S
from messaging.testing.stillness import until_still
from messaging.wire.message import Message
from tests.guild.samples import Ping, Pong
from tests.messaging.buses import Ask, Told, listening

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)
HOUR_S = 3600.0


class Remind(Message, wire_name="tests.remind"):
    text: str


class Pay(Message, wire_name="tests.pay"):
    fails: int = 0


happened: list[tuple[str, str]] = []


class Clerk(Agent):
    """Sets a timer of an hour, is woken by a schedule, and pays when the bank works again."""

    @handles(sends=[Remind])
    async def begin(self, ping: Ping, ctx: Context) -> None:
        happened.append(("begun", at(ctx)))
        ctx.send(Remind(text=ping.text), timer="reminder", delay_s=HOUR_S)

    @handles
    async def remind(self, reminder: Remind, ctx: Context) -> None:
        happened.append((f"reminded of {reminder.text}", at(ctx)))

    @handles
    async def pay(self, payment: Pay, ctx: Context) -> Pong:
        happened.append((f"attempt {ctx.attempt}", at(ctx)))
        if ctx.attempt <= payment.fails:
            raise ConnectionError("the bank is closed")
        return Pong(text="paid")


def at(ctx: Context) -> str:
    """What time it is to the handler, by the clock of the guild."""
    assert ctx.remaining_s is None
    return datetime.fromtimestamp(ctx._services.clock.time(), UTC).strftime("%H:%M:%S")


@pytest.fixture(autouse=True)
def nothing_happened() -> None:
    happened.clear()


@pytest.fixture
def clock() -> TestClock:
    return TestClock(NOON)


def office(**schedule: Any) -> GuildSpec:
    clerk = AgentBuilder(Clerk).set_id("clerk")
    clerk.set_retry(attempts=4, backoff_s=60.0, factor=10.0, max_backoff_s=900.0)
    builder = GuildBuilder("office").set_messaging("memory://").set_drain(1.0)
    builder.add_agent_spec(clerk.build_spec()).add_end(Pong)
    if schedule:
        builder.add_schedule("dunning", Remind(text="rent"), topic="default_topic", **schedule)
    return builder.build_spec()


async def test_an_hour_a_cron_schedule_and_retries_with_backoff_pass_in_a_moment(
    clock: TestClock,
) -> None:
    began_at = time.monotonic()
    async with launched(office(cron="15,45 * * * *"), clock=clock) as guild:
        await guild.client.publish("default_topic", Ping(text="tea"))
        await guild.client.publish("default_topic", Pay(fails=3))
        await clock.advance()
        assert [what for what, _ in happened] == ["begun", "attempt 1"]
        await clock.advance(HOUR_S)
        took_s = time.monotonic() - began_at

    by_time = dict.fromkeys(when for _, when in happened)
    assert list(by_time) == sorted(by_time), "in the order of their times"
    when = dict(happened)
    assert [at for what, at in happened if "rent" in what] == ["12:15:00", "12:45:00"]
    assert when["reminded of tea"] == "13:00:00"
    # 60, 600 and 900 s, each shortened by a fifth at most
    assert "12:00:48" <= when["attempt 2"] <= "12:01:00"
    assert "12:20:48" <= when["attempt 4"] <= "12:26:01"
    assert took_s < 5.0
    assert clock.now == datetime(2030, 1, 31, 13, tzinfo=UTC)


class Hasty(TestClock):
    """Turns all the way at once, as a test would that patches the time."""

    async def advance(self, seconds: float = 0.0, *, timeout_s: float = 0.0) -> None:
        self._elapsed_s += seconds
        await self._release(self._elapsed_s)


async def test_a_clock_that_only_moved_its_hands_would_come_too_early_for_timers() -> None:
    hasty = Hasty(NOON)
    async with launched(office(cron="15,45 * * * *"), clock=hasty) as guild:
        await guild.client.publish("default_topic", Ping(text="tea"))
        await hasty.advance(HOUR_S)
        await until_still([guild.client.bus], timeout_s=TURN_PATIENCE_S)

    assert "begun" in dict(happened)
    assert "reminded of tea" not in dict(happened), "it was set when the hour had passed already"


async def test_nothing_is_due_until_the_clock_is_turned_far_enough(clock: TestClock) -> None:
    async with launched(office(), clock=clock) as guild:
        await guild.client.publish("default_topic", Ping(text="tea"))
        await clock.advance(HOUR_S - 1)
        assert [what for what, _ in happened] == ["begun"]
        await clock.advance(1)
        assert happened[-1] == ("reminded of tea", "13:00:00")


async def test_a_month_of_a_schedule_fires_each_of_its_times_once(clock: TestClock) -> None:
    async with launched(office(cron="0 9 * * *"), clock=clock):
        await clock.advance(30 * 24 * HOUR_S)

    assert happened == [("reminded of rent", "09:00:00")] * 30


async def test_a_deadline_passes_by_the_clock(clock: TestClock) -> None:
    recorder = Recorder()
    async with memory_bus(Ask, clock=clock) as bus:
        await bus.register(recorder.subscription("readers", Ask, topic="asks"))
        await bus.publish("asks", Ask(text="soon"), deadline_s=60)
        await bus.publish("asks", Ask(text="some day"), deadline_s=2 * HOUR_S)
        await clock.advance(HOUR_S)
        await bus.subscribe(recorder.subscription("readers", Ask, topic="asks"))
        await clock.advance()

        (letter,) = await bus.dead_letters.list()
    assert await recorder.messages(1) == [Ask(text="some day")]
    assert b"past its deadline" in letter.reason
    assert recorder.contexts[0].remaining_s == HOUR_S


async def test_a_time_to_come_is_told_by_the_clock(clock: TestClock) -> None:
    recorder = Recorder()
    async with memory_bus(Ask, clock=clock) as bus:
        await bus.subscribe(recorder.subscription("readers", Ask, topic="asks"))
        await bus.publish("asks", Ask(text="at one"), at=datetime(2030, 1, 31, 13, tzinfo=UTC))
        await clock.advance(HOUR_S - 1)
        assert recorder.contexts == []
        await clock.advance(1)
        assert len(recorder.contexts) == 1


async def test_retries_of_an_agent_that_keeps_order_go_by_the_clock_too(clock: TestClock) -> None:
    attempts: list[tuple[str, int]] = []

    async def handle(ask: Ask, context: Context) -> None:
        attempts.append((ask.text, context.attempt))
        if ask.text == "first" and context.attempt < 3:
            raise ConnectionError("away")

    retry = RetryPolicy(attempts=3, backoff_s=600.0, factor=1.0, max_backoff_s=600.0, jitter=0.0)
    async with memory_bus(Ask, clock=clock) as bus:
        await bus.subscribe(listening("readers", handle, ordered_by="key", retry=retry))
        for text in ("first", "second"):
            await bus.publish("asks", Ask(text=text), key="one")
        await clock.advance(599)
        assert attempts == [("first", 1)]
        await clock.advance(601)
        assert attempts == [("first", 1), ("first", 2), ("first", 3), ("second", 1)]


async def test_a_handler_in_the_middle_of_a_request_does_not_hold_the_clock_up(
    clock: TestClock,
) -> None:
    """Its answer comes from a retry, which only comes when the clock goes on."""

    async def answer(ask: Ask, context: Context) -> Told:
        if context.attempt == 1:
            raise ConnectionError("away")
        return Told(text=ask.text)

    async def pass_on(ask: Ask, context: Context) -> None:
        context.send(await context.request("questions", ask), "told")  # type: ignore[func-returns-value]

    retry = RetryPolicy(attempts=2, backoff_s=600.0)
    told = Recorder()
    async with memory_bus(Ask, Told, clock=clock) as bus:
        await bus.subscribe(listening("oracle", answer, topics=("questions",), retry=retry))
        await bus.subscribe(listening("asker", pass_on))
        await bus.subscribe(told.subscription("reader", Told, topic="told"))
        await bus.publish("asks", Ask(text="?"))
        await clock.advance(HOUR_S)

        assert await told.messages(1) == [Told(text="?")]


async def test_plain_handlers_and_their_threads_are_waited_for(clock: TestClock) -> None:
    done: list[str] = []

    def handle(ask: Ask, context: Context) -> None:
        time.sleep(0.2)
        done.append(ask.text)

    async with memory_bus(Ask, clock=clock) as bus:
        await bus.subscribe(listening("readers", handle))
        await bus.publish("asks", Ask(text="slow"), delay_s=HOUR_S)
        await clock.advance(HOUR_S)
        assert done == ["slow"]


async def test_what_a_retry_that_keeps_order_holds_back_is_not_waited_for(
    clock: TestClock,
) -> None:
    began_at = time.monotonic()
    retry = RetryPolicy(attempts=2, backoff_s=HOUR_S, max_backoff_s=HOUR_S)
    failing = Recorder(answer=ConnectionError("away"))
    async with memory_bus(Ask, clock=clock) as bus:
        await bus.subscribe(listening("readers", failing, ordered_by="key", retry=retry))
        for _ in range(9):
            await bus.publish("asks", Ask(text="?"), key="one")
        await clock.advance(60)
        assert len(failing.contexts) == 1
    assert time.monotonic() - began_at < TURN_PATIENCE_S / 2


async def test_a_handler_without_end_is_named(clock: TestClock) -> None:
    end = asyncio.Event()
    async with memory_bus(Ask, clock=clock) as bus:
        endless = Recorder(release=end)
        await bus.subscribe(endless.subscription("endless", Ask, topic="asks"))
        await bus.publish("asks", Ask(text="for ever"))
        with pytest.raises(TimeoutError, match=r"after 0\.3 s: endless has 1"):
            await clock.advance(1, timeout_s=0.3)
        end.set()


async def test_what_a_clock_was_turned_through_before_leaves_its_patience_as_it_was_given(
    clock: TestClock,
) -> None:
    end = asyncio.Event()
    async with memory_bus(Ask, clock=clock) as bus:
        endless = Recorder(release=end)
        await bus.subscribe(endless.subscription("endless", Ask, topic="asks"))
        await bus.publish("asks", Ask(text="for ever"), delay_s=1.0)
        with pytest.raises(TimeoutError, match=r"after 0\.5 s: endless has 1"):
            await clock.advance(1, timeout_s=0.5)
        end.set()


async def test_what_waits_for_a_paused_agent_does_not_hold_the_clock_up(clock: TestClock) -> None:
    async with launched(office(), clock=clock) as guild:
        await guild.client.pause("clerk")
        await guild.client.publish("default_topic", Ping(text="tea"))
        await clock.advance(HOUR_S)
        assert happened == []
        await guild.client.resume("clerk")
        await clock.advance()
        assert [what for what, _ in happened] == ["begun"]


async def test_a_requester_gets_its_answer_while_the_clock_is_turned(clock: TestClock) -> None:
    async with launched(office(), clock=clock) as guild:
        # By the bus: the client refuses to ask a handler that answers nothing if all goes well.
        asking = asyncio.create_task(guild.client.bus.request("default_topic", Pay(fails=9)))
        await clock.advance(24 * HOUR_S)
        with pytest.raises(RequestFailedError, match="the bank is closed"):
            await asking
    assert [what for what, _ in happened] == [f"attempt {n}" for n in (1, 2, 3, 4)]


async def test_time_does_not_go_back(clock: TestClock) -> None:
    with pytest.raises(ValueError, match="does not go back"):
        await clock.advance(-1)
    with pytest.raises(ValueError, match="time zone"):
        TestClock(NOON.replace(tzinfo=None))


async def test_a_server_takes_no_clock(clock: TestClock) -> None:
    for url in ("embedded", "redis://localhost"):
        with pytest.raises(BackendSetupError, match="takes no clock"):
            async with connect(url, clock=clock):
                pass
    with pytest.raises(BackendSetupError, match="clock behind the question mark"):
        async with connect("memory://?clock=now"):
            pass


async def test_a_clock_watches_nothing_that_goes_by_another(clock: TestClock) -> None:
    async with Bus(MemoryBackend("tests")) as bus:
        with pytest.raises(ValueError, match="goes by another clock"):
            clock.watch(bus)


async def test_two_buses_of_one_store_are_both_waited_for(clock: TestClock) -> None:
    @asynccontextmanager
    async def bus() -> AsyncIterator[Bus]:
        async with Bus(MemoryBackend("two", name="site", clock=clock)) as opened:
            clock.watch(opened)
            yield opened

    recorder = Recorder()
    async with bus() as here, bus() as there:
        await there.subscribe(recorder.subscription("readers", Ask, topic="asks"))
        await here.publish("asks", Ask(text="later"), delay_s=HOUR_S)
        await clock.advance(HOUR_S)
        assert len(recorder.contexts) == 1


async def test_without_a_clock_of_its_own_a_guild_goes_by_the_real_one() -> None:
    async with launched(office()) as guild:
        assert isinstance(guild, Guild)
        assert abs(guild.client.bus.clock.time() - time.time()) < 60
