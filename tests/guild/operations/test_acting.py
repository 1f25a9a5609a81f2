"""What an operator does is done, and told on `guild.events` with the name of whoever did it."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from guild.client import GuildClient
from guild.errors import LetterNotFoundError, UnknownAgentError
from guild.events import OperatorActed
from guild.operations.ground import MOST_OF_A_DETAIL, Ground
from messaging.client.dead_letters import Wanted
from messaging.errors import BackendUnavailableError, InvalidMessageError
from messaging.wire.envelope import new_id
from messaging.wire.topic import EVENTS_TOPIC
from tests.guild.operations.desk import QUIET_S, Hold, Holding, acts, client_of, running, spec_of
from tests.guild.samples import Echo, Failing, Ping
from tests.messaging.buses import dead_letters, settled_all
from tests.messaging.conftest import Site

ID = new_id()
with_mutant = pytest.mark.parametrize("is_mutant", [False, True], ids=["", "mutant"])


async def pause(client: GuildClient) -> str:
    await client.pause("echo", by="ada")
    return "echo"


async def resume(client: GuildClient) -> str:
    await client.pause("echo")
    assert await client.resume("echo", by="ada")
    return "echo"


async def drain(client: GuildClient) -> str:
    assert await client.drain("echo", by="ada") == 0
    return "echo"


async def cancel(client: GuildClient) -> str:
    await client.cancel(ID, "enough", by="ada")
    return ID


async def replay(client: GuildClient) -> str:
    found = await client.replay("inbox.echo", "echo", really=True, by="ada")
    assert found.passed_over == {}
    return "echo"


async def forget(client: GuildClient) -> str:
    assert (await client.forget("gone", really=True, quiet_s=QUIET_S, by="ada")).is_done
    return "gone"


async def requeue(client: GuildClient) -> str:
    (letter,) = await client.letters()
    return (await client.requeue(letter.id, edit={"text": "other"}, by="ada")).id


async def requeue_all(client: GuildClient) -> str:
    (letter,) = [
        each async for each in client.requeue_all(Wanted("failing"), really=True, by="ada")
    ]
    assert letter.agent == "failing"
    return ""


async def drop_all(client: GuildClient) -> str:
    wanted = Wanted("failing")
    assert [each.agent async for each in client.drop_all(wanted, "seen", by="ada")] == ["failing"]
    dropped = client.drop_all(wanted, "seen", really=True, by="ada")
    assert [each.agent async for each in dropped] == ["failing"]
    return ""


async def drop(client: GuildClient) -> str:
    (letter,) = await client.letters()
    return (await client.drop(letter.id, "seen", by="ada")).id


ACTS: dict[Callable[[GuildClient], Awaitable[str]], str] = {
    pause: "",
    resume: "",
    drain: "",
    cancel: "enough",
    replay: "0 messages of inbox.echo",
    forget: "0 messages were kept for it",
    requeue: "edited: text",
    requeue_all: "1 dead letter: agent=failing",
    drop_all: "1 dead letter: agent=failing: seen",
    drop: "of failing: seen",
}


@with_mutant
@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
async def test_each_act_is_told_once_with_who_did_it_and_to_what(
    act: Callable[[GuildClient], Awaitable[str]],
    is_mutant: bool,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if is_mutant:

        async def silent(self: Ground, *told: str) -> None: ...

        monkeypatch.setattr(Ground, "_tell", silent)
    async with running(site, spec_of(Echo, Failing, gone=Echo)) as guild:
        await guild.client.publish("inbox.failing", Ping(text="x"))
        await dead_letters(guild.client.bus)

    async with client_of(site, spec_of(Echo, Failing)) as client:
        target = await act(client)
        name = act.__name__.removesuffix("_all")
        told = [event for event in await acts(client) if event.act == name]

    assert len(told) == (0 if is_mutant else 1)
    for event in told:
        assert (event.target, event.by) == (target, "ada")
        assert event.detail.endswith(ACTS[act])


async def test_without_a_name_it_was_the_bus(site: Site) -> None:
    async with (
        running(site, spec_of(Echo)),
        client_of(site, spec_of(Echo), name="a-script") as client,
    ):
        await client.pause("echo")

        assert await acts(client) == [OperatorActed(act="pause", target="echo", by="a-script")]


async def test_what_was_not_done_is_not_told(site: Site) -> None:
    async with running(site, spec_of(Echo, Failing)) as guild:
        client = guild.client
        await client.publish("inbox.failing", Ping(text="x"))
        await dead_letters(client.bus)
        (letter,) = await client.letters()

        for agent_act in (client.pause, client.resume, client.drain):
            with pytest.raises(UnknownAgentError):
                await agent_act("nemo")
        for letter_act in (client.requeue, client.letter):
            with pytest.raises(LetterNotFoundError, match="there is no dead letter 1-1"):
                await letter_act("1-1")
        with pytest.raises(LetterNotFoundError):
            await client.drop("1-1", "why not")
        with pytest.raises(InvalidMessageError):
            await client.requeue(letter.id, edit={"txt": "x"})
        assert [each async for each in client.requeue_all()] == [letter]
        await client.replay("inbox.echo", "echo")

        assert await acts(client) == []


async def test_a_requeue_that_is_broken_off_tells_of_those_it_has_done(site: Site) -> None:
    async with running(site, spec_of(Failing)) as guild:
        client = guild.client
        for text in "abc":
            await client.publish("inbox.failing", Ping(text=text))
        await dead_letters(client.bus, 3)
        requeued = client.requeue_all(really=True)
        await anext(requeued)
        await requeued.aclose()

        (event,) = await acts(client)
        assert event.detail == "at least 1 dead letter: all"


async def test_an_act_that_cannot_be_told_was_done_all_the_same(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(site, spec_of(Echo)) as guild:
        client = guild.client
        publish = client.bus.publish

        async def away(topic: str, message: Ping) -> str:
            if topic == EVENTS_TOPIC:
                raise BackendUnavailableError("away")
            return await publish(topic, message)

        monkeypatch.setattr(client.bus, "publish", away)
        with capture_logs() as logs:
            await client.pause("echo", by="ada")

        assert "echo" in await client.bus.paused()
        acted, lost = [line for line in logs if line["event"].startswith("guild.")]
        assert (acted["event"], acted["by"]) == ("guild.operated", "ada")
        assert lost["event"] == "guild.event_lost"


async def test_names_and_reasons_that_no_json_can_hold_are_told_as_far_as_they_can_be(
    site: Site,
) -> None:
    async with running(site, spec_of(Failing)) as guild:
        client = guild.client
        await client.publish("inbox.failing", Ping(text="x"))
        await dead_letters(client.bus)
        (letter,) = await client.letters()

        await client.requeue(letter.id, by="ada\ud800")
        await dead_letters(client.bus)
        (again,) = await client.letters()
        await client.drop(again.id, "z" * 5_000, by="a" * 5_000)

        requeued, dropped = await acts(client)
        assert requeued.by == "ada\\ud800"
        assert (len(dropped.by), len(dropped.detail)) == (200, MOST_OF_A_DETAIL)


async def test_a_requeue_is_in_the_history_of_the_message_with_who_did_it(site: Site) -> None:
    async with running(site, spec_of(Failing)) as guild:
        client = guild.client
        await client.publish("inbox.failing", Ping(text="x"))
        await dead_letters(client.bus)
        (letter,) = await client.letters()
        await client.requeue(letter.message_id, edit={"text": "y"}, by="ada")
        await settled_all(client.bus, "failing")
        await dead_letters(client.bus)

        detail = await client.letter(letter.message_id)

    texts = [attempt.text for attempt in detail.reason.attempts]
    assert texts == ["cannot stand x", "by ada, edited: text", "cannot stand y"]
    assert detail.payload == {"text": "y"}


@pytest.mark.parametrize("wrong", [math.nan, math.inf, None], ids=str)
async def test_draining_for_what_is_no_time_is_refused_and_pauses_nothing(
    site: Site, wrong: Any
) -> None:
    async with running(site, spec_of(Echo)) as guild:
        with pytest.raises((TypeError, ValueError), match=r"^timeout_s must be a finite number, "):
            await guild.client.drain("echo", timeout_s=wrong)

        assert not await guild.client.bus.paused()


async def test_draining_says_what_is_left_after_its_time(site: Site, hold: Hold) -> None:
    async with running(site, spec_of(Holding)) as guild:
        asking = asyncio.create_task(guild.client.request("inbox.holding", Ping(text="x")))
        await hold.begun.wait()
        assert await guild.client.drain("holding", timeout_s=0.0) == 1

        hold.may_go.set()
        assert await guild.client.drain("holding") == 0
        assert await guild.client.resume("holding")
        assert not await guild.client.resume("holding")
        await asking
