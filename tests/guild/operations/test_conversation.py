"""A conversation told afterwards, from whatever is left of it."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest

from guild.agent.agent import Agent, handles
from guild.builder import AgentBuilder
from guild.client import GuildClient
from guild.live import LiveSummary
from guild.operations import Conversation, ConversationStep, gathering
from guild.operations.gathering import _state
from guild.runtime import Guild
from guild.testing import guild_of
from messaging.handling.context import Context
from messaging.testing import eventually
from messaging.wire.envelope import new_id
from messaging.wire.topic import LIVE_TOPIC
from tests.guild.operations.desk import Hold, Holding, client_of, running, spec_of, until_later
from tests.guild.samples import Asker, Echo, Failing, Note, Ping, Reader
from tests.messaging.buses import dead_letters, settled_all
from tests.messaging.conftest import Site

KEPT = {"keep_settled_s": 3600.0}


class Chain(Agent):
    """Sends each note on as a ping to an agent that fails."""

    @handles(sends=[Ping])
    async def pass_on(self, note: Note, ctx: Context) -> None:
        ctx.send(Ping(text=note.text), "inbox.failing")


def by_type(conversation: Conversation) -> dict[str, ConversationStep]:
    return {step.type: step for step in conversation.steps}


async def watching(guild: Guild, client: GuildClient) -> asyncio.Task[None]:
    """A watcher that is heard already; it ends when something was summed up."""

    async def watch() -> None:
        async with aclosing(client.live()) as live:
            async for message in live:
                if isinstance(message, LiveSummary):
                    return

    task = asyncio.create_task(watch())
    await eventually(lambda: guild.client.bus.watchers.is_watched(LIVE_TOPIC))
    return task


async def test_the_steps_are_told_in_order_of_cause_with_what_agents_made_of_them(
    site: Site,
) -> None:
    async with running(site, spec_of(Asker, Echo), **KEPT) as guild:
        client = guild.client
        sent = await client.publish("default_topic", Note(text="x"))
        for agent in ("asker", "echo", "asker"):
            await settled_all(client.bus, agent)
        conversation = await client.conversation(sent)

    note, ping, pong = conversation.steps
    assert [step.type for step in conversation.steps] == ["tests.note", "tests.ping", "tests.pong"]
    assert (note.id, note.cause, note.data) == (sent, "", {"text": "x", "stars": 0})
    assert (ping.cause, ping.sender, ping.topic) == (sent, "asker", "default_topic")
    assert (pong.cause, pong.topic) == (ping.id, "inbox.asker")
    assert {step.state for step in conversation.steps} == {"settled"}
    assert (conversation.failed_first, conversation.is_whole) == ("", True)


async def test_any_message_of_it_leads_to_the_whole(site: Site) -> None:
    async with running(site, spec_of(Asker, Echo), **KEPT) as guild:
        client = guild.client
        sent = await client.publish("default_topic", Note(text="x"))
        for agent in ("asker", "echo", "asker"):
            await settled_all(client.bus, agent)
        whole = await client.conversation(sent)

        assert len(whole.steps) == 3
        for step in whole.steps:
            assert await client.conversation(step.id) == whole


async def test_the_first_step_that_failed_is_named_with_its_letter(site: Site) -> None:
    async with running(site, spec_of(Chain, Failing), **KEPT) as guild:
        client = guild.client
        sent = await client.publish("inbox.chain", Note(text="x"))
        (letter,) = await dead_letters(client.bus)
        conversation = await client.conversation(sent)

    ping = by_type(conversation)["tests.ping"]
    assert conversation.failed_first == ping.id == letter.envelope.id
    (handling,) = [each for each in ping.agents if each.agent == "failing"]
    assert (ping.state, handling.state, handling.letter_id) == ("failed", "failed", letter.id)
    assert (handling.error, handling.attempts) == ("ValueError: cannot stand x", 1)
    assert ping.data == {"text": "x"}


async def test_a_letter_alone_tells_of_its_message(site: Site) -> None:
    """Nothing else is kept of it."""
    async with running(site, spec_of(Failing)) as guild:
        sent = await guild.client.publish("inbox.failing", Ping(text="x"))
        await dead_letters(guild.client.bus)
        await settled_all(guild.client.bus, "failing")
        await guild.client.bus.backend.trim()

        (step,) = (await guild.client.conversation(sent)).steps
    assert (step.id, step.topic, step.state) == (sent, "inbox.failing", "failed")


async def test_what_waits_and_what_is_in_hand_is_told_apart(site: Site, hold: Hold) -> None:
    async with running(site, spec_of(Holding, Echo)) as guild:
        client = guild.client
        asked = new_id()
        asking = asyncio.create_task(
            client.request("inbox.holding", Ping(text="x"), message_id=asked)
        )
        await hold.begun.wait()
        await client.pause("echo")
        waiting = await client.publish("inbox.echo", Ping(text="y"), conversation=asked)
        conversation = await client.conversation(asked)
        hold.may_go.set()
        await asking

    first, second = conversation.steps
    assert (first.id, first.state) == (asked, "in hand")
    assert (second.id, second.state) == (waiting, "waiting")
    assert [each.agent for each in second.agents] == ["echo"]


async def test_a_message_that_waits_for_its_next_attempt_lies_nowhere_and_is_told(
    site: Site,
) -> None:
    agent = AgentBuilder(Failing).set_id("failing").set_retry(attempts=3, backoff_s=600.0)
    async with running(site, guild_of(agent.build_spec())) as guild:
        client = guild.client
        sent = await client.publish("inbox.failing", Ping(text="x"))
        await settled_all(client.bus, "failing")
        await client.bus.backend.trim()
        conversation = await client.conversation(sent)

    (step,) = conversation.steps
    (handling,) = step.agents
    assert conversation.failed_first == sent
    assert (step.state, handling.state, handling.attempts) == ("retried", "retried", 1)
    assert handling.error == "ValueError: cannot stand x"


async def test_the_answer_to_a_request_under_an_id_of_its_own_is_the_last_step(site: Site) -> None:
    asked = new_id()
    async with running(site, spec_of(Echo), **KEPT) as guild:
        await guild.client.request("inbox.echo", Ping(text="x"), message_id=asked)
        conversation = await guild.client.conversation(asked)

    _, answer = conversation.steps
    assert (answer.type, answer.cause, answer.state) == ("tests.pong", asked, "answered")
    assert answer.data == {"text": "x"}


async def test_what_was_watched_is_told_although_no_topic_holds_it(site: Site) -> None:
    async with (
        running(site, spec_of(Asker, Echo)) as guild,
        client_of(site, spec_of(Asker, Echo)) as client,
    ):
        summed_up = await watching(guild, client)
        sent = await client.publish("default_topic", Note(text="x"))
        await summed_up
        for agent in ("asker", "echo"):
            await settled_all(guild.client.bus, agent)
        await client.bus.backend.trim()
        conversation = await client.conversation(sent)

    note = by_type(conversation)["tests.note"]
    (asker,) = [each for each in note.agents if each.agent == "asker"]
    assert (note.state, asker.state, asker.attempts) == ("handled", "handled", 1)
    assert asker.handled_s is not None
    assert asker.waited_s is not None
    assert [step.type for step in conversation.steps][:2] == ["tests.note", "tests.ping"]


async def test_a_message_whose_id_tells_no_time_has_that_of_its_first_handling_if_it_was_watched(
    site: Site,
) -> None:
    name, before = "0123456789ab4def8123456789abcdef", datetime.now(UTC)
    async with (
        running(site, spec_of(Reader)) as guild,
        client_of(site, spec_of(Reader)) as client,
    ):
        summed_up = await watching(guild, client)
        await client.publish("default_topic", Note(text="x"), message_id=name)
        await summed_up
        (step,) = (await client.conversation(name)).steps

    assert step.at is not None
    assert before - timedelta(seconds=1) < step.at < datetime.now(UTC)


async def test_a_message_whose_id_tells_no_time_stands_where_it_was_handled(site: Site) -> None:
    """As one with an Idempotency-Key: by its id it would be the last."""
    spec, name = spec_of(Reader), "f" * 32
    async with running(site, spec, **KEPT) as guild, client_of(site, spec) as client:
        summed_up = await watching(guild, client)
        first = await client.publish("default_topic", Note(text="x"))
        await client.publish("default_topic", Note(text="y"), message_id=name, conversation=first)
        await settled_all(guild.client.bus, "reader")
        await summed_up
        await until_later(client)
        last = await client.publish("default_topic", Note(text="z"), conversation=first)
        found = await client.conversation(first)

    assert [step.id for step in found.steps] == [first, name, last]


async def test_a_requeued_letter_waits_again(site: Site) -> None:
    async with running(site, spec_of(Failing)) as guild:
        client = guild.client
        sent = await client.publish("inbox.failing", Ping(text="x"))
        (letter,) = await dead_letters(client.bus)
        await settled_all(client.bus, "failing")
        await client.pause("failing")
        await client.requeue(letter.id)
        conversation = await client.conversation(sent)

    (step,) = conversation.steps
    (handling,) = step.agents
    assert step.state == handling.state == "retried"
    assert (handling.error, handling.attempts) == ("ValueError: cannot stand x", 1)


async def test_what_no_agent_hears_is_told_as_that(site: Site) -> None:
    async with running(site, spec_of(Echo)) as guild:
        sent = await guild.client.bus.publish("nowhere", Ping(text="x"))
        (step,) = (await guild.client.conversation(sent)).steps

    assert (step.state, step.agents) == ("unheard", ())


@pytest.mark.parametrize("name", ["no-id", "z" * 32, "", "f" * 32, "\ud800"])
async def test_of_a_conversation_that_never_was_there_are_no_steps(site: Site, name: str) -> None:
    async with running(site, spec_of(Echo)) as guild:
        conversation = await guild.client.conversation(name)

    assert (conversation.steps, conversation.failed_first) == ((), "")


async def test_a_conversation_under_an_id_of_another_rule_is_found(site: Site) -> None:
    name = "0123456789ab4def8123456789abcdef"
    async with running(site, spec_of(Reader), **KEPT) as guild:
        sent = await guild.client.publish("default_topic", Note(text="x"), conversation=name)
        await settled_all(guild.client.bus, "reader")
        conversation = await guild.client.conversation(name)

    assert [step.id for step in conversation.steps] == [sent]


async def test_where_there_is_too_much_to_read_it_is_said(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "MOST_STEPS", 3)
    async with running(site, spec_of(Reader), **KEPT) as guild:
        client = guild.client
        name = new_id()
        await client.publish_many(
            "default_topic", [Note(text=str(n)) for n in range(5)], conversation=name
        )
        await settled_all(client.bus, "reader")
        many = await client.conversation(name)
        monkeypatch.setattr(gathering, "MOST_READ", 4)
        few = await client.conversation(name)

    assert (len(many.steps), many.is_whole) == (3, False)
    assert not few.is_whole


async def test_of_large_messages_no_more_is_told_than_fits(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five hundred of four megabytes each are two gigabytes, for whoever may look."""
    monkeypatch.setattr(gathering, "MOST_BYTES", 2500)
    notes = [Note(text=str(number).ljust(1000)) for number in range(4)]
    async with running(site, spec_of(Reader), **KEPT) as guild:
        client, name = guild.client, new_id()
        await client.publish_many("default_topic", notes, conversation=name)
        await settled_all(client.bus, "reader")
        found = await client.conversation(name)

    assert [step.data is not None for step in found.steps] == [True, True, False, False]
    assert not found.is_whole


