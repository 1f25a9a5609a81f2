"""Agents of one guild send to those of another, on a server of its own or on the same."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from guild.agent.agent import Agent, handles
from guild.builder import AgentBuilder, GuildBuilder
from guild.checking.loader import dump_yaml, load_yaml
from guild.errors import SpecError, UnresolvedReferenceError
from guild.runtime import Guild
from guild.spec.spec import GuildSpec
from messaging.handling.context import Context
from tests.guild.samples import Note, Ping
from tests.servers import running_redis

ALLOW = ("tests",)


class Herald(Agent):
    """Tells the other guild each note."""

    @handles(sends=[Ping])
    async def tell(self, note: Note, ctx: Context) -> None:
        ctx.send(Ping(text=note.text), "pings", guild="listeners")


class Listener(Agent):
    """Remembers what it heard."""

    heard: asyncio.Queue[str] = asyncio.Queue()

    @handles
    async def hear(self, ping: Ping, ctx: Context) -> None:
        self.heard.put_nowait(f"{ctx.envelope.sender}: {ping.text}")


@pytest.fixture
def urls(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Buses on two servers."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    with running_redis(here) as first, running_redis(there) as second:
        yield first.url, second.url


def heralds(bus: str, neighbour: str) -> GuildSpec:
    builder = GuildBuilder("heralds").set_messaging(bus).add_end(Ping)
    builder.add_agent_spec(AgentBuilder(Herald).set_id("herald").build_spec())
    return builder.add_neighbour("listeners", neighbour).build_spec()


def listeners(bus: str) -> GuildSpec:
    agent = AgentBuilder(Listener).set_id("listener").add_additional_topic("pings").build_spec()
    return GuildBuilder("listeners").set_messaging(bus).add_agent_spec(agent).build_spec()


async def test_a_note_reaches_an_agent_of_another_guild(urls: tuple[str, str]) -> None:
    here, there = urls
    Listener.heard = asyncio.Queue()
    async with (
        Guild.launch(listeners(there), allow=ALLOW),
        Guild.launch(heralds(here, there), allow=ALLOW) as guild,
    ):
        await guild.client.publish("default_topic", Note(text="hello"))

        async with asyncio.timeout(30):
            assert await Listener.heard.get() == "heralds.herald: hello"


async def test_what_is_told_while_the_other_guild_is_not_there_waits_for_it(
    urls: tuple[str, str],
) -> None:
    here, there = urls
    Listener.heard = asyncio.Queue()
    async with Guild.launch(listeners(there), allow=ALLOW):
        pass  # it is known there, and away again
    async with Guild.launch(heralds(here, there), allow=ALLOW) as guild:
        await guild.client.publish("default_topic", Note(text="early"))
        async with Guild.launch(listeners(there), allow=ALLOW):
            async with asyncio.timeout(30):
                assert await Listener.heard.get() == "heralds.herald: early"


def test_neighbours_survive_the_way_through_yaml() -> None:
    spec = heralds("memory://", "${env:LISTENERS_BUS}")

    again = load_yaml(dump_yaml(spec), allow=ALLOW)

    assert again.neighbours == {"listeners": "${env:LISTENERS_BUS}"}
    assert again == spec


async def test_a_neighbour_whose_bus_is_not_set_stops_the_launch() -> None:
    spec = heralds("memory://", "${env:NOBODY_SETS_THIS}")

    with pytest.raises((UnresolvedReferenceError, SpecError), match="NOBODY_SETS_THIS"):
        async with Guild.launch(spec, allow=ALLOW):
            pass


def test_a_neighbour_without_a_bus_is_an_error_with_its_place() -> None:
    with pytest.raises(SpecError, match=r":2:17: 'b'"):
        load_yaml("id: a\nneighbours: {b: ''}\n")
