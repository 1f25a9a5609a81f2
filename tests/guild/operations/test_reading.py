"""What an operator reads: agents, topics, messages, the graph; at a known cost."""

import asyncio
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.errors import PydanticInvalidForJsonSchema

from guild import operations
from guild.agent.agent import Agent, handles
from guild.checking.plan import Plan
from guild.errors import NoSuchMessageError, UnknownAgentError
from guild.operations import AgentInfo, TopicReport
from guild.operations.view import View
from guild.runtime import Guild
from guild.testing import guild_of
from messaging.backend import TopicInfo
from messaging.handling.context import Context
from messaging.wire.message import Message
from tests.guild.operations.desk import QUIET_S, Hold, Holding, client_of, running, spec_of
from tests.guild.samples import Asker, Echo, Note, Ping, Pong, Reader
from tests.messaging.buses import settled_all
from tests.messaging.conftest import Site


class Leaf(BaseModel):
    children: "list[Leaf]" = []


class Tree(Message, wire_name="tests.tree"):
    """A message within itself.

    And a second paragraph.
    """

    root: Leaf


class Word(Message, wire_name="tests.word"):
    text: str


class Gardener(Agent):
    @handles(sends=[Note], answers=[Pong], emits=[Word])
    async def grow(self, tree: Tree, ctx: Context) -> Tree | None: ...


async def test_the_agents_of_a_guild_are_told_with_who_runs_and_what_waits(
    site: Site, hold: Hold
) -> None:
    async with running(site, spec_of(Holding, Echo, old=Echo)) as guild:
        asking = asyncio.create_task(guild.client.request("inbox.holding", Ping(text="x")))
        await hold.begun.wait()
        await guild.client.pause("echo")
        async with client_of(site, spec_of(Holding, Echo, absent=Reader)) as client:
            holding, echo, absent, old = await client.agents()
            assert await client.agent("old") == old
            with pytest.raises(UnknownAgentError, match="did you mean 'holding'"):
                await client.agent("holdin")
        hold.may_go.set()
        await asking

    assert (holding.state, holding.running, holding.in_hand) == ("active", 1, 1)
    assert holding.oldest_s is not None
    assert (echo.state, echo.waiting, echo.oldest_s) == ("paused", 0, None)
    assert (absent.state, absent.running, absent.replicas) == ("not running", 0, 1)
    assert (old.state, old.running, old.is_stray) == ("not in the spec", 1, True)
    assert old.problem.startswith("old is subscribed and not in the spec; 0 messages are kept")
    assert {agent.problem for agent in (holding, echo, absent)} == {""}


async def test_a_replica_that_was_not_heard_of_for_its_lease_does_not_run(site: Site) -> None:
    """As on a machine that was switched off: nobody is left to take it over."""
    async with client_of(site, spec_of(Echo)) as client:
        await client.bus.backend.subscribe("echo", ["default_topic"])
        await client.bus.backend.join("echo")
        (echo,) = await client.agents()
        sent = await client.reception(Ping(), "default_topic")
        assert (echo.state, echo.running, sent.state) == ("active", 1, "handled")

        async with asyncio.timeout(10 * QUIET_S):
            while (await client.agents())[0].running:
                await client.bus.backend.tail({"none": ""}, max_count=1, wait_s=QUIET_S / 4)
        sent = await client.reception(Ping(), "default_topic")
        assert (await client.agent("echo")).state == "not running"
        assert (sent.state, sent.warning) == ("waits", "it waits: echo is not running")


async def test_what_this_process_knows_of_its_replicas_is_told(site: Site) -> None:
    class Broken(Agent):
        async def start(self) -> None:
            raise RuntimeError("no key")

    async with running(site, spec_of(Broken, Echo)) as guild:
        broken, echo = await guild.client.agents()

    assert broken.problem == "replica 0 is restarting: RuntimeError: no key"
    assert (echo.problem, echo.restarts) == ("", 0)


