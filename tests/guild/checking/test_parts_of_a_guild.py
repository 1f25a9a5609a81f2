"""Processes that run a part of a guild each: the whole spec holds, a few agents work here."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import pytest

from guild.agent.registry import Registry
from guild.builder import AgentBuilder, GuildBuilder
from guild.checking.inspection import ALWAYS_KNOWN
from guild.errors import SpecError, UnknownAgentError
from guild.events import GuildStarted
from guild.running.scheduler import GROUP as SCHEDULER
from guild.runtime import Guild
from guild.spec.spec import GuildSpec
from guild.testing import seen
from messaging.bus import Bus
from messaging.wire.message import MessageRegistry
from tests.guild.samples import Asker, Echo, EchoProps, NeedsStore, Note, Ping, Pong
from tests.messaging.buses import lying_in, settled_all
from tests.messaging.conftest import Site, site, url_of

__all__ = ["site", "url_of"]  # fixtures

ALLOW = ("tests.guild",)


def pair() -> GuildSpec:
    """`asker` asks `echo`, which answers it."""
    builder = GuildBuilder("tests").set_messaging("memory://").set_drain(1.0)
    asker = AgentBuilder(Asker).set_id("asker").add_additional_topic("notes")
    echo = AgentBuilder(Echo).set_id("echo").add_additional_topic("pings")
    builder.add_agent_spec(asker.set_output_topic("pings").build_spec())
    builder.add_agent_spec(echo.build_spec())
    return builder.add_schedule("often", Ping(), topic="pings", every_s=3600.0).build_spec()


@asynccontextmanager
async def running(
    site: Site, spec: GuildSpec, only: Collection[str] | None = None
) -> AsyncIterator[Guild]:
    known = MessageRegistry(*ALWAYS_KNOWN, Ping, Pong, Note)
    async with (
        Bus(await site.open(), owns_backend=False, registry=known) as bus,
        Guild.launch(spec, bus=bus, only=only) as guild,
    ):
        yield guild


async def test_only_the_chosen_agents_work_here_and_all_are_subscribed(site: Site) -> None:
    async with running(site, pair(), only=["asker"]) as guild:
        bus = guild.client.bus
        assert guild.agents == ("asker",)
        assert [replica.agent for replica in guild.replicas] == ["asker"]
        assert {"asker", "echo"} <= set(await bus.groups())
        assert await bus.backend.consumers("echo") == {}
        assert (await seen(guild, GuildStarted)).agents == ("asker",)


async def test_what_is_published_before_the_other_part_runs_is_not_lost_to_it(site: Site) -> None:
    async with running(site, pair(), only=["asker"]) as one:
        await one.client.publish("notes", Note(text="early"))
        await settled_all(one.client.bus, "asker")
        async with running(site, pair(), only=["echo"]):
            await settled_all(one.client.bus, "echo")
            answers = await lying_in(one.client.bus, "inbox.asker")

    assert [entry.envelope.type for entry in answers] == ["tests.pong"]


async def test_each_part_runs_the_schedules_as_well(site: Site) -> None:
    async with running(site, pair(), only=["asker"]) as guild:
        await settled_all(guild.client.bus, SCHEDULER)
        assert len(await guild.client.bus.backend.consumers(SCHEDULER)) == 1


def test_an_agent_that_the_spec_does_not_have_is_refused_with_what_was_meant() -> None:
    with pytest.raises(UnknownAgentError, match="did you mean 'asker'"):
        Guild.launch(pair(), only=["aksr"])


def test_a_part_without_agents_is_refused() -> None:
    with pytest.raises(ValueError, match="names no agent"):
        Guild.launch(pair(), only=[])


def secretive() -> GuildSpec:
    """`echo` needs nothing, `teller` a secret, `looker` a resource with one."""
    teller = AgentBuilder(Echo).set_id("teller")
    looker = AgentBuilder(NeedsStore).set_id("looker")
    spec = (
        GuildBuilder("tests")
        .add_resource("store", f"{__name__}:Store", {"prefix": "${env:STORE_TOKEN}"})
        .add_agent_spec(AgentBuilder(Echo).set_id("echo").build_spec())
        .add_agent_spec(teller.set_properties({"token": "${env:ECHO_TOKEN}"}).build_spec())
        .add_agent_spec(looker.build_spec())
    )
    return spec.add_end(Pong).build_spec()


@asynccontextmanager
async def Store(properties: EchoProps) -> AsyncIterator[str]:  # noqa: N802 - stands for a class
    yield properties.prefix


@pytest.mark.parametrize(
    ("only", "missing"),
    [
        (None, {"ECHO_TOKEN", "STORE_TOKEN"}),
        (["echo"], set()),
        (["echo", "teller"], {"ECHO_TOKEN"}),
        (["looker"], {"STORE_TOKEN"}),
    ],
)
def test_secrets_are_needed_for_what_works_here(only: list[str] | None, missing: set[str]) -> None:
    told = ""
    try:
        Guild.launch(secretive(), only=only, registry=Registry(ALLOW), environ={})
    except SpecError as error:
        told = str(error)

    assert {name for name in ("ECHO_TOKEN", "STORE_TOKEN") if name in told} == missing


def test_the_whole_spec_is_checked_whatever_works_here() -> None:
    broken = GuildBuilder.from_spec(pair())
    broken.add_agent_spec(AgentBuilder(NeedsStore).set_id("looker").build_spec())

    with pytest.raises(SpecError, match="needs a resource 'store'"):
        Guild.launch(broken.build_spec(), only=["echo"])