async def test_what_was_made_long_before_the_conversation_is_not_read(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time that an id tells, less what clocks may differ, is where reading begins."""
    monkeypatch.setattr(gathering, "SLACKS_S", (0.0, 60.0))
    monkeypatch.setattr(gathering, "MOST_READ", 100)
    async with running(site, spec_of(Reader), **KEPT) as guild:
        client = guild.client
        await client.publish_many("default_topic", [Note(text=str(n)) for n in range(150)])
        await settled_all(client.bus, "reader")
        await until_later(client)
        sent = await client.publish("default_topic", Note(text="x"))
        await settled_all(client.bus, "reader")
        conversation = await client.conversation(sent)

    assert [step.id for step in conversation.steps] == [sent]
    assert conversation.is_whole


@pytest.mark.parametrize(
    ("entries", "waiting", "in_hand", "behind", "state"),
    [
        (3, 3, 0, 2, "waiting"),
        (3, 2, 1, 2, "in hand"),
        (3, 2, 0, 2, "settled"),
        (3, 1, 1, 2, "unknown"),
        (3, 1, 1, 0, "waiting"),
        (1, 0, 1, 0, "in hand"),
    ],
)
def test_where_an_entry_lies_tells_what_it_is_to_an_agent(
    entries: int, waiting: int, in_hand: int, behind: int, state: str
) -> None:
    assert _state(entries, waiting, in_hand, behind) == state


@pytest.mark.parametrize(("most", "is_whole"), [(1, True), (0, False)])
async def test_how_it_failed_is_asked_of_those_alone_that_listen_where_it_was_published(
    site: Site, monkeypatch: pytest.MonkeyPatch, most: int, is_whole: bool
) -> None:
    """Or a conversation of hundreds of steps in a guild of hundreds of agents stops its reader."""
    monkeypatch.setattr(gathering, "MOST_ASKED", most)
    async with running(site, spec_of(Echo, Failing, Asker)) as guild:
        await guild.client.pause("echo")
        sent = await guild.client.publish("inbox.echo", Ping(text="x"))
        conversation = await guild.client.conversation(sent)

    assert [step.state for step in conversation.steps] == ["waiting"]
    assert conversation.is_whole == is_whole
