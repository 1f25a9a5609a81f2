"""Agents that were taken out of a spec: seen, and forgotten when told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog

from guild.agent.agent import Agent, handles
from guild.builder import AgentBuilder, GuildBuilder
from guild.checking.plan import Plan
from guild.client import GuildClient
from guild.errors import AgentInUseError, UnknownAgentError
from guild.running.scheduler import GROUP as SCHEDULER
from guild.running.strays import Stray
from guild.runtime import Guild
from guild.spec.spec import GuildSpec
from messaging.bus import Bus
from messaging.errors import BusFullError
from messaging.handling.context import Context
from messaging.state.stored_state import StoredState
from messaging.wire.forwarded import outbox_of
from messaging.wire.message import MessageRegistry
from tests.guild.samples import Echo, Failing, Ping, Pong
from tests.messaging.buses import dead_letters, settled_all
from tests.messaging.conftest import Site, site, url_of

__all__ = ["site", "url_of"]  # fixtures

QUIET_S = 1.0
LONG_S = 3_600.0


def spec_of(*agents: str, **classes: type) -> GuildSpec:
    builder = GuildBuilder("tests").set_messaging("memory://").set_drain(0.2)
    for agent in agents:
        kind = AgentBuilder(classes.get(agent, Echo)).set_id(agent).set_lease(QUIET_S)
        builder.add_agent_spec(kind.set_retry(attempts=1).build_spec())
    return builder.build_spec()


@asynccontextmanager
async def running(site: Site, spec: GuildSpec, **limits: Any) -> AsyncIterator[Guild]:
    known = MessageRegistry(Ping, Pong)
    async with (
        Bus(await site.open(**limits), owns_backend=False, registry=known) as bus,
        Guild.launch(spec, bus=bus) as guild,
    ):
        yield guild


@asynccontextmanager
async def client_of(site: Site, spec: GuildSpec) -> AsyncIterator[GuildClient]:
    async with Bus(await site.open(), owns_backend=False) as bus:
        yield GuildClient(bus, Plan.of(spec))


async def taken_out(site: Site, **classes: type) -> None:
    """Run a guild of `echo` and `old`, once, so that both are subscribed."""
    async with running(site, spec_of("echo", "old", **classes)) as guild:
        await guild.client.publish("default_topic", Ping())
        for agent in ("echo", "old"):
            await settled_all(guild.client.bus, agent)


async def test_an_agent_that_is_not_in_the_spec_any_more_is_seen_with_what_waits_for_it(
    site: Site,
) -> None:
    await taken_out(site)
    async with client_of(site, spec_of("echo")) as client:
        await client.publish("default_topic", Ping())

        assert await client.strays() == [Stray("old", ["default_topic"], 0, 1, 0)]


async def test_groups_of_the_bus_s_own_are_no_strays(site: Site) -> None:
    spec = spec_of("echo")
    builder = GuildBuilder.from_spec(spec).add_neighbour("elsewhere", "memory://elsewhere")
    builder.add_schedule("hourly", Ping(), topic="default_topic", every_s=3600.0)
    async with running(site, builder.build_spec()) as guild:
        assert {SCHEDULER, outbox_of("elsewhere")} < set(await guild.client.bus.groups())

    async with client_of(site, spec) as client:
        assert await client.strays() == []


async def test_forgetting_counts_first_and_then_keeps_nothing_for_the_agent(site: Site) -> None:
    await taken_out(site, old=Failing)
    async with client_of(site, spec_of("echo")) as client:
        await client.publish("default_topic", Ping())
        (letter,) = await dead_letters(client.bus)

        counted = await client.forget("old", quiet_s=QUIET_S)
        assert (counted.waiting, counted.in_hand, counted.dead_letters) == (1, 0, 1)
        assert not counted.is_done
        assert [stray.agent for stray in await client.strays()] == ["old"]

        done = await client.forget("old", really=True, quiet_s=QUIET_S)
        assert done == counted._replace(is_done=True)
        assert await client.strays() == []
        assert "old" not in await client.bus.groups()
        topics = await client.bus.backend.topics()
        assert not any("old" in info.waiting for info in topics)
        assert await dead_letters(client.bus) == [letter]


class Remembering(Agent):
    """Keeps two keys of state and sets three timers, one of which it calls off again."""

    @handles
    async def remember(self, ping: Ping, ctx: Context) -> None:
        for key in ("k", "l"):
            ctx.state.save(key, Pong(text="kept"))
        for name in ("tea", "eggs", "never"):
            ctx.send(Pong(text=name), delay_s=LONG_S, timer=name)
        ctx.cancel_timer("never")

    @handles
    async def ring(self, pong: Pong) -> None: ...


async def test_forgetting_counts_timers_and_state_and_leaves_none_of_it(site: Site) -> None:
    await taken_out(site, old=Remembering)
    async with client_of(site, spec_of("echo")) as client:
        counted = await client.forget("old", quiet_s=QUIET_S)
        assert (counted.timers, counted.state_keys) == (2, 2)
        assert await kept(client.bus) == 4

        done = await client.forget("old", really=True, quiet_s=QUIET_S)
        assert (done.timers, done.state_keys) == (2, 2)
        assert await kept(client.bus) == 0


async def kept(bus: Bus) -> int:
    """How many keys the state of `old` has, with those of the bus."""
    keys = StoredState(bus.backend, "old").keys(with_the_buses_own=True)
    return len([found async for found in keys])


async def test_publishers_are_refused_for_an_agent_that_nobody_runs_until_it_is_forgotten(
    site: Site,
) -> None:
    limits = {"max_backlog": 10, "soft_wait_s": 0.0}
    async with running(site, spec_of("echo", "old"), **limits):
        pass
    async with running(site, spec_of("echo"), **limits) as guild:

        async def publish_more_than_fit() -> None:
            for _ in range(12):
                await guild.client.publish("default_topic", Ping())
                await settled_all(guild.client.bus, "echo")

        with pytest.raises(BusFullError, match="old"):
            await publish_more_than_fit()
        assert [(each.agent, each.waiting) for each in await guild.client.strays()] == [("old", 10)]

        await guild.client.forget("old", really=True, quiet_s=QUIET_S)
        await publish_more_than_fit()


async def test_an_agent_that_runs_somewhere_is_not_forgotten(site: Site) -> None:
    async with (
        running(site, spec_of("echo", "old")) as newer,
        client_of(site, spec_of("echo")) as client,
    ):
        told: list[float] = []
        with pytest.raises(AgentInUseError, match="stop that process"):
            await client.forget("old", really=True, quiet_s=QUIET_S, on_wait=told.append)

        assert told == [QUIET_S]
        assert "old" in await newer.client.bus.groups()


async def test_an_agent_whose_replica_died_is_forgotten_once_it_was_silent_for_a_lease(
    site: Site,
) -> None:
    await taken_out(site)
    async with client_of(site, spec_of("echo")) as client:
        await client.bus.backend.join("old")  # and never beats

        assert (await client.forget("old", really=True, quiet_s=QUIET_S)).is_done


async def test_an_agent_that_is_paused_is_not_forgotten_before_it_was_resumed(site: Site) -> None:
    """The replicas of a paused agent leave their group: nobody can be heard of."""
    async with (
        running(site, spec_of("echo", "old")) as newer,
        client_of(site, spec_of("echo")) as client,
    ):
        await client.pause("old")
        while await newer.client.bus.backend.consumers("old"):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.005)
        with pytest.raises(AgentInUseError, match="resume it first"):
            await client.forget("old", really=True, quiet_s=QUIET_S)
        await client.resume("old")

    async with client_of(site, spec_of("echo")) as client:
        assert (await client.forget("old", really=True, quiet_s=QUIET_S)).is_done


async def test_an_agent_that_comes_back_begins_anew(site: Site) -> None:
    await taken_out(site)
    async with client_of(site, spec_of("echo")) as client:
        await client.publish("default_topic", Ping(text="before"))
        await client.forget("old", really=True, quiet_s=QUIET_S)
        await client.publish("default_topic", Ping(text="between"))
    async with running(site, spec_of("echo", "old")) as guild:
        topics = await guild.client.bus.backend.topics()
        assert not any(info.waiting.get("old") or info.pending.get("old") for info in topics)


async def test_an_agent_of_the_spec_is_not_forgotten(site: Site) -> None:
    async with client_of(site, spec_of("echo")) as client:
        with pytest.raises(AgentInUseError, match="Take it out of the spec first"):
            await client.forget("echo", really=True)


async def test_an_agent_that_nobody_subscribed_cannot_be_forgotten(site: Site) -> None:
    await taken_out(site)
    async with client_of(site, spec_of("echo")) as client:
        with pytest.raises(UnknownAgentError, match="did you mean 'old'"):
            await client.forget("olda")


async def test_a_guild_warns_at_its_start_of_agents_that_are_not_in_the_spec(site: Site) -> None:
    await taken_out(site)
    with structlog.testing.capture_logs() as logs:
        async with running(site, spec_of("echo")):
            pass
        async with running(site, spec_of("echo", "old")):
            pass

    (warning,) = [line for line in logs if line["event"] == "guild.strays"]
    assert (warning["log_level"], warning["agents"]) == ("warning", ["old"])
    assert "another process may run them" in warning["warning"]
    assert "guildbus forget" in warning["warning"]
