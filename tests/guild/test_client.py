"""Talking to a guild."""

import asyncio
import re
from contextlib import aclosing

import pytest

from guild.agent.agent import Agent, handles
from guild.client import GuildClient
from guild.errors import UnexpectedReplyError
from guild.progress import Progress, TextDelta
from guild.runtime import Guild
from guild.testing import guild_of, launched
from messaging.errors import NobodyListensError, RequestCancelledError
from messaging.handling.context import Context
from messaging.wire.envelope import new_id
from tests.guild.samples import Echo, Note, Ping, Pong


class Typist(Agent):
    """Shows its text letter by letter."""

    @handles(emits=[TextDelta, Progress])
    async def write(self, ping: Ping, ctx: Context) -> Pong:
        for letter in ping.text:
            ctx.emit(TextDelta(text=letter))
        return Pong(text=ping.text)


class Endless(Agent):
    """Works until it is cancelled."""

    @handles
    async def work(self, ping: Ping) -> Pong:
        started.set()
        await asyncio.Event().wait()
        return Pong(text="never")


started = asyncio.Event()


async def test_publishing_returns_the_id() -> None:
    async with launched(Echo) as guild:
        receipt = await guild.client.publish("default_topic", Ping())

    assert re.fullmatch(r"[0-9a-f]{32}", receipt)
    assert receipt.warning == ""


@pytest.mark.parametrize(
    ("topic", "message", "text"),
    [
        ("default_topic", Note(text=""), "no agent of 'tests' handles tests.note"),
        ("elsewhere", Ping(), "it is handled by echo (default_topic)"),
    ],
)
async def test_what_nobody_handles_is_a_warning_or_an_error(
    topic: str, message: Ping | Note, text: str
) -> None:
    async with launched(Echo) as guild:
        receipt = await guild.client.publish(topic, message)
        assert text in receipt.warning

        with pytest.raises(NobodyListensError, match=re.escape(text)):
            await guild.client.publish(topic, message, require_listener=True)
        with pytest.raises(NobodyListensError, match=re.escape(text)):
            await guild.client.request(topic, message)
        with pytest.raises(NobodyListensError, match=re.escape(text)):
            _ = [item async for item in guild.client.stream(topic, message)]


async def test_many_are_published_with_a_receipt_each() -> None:
    async with launched(Echo) as guild:
        receipts = await guild.client.publish_many("default_topic", [Ping(), Note(text=""), Ping()])

        assert len(set(receipts)) == 3
        assert [bool(receipt.warning) for receipt in receipts] == [False, True, False]
        assert [receipt.warning for receipt in receipts[1:]] == [receipts[1].warning, ""]
        assert receipts[-1] in receipts
        assert len(await guild.client.publish_many("default_topic", [])) == 0
        with pytest.raises(NobodyListensError, match="no agent of"):
            await guild.client.publish_many(
                "default_topic", [Ping(), Note(text="")], require_listener=True
            )


async def test_a_stream_that_is_closed_early_is_followed_no_longer() -> None:
    async with launched(Typist) as guild:
        async with aclosing(guild.client.stream("default_topic", Ping(text="abc"))) as items:
            assert await anext(items) == TextDelta(text="a")

        assert not [topic for topic in guild.client.bus._tail._positions if "_emit." in topic]


async def test_a_stream_brings_what_is_emitted_and_then_the_answer() -> None:
    async with launched(Typist) as guild:
        items = [item async for item in guild.client.stream("default_topic", Ping(text="abc"))]

    assert items == [*(TextDelta(text=letter) for letter in "abc"), Pong(text="abc")]


async def test_an_answer_of_another_type_than_was_asked_for_is_an_error() -> None:
    async with launched(Echo) as guild:
        with pytest.raises(UnexpectedReplyError, match=r"is a tests\.pong, not a tests\.note"):
            await guild.client.request("default_topic", Ping(), Note)


async def test_a_request_can_be_cancelled() -> None:
    async with launched(Endless) as guild:
        message_id = new_id()
        asking = asyncio.create_task(
            guild.client.request("default_topic", Ping(), message_id=message_id)
        )
        await started.wait()
        await guild.client.cancel(message_id, "changed my mind")

        with pytest.raises(RequestCancelledError, match="changed my mind"):
            await asking


async def test_a_client_of_its_own_reaches_a_running_guild() -> None:
    spec = guild_of(Echo)

    async with (
        Guild.launch(spec, bus="memory://shared-by-client"),
        GuildClient.connect(spec, bus="memory://shared-by-client") as client,
    ):
        assert await client.request("default_topic", Ping(text="x")) == Pong(text="x")


async def test_watching_takes_nothing_away() -> None:
    async with launched(Echo) as guild:
        tap = guild.client.tap(["default_topic"], from_start=True)
        assert await guild.client.request("default_topic", Ping(text="x")) == Pong(text="x")
        async for tapped in tap:
            assert tapped.message == Ping(text="x")
            break
