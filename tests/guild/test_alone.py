"""One agent is tested without the rest of its guild."""

from typing import Any

import pytest

from guild.agent.agent import Agent, handles
from guild.builder import AgentBuilder, GuildBuilder
from guild.checking.plan import Plan
from guild.errors import WiringError
from guild.testing import guild_of, launched, seen
from messaging.handling.context import Context
from messaging.wire.message import Message
from tests.guild.samples import Echo, Note, Ping, Pong, Sender


class Sixth(Message, wire_name="tests.sixth"):
    pass


class Busy(Agent):
    """Sends what only others handle."""

    @handles(sends=[Note, Sixth])
    async def one(self, ping: Ping, ctx: Context) -> None:
        ctx.send(Note(text=ping.text))

    @handles(sends=[Note, Sixth])
    async def two(self, pong: Pong, ctx: Context) -> None: ...


@pytest.mark.parametrize(
    "alone", [Busy, AgentBuilder(Busy).set_id("busy").build_spec()], ids=["class", "spec"]
)
async def test_what_leaves_an_agent_alone_ends_there(alone: Any) -> None:
    async with launched(alone) as guild:
        await guild.client.publish("default_topic", Ping(text="out"))

        assert await seen(guild, Note, topic="default_topic") == Note(text="out")


async def test_a_whole_guild_is_whole_unless_it_is_told_otherwise() -> None:
    with pytest.raises(WiringError, match=r"sends tests\.note, which nobody handles"):
        async with launched(guild_of(Sender)):
            pass
    with pytest.raises(WiringError):
        async with launched(Sender, complete=True):
            pass
    async with launched(guild_of(Sender, Echo), complete=False) as guild:
        assert guild.client


def test_a_problem_of_several_handlers_is_told_once() -> None:
    with pytest.raises(WiringError) as caught:
        Plan.of(guild_of(Busy))

    assert [problem.text.split(",")[0] for problem in caught.value.problems] == [
        "'busy' sends tests.note",
        "'busy' sends tests.sixth",
    ]


async def test_a_guild_is_tested_with_variables_of_the_test() -> None:
    spec = GuildBuilder("${ID}").add_agent_spec(
        AgentBuilder(Echo).set_id("echo").set_properties({"prefix": "${PREFIX}"}).build_spec()
    )

    async with launched(spec.build_spec(), environ={"ID": "mine", "PREFIX": ">"}) as guild:
        assert guild.spec.id == "mine"
        assert await guild.client.request("default_topic", Ping(text="x")) == Pong(text=">x")
