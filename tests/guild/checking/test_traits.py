"""A spec in which an agent could be talked into giving its data away is refused."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from guild import Agent, BaseAgentProps, Context, handles
from guild.agent.registry import Registry
from guild.agent.traits import Traits, asks_first, joined, with_traits
from guild.asking import AskFirst
from guild.checking.loader import load_file, load_yaml
from guild.checking.plan import Plan
from guild.errors import SpecError
from messaging import Message
from tests.guild.samples import Ping, Pong

SPECS = Path(__file__).parents[3] / "specs"


class ReaderProps(BaseAgentProps):
    private: bool = True
    untrusted: bool = True
    way_out: bool = True
    approvals: AskFirst | None = None


class Reader(Agent[ReaderProps]):
    """Has the traits that its properties say."""

    @classmethod
    def traits(cls, properties: ReaderProps) -> Traits:
        return Traits(
            "it reads the mail" if properties.private else "",
            "a model follows the mail" if properties.untrusted else "",
            "it answers the mail" if properties.way_out else "",
            asks=asks_first(properties.approvals),
        )

    @handles
    async def read(self, ping: Ping) -> Pong:
        return Pong(text=ping.text)


class Deaf(Reader):
    """Breaks where it is asked for its traits."""

    @classmethod
    def traits(cls, properties: ReaderProps) -> Traits:
        raise LookupError("which?")


class WebProps(BaseModel):
    network: bool = False


def _of_the_web(properties: WebProps) -> Traits:
    return Traits(way_out="it opens any page" if properties.network else "")


@with_traits(_of_the_web)
@asynccontextmanager
async def web(properties: WebProps) -> AsyncIterator[None]:
    yield


class Surfer(Reader):
    def __init__(self, properties: ReaderProps, web: Any) -> None:
        super().__init__(properties)


def spec(kind: str = "Reader", desk: bool = True, **properties: Any) -> str:
    lines = "\n".join(f"      {key}: {value}" for key, value in properties.items())
    return f"""
id: post
bus: memory://
resources:
  net: {{type: "{__name__}:web", properties: {{network: true}}}}
