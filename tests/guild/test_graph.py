"""The graph: what comes from outside, from a schedule, or from another agent."""

from guild.agent import Agent, handles
from guild.builder import GuildBuilder
from guild.cli.drawing import as_mermaid, as_text
from guild.cli.svg import as_svg
from guild.graph import Edge, Graph
from guild.plan import Plan
from guild.testing import guild_of
from messaging.context import Context
from messaging.failure import Cancelled, RequestFailed
from messaging.message import Message
from tests.guild.samples import Echo, Note, Ping, Pong


class Start(Message, wire_name="tests.start"):
    pass


class Finished(Message, wire_name="tests.finished"):
    pass


class Leader(Agent):
    """Asks, and takes what comes into its inbox; answers at the end."""

    @handles(sends=[Ping])
    async def begin(self, start: Start, ctx: Context) -> None: ...

    @handles(answers=[Finished, RequestFailed])
    async def take(self, pong: Pong, ctx: Context) -> None: ...

    @handles
    async def take_failure(self, failure: RequestFailed | Cancelled) -> None: ...


class Above(Agent):
    @handles(sends=[Start])
    async def begin(self, note: Note, ctx: Context) -> None: ...

    @handles
    async def take(self, finished: Finished) -> None: ...


def graph(*agents: type[Agent], schedule: bool = False) -> Graph:
    builder = GuildBuilder.from_spec(guild_of(*agents))
    if schedule:
        builder.add_schedule("nightly", Start, every_s=60)
    return Plan.of(builder.build_spec()).graph


def test_what_the_bus_says_into_an_inbox_comes_from_the_agent_that_was_asked() -> None:
    assert set(graph(Leader, Echo).edges) == {
        Edge("outside", "leader", "tests.start", "request"),
        Edge("leader", "echo", "tests.ping", "send"),
        Edge("echo", "leader", "tests.pong", "reply"),
        Edge("echo", "leader", "bus.request_failed", "reply"),
        Edge("echo", "leader", "bus.cancelled", "reply"),
        Edge("leader", "outside", "tests.finished", "reply"),
        Edge("leader", "outside", "bus.request_failed", "reply"),
    }


def test_a_later_answer_goes_to_the_agent_that_asked() -> None:
    edges = graph(Above, Leader, Echo).edges

    assert Edge("leader", "above", "tests.finished", "reply") in edges
    assert not any(edge.target == "outside" for edge in edges)
    assert [edge for edge in edges if edge.source == "outside"] == [
        Edge("outside", "above", "tests.note", "request")
    ]


def test_a_schedule_is_a_source_of_its_own() -> None:
    drawn = graph(Leader, Echo, schedule=True)

    assert Edge("schedule nightly", "leader", "tests.start", "schedule") in drawn.edges
    assert not any(edge.source == "outside" for edge in drawn.edges)
    assert "schedule nightly -> leader: tests.start" in as_text(drawn).splitlines()
    assert '(["schedule nightly"])' in as_mermaid(drawn)
    assert ">schedule nightly</text>" in as_svg(drawn)
