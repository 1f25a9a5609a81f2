"""Before anything starts: every message that a guild sends arrives somewhere."""

import pytest

from guild.agent.agent import Agent, handles
from guild.builder import AgentBuilder, GuildBuilder, RouteBuilder
from guild.checking.graph import Edge
from guild.checking.plan import Plan
from guild.checking.schema import message_schema
from guild.errors import SpecError, WiringError
from guild.testing import guild_of
from messaging.handling.context import Context
from messaging.wire.message import Message
from tests.guild.samples import Asker, Echo, Note, Ping, Pong, Reader, Sender, Writer


def builder(*agents: type[Agent]) -> GuildBuilder:
    return GuildBuilder.from_spec(guild_of(*agents))


def errors(guild: GuildBuilder) -> list[str]:
    with pytest.raises(WiringError) as caught:
        Plan.of(guild.build_spec())
    return [str(problem) for problem in caught.value.problems]


def test_what_is_sent_needs_a_handler() -> None:
    (line,) = errors(builder(Sender))

    assert line == (
        "agents[0]: 'sender' sends tests.note, which nobody handles: add an agent that does, or "
        "list it under 'ends'"
    )
    assert Plan.of(builder(Sender, Reader).build_spec())


def test_what_is_sent_may_end_as_the_spec_says() -> None:
    assert Plan.of(builder(Sender).add_end(Note).build_spec())
    assert errors(builder(Sender).add_end("tests.nope"))[0].startswith("ends[0]: no agent here")


def test_what_is_sent_may_be_routed_to_the_outside() -> None:
    guild = builder(Sender).add_topic("news").add_route(RouteBuilder().on_message(Note).to("news"))

    assert Plan.of(guild.build_spec())


def test_an_answer_always_has_an_end() -> None:
    assert Plan.of(builder(Echo).build_spec()).warnings == ()


def test_a_route_must_lead_to_somebody_who_handles_its_message() -> None:
    route = RouteBuilder("writer").on_message(Note).to("default_topic")

    assert Plan.of(builder(Writer, Reader).add_route(route).build_spec())
    assert errors(builder(Writer, Echo).add_route(route)) == [
        "routes[0].to: nobody who listens to 'default_topic' handles tests.note"
    ]


def test_a_route_of_what_an_agent_never_gives_is_refused() -> None:
    route = RouteBuilder("echo").on_message(Ping).to("default_topic")

    assert errors(builder(Echo).add_route(route)) == [
        (
            "routes[0].message: 'echo' never gives tests.ping; it gives tests.pong; did you mean "
            "'tests.pong'?"
        )
    ]


def test_a_route_to_an_inbox_reaches_its_agent() -> None:
    route = RouteBuilder("writer").on_message(Note).to("inbox.reader")

    assert Plan.of(builder(Writer, Reader).add_route(route).build_spec())


def test_a_transformed_message_must_be_handled_as_what_it_becomes() -> None:
    route = RouteBuilder("echo").on_message(Pong).to("default_topic").transform("@", into=Note)

    assert Plan.of(builder(Echo, Reader).add_route(route).build_spec())


def test_what_is_odd_but_may_be_meant_is_a_warning() -> None:
    class Deaf(Agent):
        pass

    quiet = AgentBuilder(Echo).set_id("quiet").set_output_topic("nowhere").build_spec()
    plan = Plan.of(builder(Deaf).add_agent_spec(quiet).build_spec())

    assert plan.warnings == (
        "agents[0]: 'deaf' has no handlers: mark its methods with @handles",
        "agents[1].output_topic: nobody listens to the output topic 'nowhere' of 'quiet'",
    )


class Pinger(Agent):
    """Gives pings that nobody asks for."""

    @handles
    async def give(self, note: Note) -> Ping:
        return Ping(text=note.text)


def test_an_answer_that_goes_nowhere_is_warned_of() -> None:
    discreet = AgentBuilder(Echo).set_id("discreet").answer_only_requesters().build_spec()
    route = RouteBuilder("pinger").on_message(Ping).to("default_topic")
    asked_from_outside = GuildBuilder("g").add_agent_spec(discreet)
    asked_by_an_agent = builder(Asker).add_agent_spec(discreet)
    routed_to = builder(Pinger).add_agent_spec(discreet).add_route(route)
    routed_on = builder(Pinger, Reader).add_agent_spec(discreet).add_route(route)
    routed_on.add_topic("pongs").add_route(RouteBuilder("discreet").on_message(Pong).to("pongs"))

    for guild in (asked_from_outside, asked_by_an_agent, routed_on):
        assert Plan.of(guild.build_spec()).warnings == ()
    assert Plan.of(routed_to.build_spec()).warnings == (
        (
            "agents[1].answers: 'discreet' answers only requesters, and nobody asks echo: its "
            "tests.pong goes nowhere; add a route for it, or take 'answers' out"
        ),
    )