async def test_many_who_look_cost_the_store_one_look_at_its_topics(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(site, spec_of(Echo, old=Echo)):
        pass
    async with client_of(site, spec_of(Echo)) as client:
        look, looks = client.bus.backend.topics, list[int]()

        async def counted() -> Sequence[TopicInfo]:
            looks.append(1)
            return await look()

        monkeypatch.setattr(client.bus.backend, "topics", counted)
        await asyncio.gather(*[client.agents() for _ in range(20)], client.topics())

    assert len(looks) == 1


async def test_topics_are_told_with_what_each_agent_has_still_to_take(site: Site) -> None:
    async with running(site, spec_of(Reader, Echo)) as guild:
        await guild.client.pause("echo")
        for _ in range(3):
            await guild.client.publish("default_topic", Ping(text="x"))
        await settled_all(guild.client.bus, "reader")

        (report,) = [each for each in await guild.client.topics() if each.topic == "default_topic"]

    assert (report.entries, report.owed) == (3, {"echo": 3})
    assert report.waiting["echo"] + report.in_hand["echo"] == 3
    assert set(report.oldest_s) == {"echo"}


def test_what_is_owed_counts_what_was_lent_as_well() -> None:
    report = TopicReport(
        topic="t", entries=9, waiting={"a": 1, "b": 0}, in_hand={"a": 2, "b": 0}, oldest_s={}
    )

    assert report.owed == {"a": 3}


async def test_a_guild_at_a_glance() -> None:
    async with Guild.launch(guild_of(Echo, Reader), bus="memory://") as guild:
        overview = guild.client.overview()

    assert (overview.id, overview.agents, overview.version) == ("tests", 2, version("guildbus"))


async def test_the_graph_is_told_as_documents() -> None:
    async with Guild.launch(guild_of(Asker, Echo), bus="memory://") as guild:
        graph = guild.client.graph()

    assert [node.id for node in graph.nodes] == ["asker", "echo"]
    assert ("asker", "echo", "tests.ping", "send") in [tuple(dict(e).values()) for e in graph.edges]


async def test_messages_are_told_with_who_handles_answers_and_emits() -> None:
    async with Guild.launch(guild_of(Gardener, Echo, Asker), bus="memory://") as guild:
        client = guild.client
        types = [info.type for info in client.schemas()]
        tree = client.schema_of("Tree")
        assert client.schema_of("tests.tree") == tree
        word = client.schema_of("tests.word")
        with pytest.raises(NoSuchMessageError, match=r"did you mean 'tests\.tree'"):
            client.schema_of("tests.tre")

    assert types[:4] == ["tests.note", "tests.ping", "tests.pong", "tests.tree"]
    assert tree.description == "A message within itself.\n\nAnd a second paragraph."
    assert (tree.handled_by, tree.topics) == (("gardener",), ("default_topic",))
    assert (tree.answers, tree.emits) == (("tests.tree", "tests.pong"), ("tests.word",))
    assert tree.json_schema["$defs"]["Leaf"]["properties"]["children"]["items"] == {
        "$ref": "#/$defs/Leaf"
    }
    assert (word.handled_by, word.description) == ((), "")


def test_a_class_without_a_schema_hides_no_other() -> None:
    class Odd(Message, wire_name="tests.odd"):
        text: str

        @classmethod
        def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> Any:
            raise PydanticInvalidForJsonSchema("not to be told")

    class Oddity(Agent):
        @handles
        async def take(self, odd: Odd) -> Pong: ...

    plan = Plan.of(guild_of(Oddity, Echo))
    infos = {info.type: info for info in operations.schemas.schemas_of(plan)}

    assert infos["tests.odd"].json_schema == {"$comment": "no schema can be told: not to be told"}
    assert infos["tests.ping"].json_schema["properties"]["text"]["type"] == "string"


@pytest.mark.parametrize("name", operations.__all__)
def test_what_is_read_is_frozen_and_its_schema_can_be_told(name: str) -> None:
    view = getattr(operations, name)
    if issubclass(view, View):
        assert view.model_config["frozen"]
        assert view.model_json_schema(mode="serialization")["title"] == name


def test_a_document_of_what_was_read_is_read_again() -> None:
    info = AgentInfo(
        agent="a",
        type="t",
        name="",
        topics=("x",),
        state="active",
        running=1,
        replicas=1,
        waiting=0,
        in_hand=0,
    )

    assert AgentInfo.model_validate_json(info.model_dump_json()) == info
