"""A guild at work on a bus in memory."""

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest

from agents.hello import CountWords, Greet, Greeting, WordsCounted
from guild.agent.agent import Agent, handles
from guild.builder import AgentBuilder, GuildBuilder, RouteBuilder
from guild.checking.loader import load_file
from guild.errors import GuildNotRunningError, MissingExtraError, SpecError
from guild.events import AgentCrashed, AgentFailed, AgentRestarted, GuildDegraded, GuildStarted
from guild.running.engines.engine import AgentState
from guild.runtime import Guild, GuildStatus
from guild.spec.spec import AgentSpec, ScheduleSpec
from guild.testing import guild_of, launched, seen
from messaging.errors import (
    BackendSetupError,
    BackendUnavailableError,
    BusClosedError,
    RequestFailedError,
)
from messaging.handling.context import Context
from messaging.testing import eventually
from tests.guild.samples import Asker, Echo, EchoProps, Failing, NeedsStore, Note, Ping, Pong

QUICK = {"backoff_s": 0.0, "attempts": 2}


def spec_of(agent: type[Agent[Any]], agent_id: str = "a", **restart: Any) -> AgentSpec:
    return (
        AgentBuilder(agent).set_id(agent_id).set_retry(**QUICK).set_restart(**restart).build_spec()
    )


async def test_the_hello_guild_greets_and_counts() -> None:
    async with launched(load_file("specs/hello.yaml")) as guild:
        greeting = await guild.client.request("greetings", Greet(name="Ada"), Greeting)
        counted = await guild.client.request("texts", CountWords(text="To be or not to be"))

    assert greeting.text == "Hello, Ada! Welcome to the guild."
    assert counted == WordsCounted(total=6, counts={"to": 2, "be": 2, "or": 1, "not": 1})


async def test_an_answer_goes_where_a_route_says_too() -> None:
    async with launched(load_file("specs/hello.yaml")) as guild:
        await guild.client.request("greetings", Greet(name="Ada"))
        routed = await seen(guild, WordsCounted, topic="texts")

    assert routed.counts["ada"] == 1


async def test_a_route_sends_only_what_its_condition_lets_through() -> None:
    route = RouteBuilder("echo").on_message(Pong).to("notes").when("text == 'two'")
    taker = AgentBuilder(Asker).set_id("asker").listen_to_default_topic(False)
    spec = (
        GuildBuilder.from_spec(guild_of(Echo))
        .add_agent_spec(taker.add_additional_topic("asked").build_spec())
        .add_topic("notes")
        .add_route(route)
        .build_spec()
    )
    async with launched(spec) as guild:
        for text in ("one", "two"):
            await guild.client.request("default_topic", Ping(text=text))
        assert await seen(guild, Pong, topic="notes") == Pong(text="two")


async def test_properties_reach_the_agent_with_references_resolved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ECHO_PREFIX", "> ")
    agent = AgentBuilder(Echo).set_id("echo").set_properties({"prefix": "${env:ECHO_PREFIX}"})

    async with launched(agent.build_spec()) as guild:
        assert await guild.client.request("default_topic", Ping(text="a")) == Pong(text="> a")
    assert "> " not in str(agent.build_spec())


async def test_a_failing_handler_answers_with_a_typed_error() -> None:
    async with launched(spec_of(Failing)) as guild:
        with pytest.raises(RequestFailedError, match="ValueError: cannot stand it") as caught:
            await guild.client.request("default_topic", Ping(text="it"))
        (letter,) = await guild.client.bus.dead_letters.list()

    assert (caught.value.error_type, caught.value.agent) == ("ValueError", "a")
    assert letter.envelope.type == "tests.ping"
    assert guild.status is GuildStatus.CLOSED


async def test_an_answer_comes_to_the_handler_of_the_one_who_sent() -> None:
    taken: asyncio.Queue[Pong] = asyncio.Queue()

    class Curious(Agent):
        @handles(sends=[Ping])
        async def ask(self, note: Note, ctx: Context) -> None:
            ctx.send(Ping(text=note.text))

        @handles
        async def take(self, pong: Pong) -> None:
            taken.put_nowait(pong)

    async with launched(guild_of(Curious, Echo)) as guild:
        await guild.client.publish("default_topic", Note(text="why"))
        assert await asyncio.wait_for(taken.get(), 10) == Pong(text="why")