agents:
  - id: clerk
    type: {__name__}:{kind}
    dependencies: {{{"web: net" if kind == "Surfer" else ""}}}
    properties:
      private: true
{lines}
{"  - {id: desk, type: approvals.desk, topics: [approvals]}" if desk else ""}
"""


def problems(text: str) -> list[str]:
    try:
        load_yaml(text, "post.yaml", allow=["tests.guild"])
    except SpecError as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.mark.parametrize(("untrusted", "way_out"), [*product(("true", "false"), repeat=2)])
def test_only_all_three_together_are_refused(untrusted: str, way_out: str) -> None:
    told = problems(spec(untrusted=untrusted, way_out=way_out))

    assert len(told) == (untrusted == way_out == "true")


def test_the_problem_says_where_why_and_what_to_do() -> None:
    (told,) = problems(spec())

    assert told.startswith("post.yaml:7:5: 'clerk' could be talked into giving data away")
    for reason in ("it reads the mail", "a model follows the mail", "it answers the mail"):
        assert reason in told
    assert "take one of these away, or give it 'approvals: {}'" in told
    assert "approvals.desk" in told


def test_a_person_in_between_makes_it_valid() -> None:
    assert problems(spec(approvals="{}")) == []


def test_a_person_is_not_in_between_where_silence_is_consent() -> None:
    (told,) = problems(spec(approvals="{default: approve}"))

    assert "nothing is done where nobody answers" in told


def test_asking_where_no_desk_is_has_its_line_and_the_topic_that_was_meant() -> None:
    (told,) = problems(spec(approvals="{topic: aproval}"))

    assert told.startswith("post.yaml:12:18: no desk takes what is asked on the topic 'aproval'")
    assert "did you mean 'approvals'?" in told
    (told,) = problems(spec(desk=False, approvals="{}"))
    assert "add an agent of the type approvals.desk with 'topics: [approvals]'" in told


def test_what_an_agent_can_do_by_its_resources_counts() -> None:
    (told,) = problems(spec("Surfer", way_out="false"))

    assert "has a way out (it opens any page)" in told
    text = spec("Surfer", way_out="false").replace("network: true", "network: false")
    assert problems(text) == []
    assert problems(spec("Reader", way_out="false")) == [], "it does not take the resource"


def test_traits_that_cannot_be_told_are_a_problem_and_no_crash() -> None:
    (told,) = problems(spec("Deaf"))

    assert "its traits cannot be told: LookupError: which?" in told


def test_a_guild_that_is_built_is_refused_just_so() -> None:
    from guild.testing import guild_of  # noqa: PLC0415

    with pytest.raises(SpecError, match="could be talked into"):
        Plan.of(guild_of(Reader))


def test_properties_that_are_wrong_are_told_alone() -> None:
    (told,) = problems(spec(untrusted="maybe"))

    assert "untrusted" in told


class Look(Message, wire_name="post.look"):
    pass


class Found(Message, wire_name="post.found"):
    text: str


class Mail(Message, wire_name="post.mail"):
    text: str


class Start(Message, wire_name="post.start"):
    pass


class Filer(Agent):
    @classmethod
    def traits(cls, properties: Any) -> Traits:
        return Traits(private="it reads the files")

    @handles
    async def look(self, request: Look) -> Found:
        return Found(text="secret")


class ClerkProps(BaseAgentProps):
    approvals: AskFirst | None = None


class Clerk(Agent[ClerkProps]):
    """Looks where it is told to look, and writes mails."""

    @classmethod
    def traits(cls, properties: ClerkProps) -> Traits:
        return Traits(untrusted="a model acts", asks=asks_first(properties.approvals))

    @handles(sends=[Look])
    async def start(self, request: Start, ctx: Context) -> None: ...

    @handles(sends=[Mail])
    async def found(self, found: Found, ctx: Context) -> None: ...


class Mailer(Agent):
    @classmethod
    def traits(cls, properties: Any) -> Traits:
        return Traits(way_out="it sends mail")

    @handles
    async def mail(self, mail: Mail) -> None: ...


class Letter(Message, wire_name="post.letter"):
    text: str


class Postman(Mailer):
    @handles
    async def mail(self, mail: Letter) -> None: ...


class Passer(Agent):
    """Hands on what it gets."""

    @handles(sends=[Mail])
    async def found(self, found: Found, ctx: Context) -> None: ...


def chain(*agents: str, more: str = "") -> str:
    lines = "\n".join(
        f"  - {{id: {kind.lower()}, type: '{__name__}:{kind}', topics: [{kind.lower()}]{rest}}}"
        for kind, _, rest in (agent.partition(" ") for agent in agents)
    )
    return f"id: post\nbus: memory://\nagents:\n{lines}\n{more}"


def warnings(text: str) -> list[str]:
    plan = Plan.of(load_yaml(text, "post.yaml", allow=["tests.guild"]))
    return [each for each in plan.warnings if "talked into" in each]


def test_agents_that_have_all_three_between_them_are_warned_of_along_their_messages() -> None:
    (told,) = warnings(chain("Filer", "Clerk", "Mailer"))

    assert told == (
        "post.yaml:5:5: 'clerk' follows what others write (a model acts) and could be talked into "
        "having data given away: 'filer' has private data (it reads the files), 'mailer' has a way "
        "out (it sends mail), and messages lead along filer -> clerk -> mailer; take one of these "
        "away, or let one of them ask a person first"
    )


def test_the_data_may_pass_beside_the_agent_that_is_steered() -> None:
    route = "routes:\n  - {from: filer, message: post.found, to: passer}"
    asks_only = chain("Filer", "Clerk", "Passer", "Mailer", more=route)

    (told,) = warnings(asks_only)

    assert "filer" in told
    assert "mailer" in told


def test_agents_are_not_warned_of_where_a_person_or_nothing_is_between_them() -> None:
    desk = "  - {id: desk, type: approvals.desk, topics: [approvals]}"
    asking = "Clerk , properties: {approvals: {}}"
    assert warnings(chain("Filer", asking, "Mailer", more=desk)) == []
    ends = "ends: [post.mail, post.look]"
    assert warnings(chain("Clerk", "Mailer", more=ends)) == [], "nobody has private data"
    assert warnings(chain("Filer", "Clerk", more=ends)) == [], "nobody has a way out"
    assert warnings(chain("Filer", "Passer", "Mailer")) == [], "nobody is steered"
    apart = chain("Filer", "Mailer", "Passer", "Reader , properties: {private: false}")
    assert warnings(apart.replace("private: false", "private: false, way_out: false")) == []


def test_a_desk_on_the_way_is_a_person_in_between() -> None:
    asked = """
  - {id: desk, type: approvals.desk, topics: [approvals]}
