"""What tests of one's own agents may ask of a guild, without private names."""

import asyncio

import pytest

from guild.agent.agent import Agent, handles
from guild.builder import AgentBuilder, GuildBuilder
from guild.spec.spec import GuildSpec
from guild.testing import dead_letters, guild_of, launched, sent, settled, state_of
from messaging.errors import InvalidMessageError
from messaging.handling.context import Context
from messaging.wire.message import Message
from tests.guild.samples import Failing, Ping, Pong


class Count(Message, wire_name="tests.count_of_pings"):
    value: int = 0


class Counter(Agent):
    """Counts pings, and tells of each."""

    @handles(sends=[Pong])
    async def count(self, ping: Ping, ctx: Context) -> None:
        count = await ctx.state.load("count", Count) or Count()
        await ctx.state.save("count", Count(value=count.value + 1))
        ctx.send(Pong(text=ping.text), "pongs")


class Endless(Agent):
    """Never comes to an end."""

    @handles
    async def work(self, ping: Ping) -> None:
        await asyncio.Event().wait()


def counted() -> GuildSpec:
    builder = GuildBuilder.from_spec(guild_of(Counter)).add_end(Pong).add_topic("pongs")
    return builder.build_spec()


async def test_messages_and_state_are_there_once_it_has_settled() -> None:
    async with launched(counted()) as guild:
        for text in ("a", "b", "c"):
            await guild.client.publish("default_topic", Ping(text=text))
        await settled(guild)

        assert await sent(guild, "pongs") == [Pong(text=text) for text in "abc"]
        assert await state_of(guild, "counter", "count", Count) == Count(value=3)
        assert await state_of(guild, "counter", "other", Count) is None
        assert await sent(guild, "nowhere") == []
        assert await dead_letters(guild) == []


async def test_what_was_trimmed_elsewhere_is_still_found_in_a_test() -> None:
    async with launched(counted()) as guild:
        await guild.client.publish("default_topic", Ping(text="a"))
        await settled(guild)
        await guild.client.bus.backend.trim()

        assert await sent(guild, "default_topic") == [Ping(text="a")]


async def test_a_state_that_is_something_else_is_an_error() -> None:
    async with launched(counted()) as guild:
        await guild.client.publish("default_topic", Ping())
        await settled(guild)
        with pytest.raises(InvalidMessageError):
            await state_of(guild, "counter", "count", Pong)


async def test_dead_letters_are_told_by_agent_with_every_attempt() -> None:
    spec = AgentBuilder(Failing).set_id("failing").set_retry(attempts=3, backoff_s=0.0)
    async with launched(spec.build_spec()) as guild:
        await guild.client.publish("default_topic", Ping(text="noise"))
        while not (reasons := await dead_letters(guild, "failing")):
            await settled(guild)

        (reason,) = reasons
        assert (reason.error_type, reason.text) == ("ValueError", "cannot stand noise")
        assert [attempt.number for attempt in reason.attempts] == [1, 2, 3]
        assert await dead_letters(guild, "other") == []


async def test_settling_names_the_agent_that_goes_on_and_on() -> None:
    async with launched(Endless) as guild:
        await guild.client.publish("default_topic", Ping())
        with pytest.raises(TimeoutError, match=r"not handled after 0\.2 s: endless has 1"):
            await settled(guild, timeout_s=0.2)