async def test_plain_methods_run_in_a_thread() -> None:
    class Plain(Agent):
        @handles
        def work(self, ping: Ping) -> Pong:
            return Pong(text=threading.current_thread().name)

        @handles
        def work_with_context(self, note: Note, ctx: Context) -> Pong:
            return Pong(text=f"{ctx.group} {threading.current_thread() is threading.main_thread()}")

    async with launched(Plain) as guild:
        answer = await guild.client.request("default_topic", Ping(), Pong)
        other = await guild.client.request("default_topic", Note(text=""), Pong)

    assert answer.text != threading.main_thread().name
    assert other.text == "plain False"


async def test_replicas_share_the_work() -> None:
    class Who(Agent):
        made: ClassVar[int] = 0

        def __init__(self) -> None:
            super().__init__()
            Who.made += 1
            self.number = Who.made
            self.waiting = asyncio.Event()

        @handles
        async def who(self, ping: Ping) -> Pong:
            return Pong(text=str(self.number))

    spec = AgentBuilder(Who).set_id("who").set_replicas(3).build_spec()
    async with launched(spec) as guild:
        answers = [await guild.client.request("default_topic", Ping()) for _ in range(30)]
        tapped = [r.replica for r in guild.replicas]

    assert {answer.text for answer in answers} <= {"1", "2", "3"}
    assert Who.made == 3
    assert tapped == [0, 1, 2]


async def test_resources_are_injected_shared_and_closed() -> None:
    log: list[str] = []

    @asynccontextmanager
    async def store() -> AsyncIterator[str]:
        log.append("open")
        yield "the store"
        log.append("closed")

    class Lazy(Agent):
        @handles
        async def look(self, note: Note) -> Pong:
            return Pong(text=str(await self.resources.get("store")))

    needs = AgentBuilder(NeedsStore).set_id("a").set_dependency_map({"store": "disc"})
    lazy = AgentBuilder(Lazy).set_id("b").set_dependency_map({"store": "disc"})
    spec = (
        GuildBuilder("x")
        .add_resource("disc", store)
        .add_agent_spec(needs.build_spec())
        .add_agent_spec(lazy.build_spec())
        .build_spec()
    )
    async with launched(spec) as guild:
        for question in (Ping(), Note(text="")):
            answer = await guild.client.request("default_topic", question, Pong)
            assert answer.text == "the store"
        assert log == ["open"]
    assert log == ["open", "closed"]


class Fragile(Agent):
    """Crashes in `start` as often as it is told."""

    crashes_left: ClassVar[int] = 0
    stopped: ClassVar[int] = 0

    async def start(self) -> None:
        if Fragile.crashes_left:
            Fragile.crashes_left -= 1
            raise OSError("no device")

    async def stop(self) -> None:
        Fragile.stopped += 1

    @handles
    async def echo(self, ping: Ping) -> Pong:
        return Pong(text=ping.text)


async def test_an_agent_that_crashes_at_its_start_is_started_again() -> None:
    Fragile.crashes_left, Fragile.stopped = 2, 0

    async with launched(spec_of(Fragile, backoff_s=0.0)) as guild:
        assert await guild.client.request("default_topic", Ping(text="x")) == Pong(text="x")
        crashed = await seen(guild, AgentCrashed)
        restarted = await seen(guild, AgentRestarted)
        assert guild.status is GuildStatus.RUNNING
        (replica,) = guild.replicas

    assert (crashed.agent, crashed.error) == ("a", "OSError: no device")
    assert (restarted.restarts, replica.restarts) == (2, 2)
    assert Fragile.stopped == 3


async def test_messages_wait_for_an_agent_that_has_not_started_yet() -> None:
    Fragile.crashes_left = 1

    async with launched(spec_of(Fragile, backoff_s=0.3)) as guild:
        assert guild.replicas[0].state is AgentState.RESTARTING
        assert await guild.client.request("default_topic", Ping(text="x")) == Pong(text="x")