class Impatient(Agent):
    @handles(sends=[Ping])
    async def begin(self, note: Note, ctx: Context) -> None: ...


def test_a_sender_that_cannot_take_the_answer_is_warned_of() -> None:
    plan = Plan.of(builder(Impatient, Echo).build_spec())

    assert plan.warnings == (
        (
            "agents[0]: 'impatient' sends tests.ping and has no handler for the answer of 'echo' "
            '(tests.pong): add one, or send with `reply_to=""` where the answer is not wanted, and '
            "list it under 'ends' to say so"
        ),
    )


def test_a_sender_that_does_not_want_the_answer_is_not_warned_of_once_the_spec_says_so() -> None:
    plan = Plan.of(builder(Impatient, Echo).add_end(Pong).build_spec())

    assert plan.warnings == ()


def test_two_classes_of_one_wire_name_are_refused() -> None:
    class Other(Message, wire_name="tests.ping"):
        pass

    class Confused(Agent):
        @handles
        async def take(self, message: Other) -> None: ...

    with pytest.raises(SpecError, match=r"both called tests\.ping on the wire"):
        Plan.of(guild_of(Echo, Confused))


def test_the_graph_shows_who_sends_what_to_whom() -> None:
    guild = builder(Asker, Echo, Reader).add_route(
        RouteBuilder("echo").on_message(Pong).to("default_topic").transform("@", into=Note)
    )

    graph = Plan.of(guild.build_spec()).graph

    assert [node.id for node in graph.nodes] == ["asker", "echo", "reader"]
    assert set(graph.edges) == {
        Edge("asker", "echo", "tests.ping", "send"),
        Edge("echo", "asker", "tests.pong", "reply"),
        Edge("echo", "asker", "tests.note", "route"),
        Edge("echo", "reader", "tests.note", "route"),
    }


def test_what_nobody_inside_sends_comes_from_outside() -> None:
    graph = Plan.of(guild_of(Echo)).graph

    assert graph.edges == (
        Edge("outside", "echo", "tests.ping", "request"),
        Edge("echo", "outside", "tests.pong", "reply"),
    )


# -- versions ------------------------------------------------------------------------------------


class LaterNote(Message, wire_name="tests.note", version=2):
    text: str
    stars: int = 0
    author: str = ""


class UpdatedNote(Message, wire_name="tests.note", version=3):
    body: str


UpdatedNote.upcast(from_version=2)(lambda data: {"body": data["text"]})
UpdatedNote.upcast(from_version=1)(lambda data: data)


class LaterReader(Agent):
    @handles
    async def read(self, note: LaterNote) -> None: ...


class UpdatedReader(Agent):
    @handles
    async def read(self, note: UpdatedNote) -> None: ...


class LaterSender(Agent):
    @handles(sends=[LaterNote])
    async def begin(self, ping: Ping, ctx: Context) -> None: ...


def test_an_earlier_version_needs_a_handler_whose_class_leads_back_to_it() -> None:
    (line,) = errors(builder(Sender, LaterReader))

    assert line == (
        "agents[0]: 'sender' sends tests.note and 'laterreader' handles tests.note@2: bring both "
        "to one version, or let an upcaster lead there"
    )
    assert Plan.of(builder(Sender, UpdatedReader).build_spec())


def test_a_later_version_is_never_brought_down() -> None:
    (line,) = errors(builder(LaterSender, Reader))

    assert "sends tests.note@2 and 'reader' handles tests.note:" in line


def test_the_graph_names_the_version_that_is_sent() -> None:
    graph = Plan.of(builder(LaterSender, UpdatedReader).build_spec()).graph

    assert Edge("latersender", "updatedreader", "tests.note@2", "send") in graph.edges
    assert not any(edge.source == "outside" and "note" in edge.message for edge in graph.edges)


def test_the_schema_of_a_message_tells_its_versions() -> None:
    assert message_schema(LaterNote)["$comment"] == "wire type tests.note, version 2"
    assert message_schema(UpdatedNote)["$comment"] == (
        "wire type tests.note, version 3; versions from 1 on are brought up to it"
    )