routes:
  - from: clerk
    message: post.mail
    to: approvals
    transform: "{what: 'Mail', details: {text: text}}"
    into: guild.approval_request
  - from: desk
    message: guild.approval_decision
    when: approved
    transform: details
    into: post.letter
    to: postman
"""
    at_once = "routes:\n  - {from: clerk, message: post.mail, to: postman, into: post.letter}"

    assert len(warnings(chain("Filer", "Clerk", "Postman", more=at_once))) == 1
    assert warnings(chain("Filer", "Clerk", "Postman", more=asked)) == []


def test_the_shipped_specs_have_no_such_chain() -> None:
    for path in SPECS.glob("*.yaml"):
        assert not [each for each in Plan.of(load_file(path)).warnings if "talked" in each]


def test_traits_together_are_those_of_each() -> None:
    traits = joined([Traits(private="a"), Traits(private="b", way_out="c"), Traits(asks=True)])

    assert traits == Traits("a", "", "c", asks=True)


def test_the_shipped_specs_are_valid() -> None:
    for path in SPECS.glob("*.yaml"):
        Plan.of(load_file(path))


def research(agents: str, network: str = "true") -> str:
    return f"""
id: lab
bus: memory://
resources:
  jobs: {{type: research.jobs, properties: {{network: {network}}}}}
agents:
{agents}
  - {{id: desk, type: approvals.desk, topics: [approvals]}}
"""


@pytest.mark.parametrize(
    ("agent", "reason"),
    [
        ("type: research.workspace", "it runs the commands and scripts that it is sent"),
        (
            "type: research.assembler, properties: {llm: {model: any}}",
            "it runs code that its language model wrote",
        ),
        (
            "type: research.optimizer, properties: {llm: {model: any}}",
            "it runs code that its language model wrote",
        ),
    ],
)
def test_research_with_a_network_and_foreign_code_is_refused(agent: str, reason: str) -> None:
    line = f"  - {{id: hands, topics: [hands], {agent}}}"

    (told,) = problems(research(line))

    assert reason in told
    assert "its jobs read the files of the workspace" in told
    assert "its jobs use the machine's network" in told
    assert problems(research(line, "false")) == []


@pytest.mark.parametrize(
    "agent",
    [
        "type: research.workspace, properties: {approvals: {deadline_s: 600}}",
        "type: research.package",
        "type: research.assembler",
        "type: research.trainer",
        "type: research.tokenizer",
    ],
)
def test_research_with_a_network_and_no_foreign_code_or_a_person_asked_is_valid(
    agent: str,
) -> None:
    assert problems(research(f"  - {{id: hands, topics: [hands], {agent}}}")) == []


def test_the_registry_needs_no_import_of_heavy_packages_for_it() -> None:
    assert Registry().agent_class("approvals.desk").traits(None) == Traits()


def test_the_graph_shows_who_asks_where_and_nothing_of_who_does_not() -> None:
    plan = Plan.of(load_yaml(spec(approvals="{}"), allow=["tests.guild"]))
    edges = {edge[:3] for edge in plan.graph.edges}
    assert ("clerk", "desk", "guild.approval_request") in edges
    assert ("desk", "clerk", "guild.approval_decision") in edges
    research = Plan.of(load_file(SPECS / "research.yaml"))
    assert not [edge for edge in research.graph.edges if "approval" in edge.message]


@pytest.mark.parametrize("name", ["research", "stateful"])
def test_what_the_shipped_specs_say_of_asking_first_is_so(name: str) -> None:
    text = (SPECS / f"{name}.yaml").read_text("utf-8")
    assert "      # approvals: {" in text
    asking = text.replace("      # approvals: {", "      approvals: {")

    (told,) = problems(asking)
    assert "no desk takes what is asked" in told
    desk = "\n  - {id: desk, type: approvals.desk, topics: [approvals]}\n"
    assert problems(asking.rstrip() + desk) == []