async def test_a_crash_loop_degrades_the_guild_and_the_others_go_on() -> None:
    Fragile.crashes_left = 1_000
    spec = (
        GuildBuilder.from_spec(guild_of(Echo))
        .add_agent_spec(spec_of(Fragile, "fragile", intensity=2, backoff_s=0.0))
        .build_spec()
    )

    async with launched(spec) as guild:
        degraded = await seen(guild, GuildDegraded)
        failed = await seen(guild, AgentFailed)
        assert guild.status is GuildStatus.DEGRADED
        assert await guild.client.request("default_topic", Ping(text="x")) == Pong(text="x")

    assert (degraded.agent, degraded.reason) == ("fragile", "OSError: no device")
    assert failed.restarts == 2
    assert guild.status is GuildStatus.CLOSED


async def test_work_of_its_own_that_crashes_is_a_crash_of_the_agent() -> None:
    class Watching(Agent):
        runs: ClassVar[int] = 0
        cancelled: ClassVar[bool] = False

        async def run(self) -> None:
            Watching.runs += 1
            if Watching.runs == 1:
                raise OSError("lost sight")
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                Watching.cancelled = True
                raise

        @handles
        async def echo(self, ping: Ping) -> Pong:
            return Pong(text=str(Watching.runs))

    async with launched(spec_of(Watching, backoff_s=0.0)) as guild:
        assert (await seen(guild, AgentRestarted)).restarts == 1
        assert await guild.client.request("default_topic", Ping()) == Pong(text="2")
    assert Watching.cancelled


async def test_a_transient_agent_ends_with_its_own_work() -> None:
    class Once(Agent):
        async def run(self) -> None: ...

        @handles
        async def echo(self, ping: Ping) -> Pong: ...

    async with launched(spec_of(Once, policy="transient")) as guild:
        assert (await seen(guild, GuildStarted)).agents == ("a",)
        assert guild.status is GuildStatus.RUNNING


async def test_closing_does_not_wait_for_an_agent_that_rests_before_it_is_started_again() -> None:
    class Brief(Agent):
        async def run(self) -> None: ...

        @handles
        async def echo(self, ping: Ping) -> Pong: ...

    rests = {"backoff_s": 3600.0, "max_backoff_s": 3600.0}
    async with launched(spec_of(Brief, **rests)) as guild, asyncio.timeout(10):
        (replica,) = guild.replicas
        await eventually(lambda: replica.state is AgentState.RESTARTING)
        assert (await guild.client.agent("a")).problem.endswith("it ended by itself")
        await guild.close()
        assert replica.state is AgentState.STOPPED


