"""Publishing and asking by wire name and JSON, and what becomes of what was sent."""

import asyncio
from typing import Any

import pytest

from guild.builder import AgentBuilder, GuildBuilder
from guild.errors import NobodyAnswersError, NoSuchMessageError
from guild.operations import Answered
from messaging.errors import InvalidMessageError, NobodyListensError, RequestTimeoutError
from messaging.wire.envelope import new_id
from tests.guild.operations.desk import Hold, Holding, client_of, running, spec_of
from tests.guild.samples import Echo, Note, Ping, Pong, Reader
from tests.messaging.buses import lying_in, settled_all
from tests.messaging.conftest import Site


async def test_what_is_asked_by_name_is_answered_as_json(site: Site) -> None:
    async with running(site, spec_of(Echo)) as guild:
        named = await guild.client.ask(None, "tests.ping", {"text": "x"})
        by_class = await guild.client.ask("inbox.echo", "Ping", {"text": "y"}, message_id=new_id())

    assert named == Answered(message_id=named.message_id, type="tests.pong", data={"text": "x"})
    assert by_class.data == {"text": "y"}


async def test_what_only_a_tagged_agent_takes_is_refused_without_its_tag(site: Site) -> None:
    """It was waited for an answer that could not come."""
    builder = GuildBuilder("tests").set_messaging("memory://").set_drain(0.2)
    shy = AgentBuilder(Echo).set_id("echo").act_only_when_tagged().build_spec()
    async with running(site, builder.add_agent_spec(shy).build_spec()) as guild:
        asked = [
            await guild.client.ask("default_topic", "tests.ping", {"text": "x"}, tags=tags)
            for tags in (["echo"], ["other", "echo"], "echo")
        ]
        asked.append(
            await guild.client.ask("inbox.echo", "tests.ping", {"text": "x"}, tags=["other"])
        )
        told = "no agent on 'default_topic' handles tests.ping when it is tagged other"
        with pytest.raises(NobodyListensError, match=told):
            await guild.client.ask("default_topic", "tests.ping", {"text": "x"}, tags=["other"])
        sent = await guild.client.send("default_topic", "tests.ping", {"text": "x"}, tags=["other"])

    assert [answer.data for answer in asked] == [{"text": "x"}] * 4
    assert sent.warning.endswith("handles tests.ping, tagged other, on default_topic")


async def test_tags_that_name_no_agent_keep_an_agent_from_nothing(site: Site) -> None:
    async with running(site, spec_of(Echo)) as guild:
        answer = await guild.client.ask(None, "tests.ping", {"text": "x"}, tags=["urgent"])
        client = await guild.client.request("default_topic", Ping(text="y"), tags=["urgent"])

    assert (answer.data, client) == ({"text": "x"}, Pong(text="y"))


async def test_asked_twice_under_one_id_it_is_handled_once(site: Site) -> None:
    message_id = new_id()
    async with running(site, spec_of(Echo)) as guild:
        answers = [
            await guild.client.ask(None, "tests.ping", {"text": text}, message_id=message_id)
            for text in ("one", "other")
        ]

    assert [answer.data for answer in answers] == [{"text": "one"}] * 2


async def test_a_request_that_took_too_long_says_its_id(site: Site, hold: Hold) -> None:
    async with running(site, spec_of(Holding)) as guild:
        with pytest.raises(RequestTimeoutError) as late:
            await guild.client.ask(None, "tests.ping", {"text": "x"}, timeout_s=0.2)
        hold.may_go.set()

        answer = await anext(guild.client.follow(late.value.message_id))
    assert answer.text == "x"


@pytest.mark.parametrize(
    ("data", "problems"),
    [
        (
            {"txt": 1},
            ("text: Field required", "txt: there is no such field; did you mean text?"),
        ),
        ({"text": "a", "zzz": 1}, ("zzz: there is no such field",)),
        ({"text": "x", "stars": "many"}, ("stars: Input should be a valid integer",)),
        ([], ("message: Input should be an object",)),
        ("x", ("message: Input should be an object",)),
        ({"text": object()}, ("the data is not JSON",)),
        ({"text": {"a": [[["x"]]]}}, ("text: Input should be a valid string",)),
    ],
)
async def test_data_that_does_not_fit_is_refused_with_each_field(
    data: Any, problems: tuple[str, ...]
) -> None:
    site = Site("memory", "")
    async with running(site, spec_of(Reader)) as guild:
        for send in (guild.client.send, guild.client.ask):
            with pytest.raises(InvalidMessageError) as refused:
                await send(None, "tests.note", data)
            for problem, told in zip(problems, refused.value.problems, strict=True):
                assert told.startswith(problem)
    await site.close()


