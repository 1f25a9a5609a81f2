"""The graph: what comes from outside, from a schedule, or from another agent."""

from guild.agent.agent import Agent, handles
from guild.builder import AgentBuilder, GuildBuilder
from guild.checking.graph import Edge, Graph
from guild.checking.plan import Plan
from guild.cli.printing.drawing import as_mermaid, as_svg, as_text
from guild.testing import guild_of
from messaging.handling.context import Context
from messaging.wire.message import Message
from messaging.wire.replies import Cancelled, RequestFailed
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


class Digester(Agent):
    """Sends what nobody here handles."""

    @handles(sends=[Finished])
    async def digest(self, note: Note, ctx: Context) -> None: ...


class Reporter(Agent):
    """Sends, and answers."""

    @handles(sends=[Finished])
    async def report(self, ping: Ping, ctx: Context) -> Pong:
        return Pong(text=ping.text)


class Archive(Agent):
    @handles
    async def keep(self, pong: Pong) -> None: ...


def reporting(output_topic: str) -> GuildBuilder:
    """A reporter, and an archive that listens to `pongs`."""
    reporter = AgentBuilder(Reporter).set_id("reporter").set_output_topic(output_topic)
    archive = AgentBuilder(Archive).set_id("archive").add_additional_topic("pongs")
    builder = GuildBuilder("g").add_agent_spec(reporter.build_spec())
    return builder.add_agent_spec(archive.build_spec()).add_end(Finished)


def outputs_of(builder: GuildBuilder) -> list[Edge]:
    return [edge for edge in Plan.of(builder.build_spec()).graph.edges if edge.kind == "output"]


def test_what_is_sent_and_handled_by_no_agent_goes_outside() -> None:
    builder = GuildBuilder.from_spec(guild_of(Digester)).add_end(Finished)
    drawn = Plan.of(builder.build_spec()).graph

    assert Edge("digester", "outside", "tests.finished", "send") in drawn.edges
    assert "digester -> outside: tests.finished" in as_text(drawn).splitlines()
    assert '    n1 -->|"tests.finished"| n0' in as_mermaid(drawn).splitlines()
    assert '<path class="arrow send"' in as_svg(drawn).partition(">tests.finished</text>")[2]


def test_what_may_end_and_is_handled_goes_to_its_handler_alone() -> None:
    builder = GuildBuilder.from_spec(guild_of(Above, Leader, Echo)).add_end(Start)

    edges = Plan.of(builder.build_spec()).graph.edges
    assert Edge("above", "leader", "tests.start", "send") in edges
    assert Edge("above", "outside", "tests.start", "send") not in edges


def test_an_output_topic_leads_to_the_agents_that_handle_what_comes_there() -> None:
    assert outputs_of(reporting("pongs")) == [Edge("reporter", "archive", "tests.pong", "output")]


def test_an_output_topic_for_the_outside_leads_there_with_all_that_it_gets() -> None:
    assert outputs_of(reporting("reports").add_topic("reports")) == [
        Edge("reporter", "outside", "tests.finished", "output"),
        Edge("reporter", "outside", "tests.pong", "output"),
    ]


def test_a_message_is_named_once_by_an_arrow_whichever_ways_it_takes() -> None:
    drawn = Plan.of(reporting("reports").add_topic("reports").build_spec()).graph

    (line,) = [x for x in as_text(drawn).splitlines() if x.startswith("reporter -> outside")]
    assert line.count("tests.finished") == 1
    assert as_mermaid(drawn).count("tests.finished") == 1
    assert as_svg(drawn).count(">tests.finished<") == 1


def test_a_schedule_is_a_source_of_its_own() -> None:
    drawn = graph(Leader, Echo, schedule=True)

    assert Edge("schedule nightly", "leader", "tests.start", "schedule") in drawn.edges
    assert not any(edge.source == "outside" for edge in drawn.edges)
    assert "schedule nightly -> leader: tests.start" in as_text(drawn).splitlines()
    assert '(["schedule nightly"])' in as_mermaid(drawn)
    assert ">schedule nightly</text>" in as_svg(drawn)