async def test_an_error_of_an_agent_that_is_stopped_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Clumsy(Agent):
        async def run(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                raise OSError("the last page is lost")

        @handles
        async def echo(self, ping: Ping) -> Pong: ...

    async with launched(Clumsy):
        pass

    assert "the last page is lost" in caplog.text


async def test_a_close_that_is_cancelled_closes_all_the_same() -> None:
    begun = asyncio.Event()

    class Slow(Agent):
        @handles
        async def work(self, ping: Ping) -> Pong:
            begun.set()
            return await asyncio.Future()  # never

    spec = GuildBuilder.from_spec(guild_of(Slow)).set_drain(0.5).build_spec()
    guild = await Guild.launch(spec).start()
    await guild.client.publish("default_topic", Ping())
    await begun.wait()

    closing = asyncio.create_task(guild.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing

    assert guild.status is GuildStatus.CLOSED
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_draining_finishes_what_is_in_hand() -> None:
    begun, release = asyncio.Event(), asyncio.Event()
    log: list[str] = []

    class Slow(Agent):
        @handles
        async def work(self, ping: Ping) -> Pong:
            begun.set()
            await release.wait()
            log.append("handled")
            return Pong(text="done")

        async def stop(self) -> None:
            log.append("stopped")

    async with launched(Slow) as guild:
        answer = asyncio.create_task(guild.client.request("default_topic", Ping()))
        await begun.wait()
        draining = asyncio.create_task(guild.drain())
        drained, _ = await asyncio.wait([draining], timeout=0.2)
        assert not drained
        assert guild.status is GuildStatus.DRAINING
        release.set()
        await draining
        assert await answer == Pong(text="done")
    assert log == ["handled", "stopped"]


async def test_closing_does_not_wait_for_an_agent_that_never_starts() -> None:
    entered = asyncio.Event()

    class Stuck(Agent):
        async def start(self) -> None:
            entered.set()
            await asyncio.Event().wait()

        @handles
        async def echo(self, ping: Ping) -> Pong: ...

    guild = Guild.launch(guild_of(Stuck))
    starting = asyncio.create_task(guild.start())
    await entered.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert guild.status is GuildStatus.CLOSED


async def test_a_guild_that_is_closed_while_it_starts_starts_nothing() -> None:
    entered, may_start = asyncio.Event(), asyncio.Event()

    class Slow(Agent):
        async def start(self) -> None:
            entered.set()
            await may_start.wait()

        @handles
        async def echo(self, ping: Ping) -> Pong: ...

    guild = Guild.launch(guild_of(Slow))
    starting = asyncio.create_task(guild.start())
    await entered.wait()
    closing = asyncio.create_task(guild.close())
    await asyncio.sleep(0)
    may_start.set()
    await closing

    with pytest.raises((GuildNotRunningError, BusClosedError)):
        await starting
    assert guild.status is GuildStatus.CLOSED
    assert not asyncio.all_tasks() - {asyncio.current_task()}


async def test_a_guild_that_fails_as_it_starts_leaves_no_schedules_on_a_bus_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise BackendUnavailableError("away")

    async with launched(Echo) as first:
        bus = first.client.bus
        schedule = ScheduleSpec(id="often", every_s=60.0, message="tests.ping")
        spec = first.spec.model_copy(update={"schedules": (schedule,)})
        before = list(bus.groups_here)
        for place in ("guild.runtime.find_strays", "messaging.bus.Bus.publish"):
            with monkeypatch.context() as broken:
                broken.setattr(place, fail)
                guild = Guild.launch(spec, bus=bus)
                with pytest.raises(BackendUnavailableError):
                    await guild.start()
            assert list(bus.groups_here) == before
            with pytest.raises(GuildNotRunningError):
                _ = guild.client


async def test_a_client_is_there_only_while_the_guild_runs() -> None:
    guild = Guild.launch(guild_of(Echo))
    with pytest.raises(GuildNotRunningError, match="new"):
        _ = guild.client
    async with guild:
        assert guild.client
    with pytest.raises(GuildNotRunningError, match="closed"):
        _ = guild.client
    with pytest.raises(GuildNotRunningError, match="launch it anew"):
        await guild.start()


def test_nothing_is_started_of_a_spec_that_is_wrong() -> None:
    spec = GuildBuilder("x").add_agent_spec(spec_of(Echo)).add_agent_spec(spec_of(Echo))

    with pytest.raises(SpecError, match="the id 'a' is taken"):
        Guild.launch(spec.build_spec())


def test_a_missing_extra_is_told_before_anything_starts() -> None:
    class Needy(Echo):
        extra = "torch"
        requires = ("no_such_module",)

    with pytest.raises(MissingExtraError, match=r"agent 'a' needs no_such_module; run: pip"):
        Guild.launch(GuildBuilder("x").add_agent_spec(spec_of(Needy)).build_spec())


async def test_a_guild_without_its_bus_does_not_start() -> None:
    guild = Guild.launch(guild_of(Echo), bus="carrier-pigeon://x")

    with pytest.raises(BackendSetupError):
        async with guild:
            pass
    assert guild.status is GuildStatus.CLOSED


async def test_handlers_of_signals_and_logging_stay_as_they_were() -> None:
    before = (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    handlers = list(logging.getLogger().handlers)

    async with launched(Echo):
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
        assert logging.getLogger().handlers == handlers


async def test_nothing_is_left_running_behind_a_closed_guild() -> None:
    async with launched(guild_of(Echo, Asker)):
        pass

    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not others


async def test_a_bus_that_outlives_its_guilds_keeps_nothing_of_them() -> None:
    async with launched(Echo) as first:
        bus = first.client.bus
        before = len(bus._incidents._listeners)
        for _ in range(3):
            async with Guild.launch(guild_of(Echo), bus=bus):
                pass
        assert len(bus._incidents._listeners) == before


async def test_properties_may_be_given_as_a_model() -> None:
    agent = AgentBuilder(Echo).set_id("echo").set_properties(EchoProps(times=2)).build_spec()

    async with launched(agent) as guild:
        assert await guild.client.request("default_topic", Ping(text="a")) == Pong(text="aa")
