"""A guild and its clients take an observer, which sees what happens in their process."""

import pytest

from guild.client import GuildClient
from guild.runtime import Guild
from guild.sync import launch_sync
from guild.testing import guild_of, launched, settled
from messaging import Ending, Envelope, Handling, Observer, connect
from tests.guild.samples import Echo, Ping, Pong


class Witness(Observer):
    def __init__(self) -> None:
        self.out: list[str] = []
        self.ends: list[tuple[str, str]] = []

    def sealed(self, envelope: Envelope) -> str:
        if not envelope.topic.startswith("guild."):
            self.out.append(envelope.type)
        return envelope.trace or "t-1"

    def ended(self, handling: Handling, ending: Ending, token: None) -> None:
        assert handling.envelope.trace == "t-1"
        self.ends.append((handling.group, ending.outcome))


async def test_a_guild_shows_its_observer_what_its_agents_do() -> None:
    witness = Witness()
    async with Guild.launch(guild_of(Echo), bus="memory://", observer=witness) as guild:
        assert await guild.client.request("inbox.echo", Ping(text="x")) == Pong(text="x")

    assert witness.out == ["tests.ping", "tests.pong"]
    assert witness.ends == [("echo", "handled")]


def test_a_guild_of_a_script_does_so_too() -> None:
    witness = Witness()
    with launch_sync(guild_of(Echo), observer=witness) as guild:
        guild.request("inbox.echo", Ping(text="x"))

    assert witness.ends == [("echo", "handled")]


async def test_a_guild_under_test_does_so_too() -> None:
    witness = Witness()
    async with launched(Echo, observer=witness) as guild:
        await guild.client.publish("inbox.echo", Ping(text="x"))
        await settled(guild)

    assert ("echo", "handled") in witness.ends


async def test_a_client_shows_its_observer_what_it_publishes() -> None:
    witness = Witness()
    spec = guild_of(Echo)
    async with GuildClient.connect(spec, bus="memory://", observer=witness) as client:
        await client.publish("inbox.echo", Ping(text="x"))

    assert witness.out == ["tests.ping"]


async def test_an_open_bus_keeps_its_own_observer() -> None:
    witness = Witness()
    async with connect("memory://", "tests", observer=witness) as bus:
        with pytest.raises(TypeError, match="has its observer already"):
            Guild.launch(guild_of(Echo), bus=bus, observer=Witness())

        async with Guild.launch(guild_of(Echo), bus=bus) as guild:
            await guild.client.request("inbox.echo", Ping(text="x"))

    assert witness.ends == [("echo", "handled")]