@pytest.mark.parametrize("depth", [100, 100_000])
async def test_data_that_is_too_deep_is_refused(depth: int) -> None:
    data: Any = "x"
    for _ in range(depth):
        data = [data]
    site = Site("memory", "")
    async with running(site, spec_of(Reader)) as guild:
        with pytest.raises(InvalidMessageError, match="deep"):
            await guild.client.send(None, "tests.note", {"text": data})
    await site.close()


async def test_a_name_that_no_message_has_is_told_with_the_one_that_is_meant(site: Site) -> None:
    async with running(site, spec_of(Echo)) as guild:
        with pytest.raises(NoSuchMessageError, match=r"did you mean 'tests\.ping'"):
            await guild.client.send(None, "test.ping", {})
        with pytest.raises(NobodyListensError, match=r"no agent of 'tests' handles tests\.pong"):
            await guild.client.ask(None, "tests.pong", {"text": "x"})


async def test_a_request_that_is_never_answered_is_not_sent(site: Site) -> None:
    async with running(site, spec_of(Reader)) as guild:
        with pytest.raises(NobodyAnswersError, match=r"reader\.read"):
            await guild.client.ask(None, "tests.note", {"text": "x"})


async def test_what_is_sent_says_what_becomes_of_it(site: Site) -> None:
    """Never there, at work, paused, gone; and of no agent's interest."""
    ping, states = {"text": "x"}, []
    async with client_of(site, spec_of(Echo)) as client:
        states.append(await client.send(None, "tests.ping", ping))
        async with running(site, spec_of(Echo)) as guild:
            states.append(await client.send(None, "tests.ping", ping, conversation="c" * 32))
            await settled_all(guild.client.bus, "echo")
            await client.pause("echo")
            states.append(await client.send("inbox.echo", "tests.ping", ping))
            await client.resume("echo")
            await settled_all(guild.client.bus, "echo")
        states.append(await client.send(None, "tests.ping", ping))
        states.append(await client.send("elsewhere", "tests.ping", ping))
        with pytest.raises(NobodyListensError, match="no agent on 'elsewhere' handles"):
            await client.send("elsewhere", "tests.ping", ping, require_listener=True)

    lost, handled, paused, waits, unhandled = states
    assert [(each.reception.state, each.warning) for each in states] == [
        ("lost", "nobody will get it: echo is not running"),
        ("handled", ""),
        ("paused", "it waits: echo is paused"),
        ("waits", "it waits: echo is not running"),
        ("unhandled", "nobody will get it: no agent of tests handles tests.ping on elsewhere"),
    ]
    assert (handled.topic, handled.conversation) == ("default_topic", "c" * 32)
    assert lost.conversation == lost.message_id != waits.message_id
    assert (paused.topic, unhandled.topic) == ("inbox.echo", "elsewhere")


async def test_what_is_sent_is_what_was_composed(site: Site) -> None:
    async with running(site, spec_of(Reader)) as guild:
        client = guild.client
        sent = await client.send("notes", "Note", {"text": "x", "stars": 2}, tags=["a", "b"])

        (entry,) = await lying_in(client.bus, "notes")
    assert (entry.envelope.id, entry.envelope.tags) == (sent.message_id, "a,b")
    assert client.compose("Note", {"text": "x", "stars": 2}) == Note(text="x", stars=2)
    assert client.topic_for(Ping()) == "default_topic"


async def test_several_agents_are_named(site: Site) -> None:
    async with client_of(site, spec_of(one=Echo, two=Echo)) as client:
        lost = await client.reception(Ping(), "default_topic")
        async with running(site, spec_of(one=Echo, two=Echo)):
            await asyncio.gather(client.pause("one"), client.pause("two"))
            paused = await client.reception(Ping(), "default_topic")
            await client.resume("two")
            half = await client.reception(Ping(), "default_topic")

    assert lost.warning == "nobody will get it: one, two are not running"
    assert paused.warning == "it waits: one, two are paused"
    assert half.paused == ("one",)
    assert half.state in ("handled", "waits")  # it joins again
