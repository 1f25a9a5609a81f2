"""One look at a spec tells everything that is wrong with it, and nothing that only follows."""

import re
from typing import Any

import pytest

from guild.agent.agent import Agent, handles
from guild.agent.registry import type_name_of
from guild.builder import GuildBuilder
from guild.checking.loader import load_yaml
from guild.checking.plan import Plan
from guild.errors import SpecError
from guild.spec.spec import AgentSpec, GuildSpec, RouteSpec
from messaging.handling.context import Context
from tests.guild.samples import Asker, Echo, NeedsStore, Note, Ping, Pong, Reader, Sender, Writer

TYPES = {
    name: type_name_of(found)
    for name, found in {
        "echo": Echo,
        "writer": Writer,
        "reader": Reader,
    }.items()
}


def told(text: str) -> list[str]:
    for name, path in TYPES.items():
        text = text.replace(f"type: {name}", f'type: "{path}"')
    with pytest.raises(SpecError) as caught:
        load_yaml(text, "s", environ={})
    return str(caught.value).splitlines()


def lines_of(text: str) -> list[int]:
    return [int(line.split(":")[1]) for line in told(text)]


def test_a_spec_with_a_mistake_of_every_kind_is_told_all_of_them() -> None:
    text = """\
id: &a x
nam: y
drain_s: -1
engine: {type: inproc}
resources: {m: {type: llm.modls}}
topics: [out, "b b"]
agents:
  - {id: a, type: echo, properties: {tims: 1}, replicas: "${N}"}
  - {id: b b, type: hello.greter, retry: {attempts: 0}, timeout_s: .inf}
  - {id: c, partitions: 3, type: echo, replicas: two}
routes:
  - {from: a, message: tests.ping, to: out}
  - {from: a, message: tests.pong, to: out, when: "txt == 'a'"}
  - {from: a, message: tests.pong, to: out, transform: "{txt: text}", into: tests.pong}
  - {from: q, to: out}
schedules:
  - {id: s, every_s: 5, message: tests.ping, data: {txt: a}}
"""

    lines = [1, 2, 3, 4, 5, 6, 8, 8, 9, 9, 9, 9, 10, 10, 12, 13, 14, 15, 17]
    assert lines_of(text) == lines


def test_an_agent_that_is_not_found_does_not_hide_what_is_wrong_with_the_others() -> None:
    text = """\
id: x
topics: [out]
agents:
  - {id: a, type: echo, topics: [x]}
  - {id: b, type: nope, topics: [y]}
routes:
  - {from: a, message: Nope, to: out}
  - {from: a, message: tests.pong, to: x}
  - {from: a, message: tests.pong, to: y}
  - {from: b, message: Other, to: out}
"""

    assert told(text)[1:] == [
        "s:7:24: 'a' never gives Nope; it gives tests.pong",
        "s:8:40: nobody who listens to 'x' handles tests.pong",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        # a key with a slip is not missing as well
        ("idd: x\nagents: []\n", 1),
        ("id: x\nagents:\n  - {id: a, typ: echo}\n", 3),
        # neither is what cannot be read
        ("id: x\nagents:\n  - {id: .nan, type: echo}\n", 3),
        ("id: x\nagents: *a\n", 2),
        ("id: x\nagents:\n  - *a\nroutes:\n  - {from: q, message: m, to: y}\n", 3),
        ("id: x\nagents:\n  - {id: a, type: echo, 1: x}\n", 3),
        (
            ("id: x\nagents: [{id: a, type: echo, topics: [.inf]}]\n"
            "routes: [{message: tests.pong, to: a}]\n"),
            2,
        ),
        # what goes wrong together is not told when one of them is wrong by itself
        ("id: x\nagents:\n  - {id: a, type: echo, partitions: 3, ordered_by: 5}\n", 3),
        (
            (
                "id: x\nschedules: [{id: s, message: tests.ping, every_s: x}]\n"
                "agents: [{id: a, type: echo}]\n"
            ),
            2,
        ),
        # nor is what a wrong value was to be
        (
            (
                "id: x\nschedules: [{id: s, topic: a b, message: tests.ping, every_s: 5}]\n"
                "agents: [{id: a, type: writer, topics: [y]}, {id: b, type: reader}]\n"
            ),
            2,
        ),
        (
            (
                "id: x\nschedules: [{id: s, message: tests.note, every_s: 5, data: 5}]\n"
                "agents: [{id: a, type: reader}]\n"
            ),
            2,
        ),
        (
            (
                "id: x\nschedules: [{id: s, message: tests.note, every_s: 5, "
                'data: {text: "${N}"}}]\nagents: [{id: a, type: reader}]\n'
            ),
            2,
        ),
        (
            (
                "id: x\nagents: [{id: a, type: writer}, {id: b, type: echo, topics: [p]}]\n"
                "routes: [{from: a, message: tests.note, to: p, transform: '@', into: 3}]\n"
            ),
            3,
        ),
        # what may go unhandled is not blamed when it cannot be read
        ("id: x\nends: [3]\nagents: [{id: a, type: echo}]\n", 2),
    ],
)  # fmt: skip
def test_what_only_follows_is_not_told(text: str, line: int) -> None:
    assert lines_of(text) == [line]


def test_a_part_that_is_wrong_is_looked_behind_all_the_same() -> None:
    needs = type_name_of(NeedsStore)
    text = f'id: x\nagents:\n  - {{id: a b, type: "{needs}", partitions: 2}}\n'

    lines = told(text)

    assert len(lines) == 3
    assert "'partitions' split what is ordered" in lines[0]
    assert "needs a resource 'store'" in lines[1]
    assert "'a b' is not an id" in lines[2]


@pytest.mark.parametrize(
    "rhythm", ["", "every_s: 0, ", "every_s: 5, cron: '* * * * *', ", "cron: 61 * * * *, "]
)
def test_a_schedule_that_never_fires_is_looked_behind_all_the_same(rhythm: str) -> None:
    text = f"""\
id: x
agents:
  - {{id: a, type: reader, topics: [t]}}
schedules:
  - {{id: s s, {rhythm}topic: tt, message: tests.note, data: {{text: 3, strs: 1}}}}
  - {{id: s, {rhythm}topic: t, message: tests.nte}}
"""

    lines = told(text)

    rest = [line.partition(" ")[2] for line in lines if not re.search("cron|every_s", line)]
    assert len(rest) < len(lines)
    assert rest == [
        "'id': 's s' is not an id: 1 to 100 letters, digits, _ or -, the first a letter or digit",
        "nobody listens to the topic 'tt'; did you mean 't'?",
        "'text' should be a valid string: write it in quotes",
        "unknown key 'strs'; did you mean 'stars'?",
        "no agent here knows a message 'tests.nte'; did you mean 'tests.note'?",
    ]


def test_what_nobody_on_a_topic_handles_is_told_though_another_agent_is_not_found() -> None:
    text = """\
id: x
topics: [out]
ends: [Last]
agents:
  - {id: a, type: writer, topics: [t]}
  - {id: b, type: nope, topics: [u]}
schedules:
  - {id: s1, every_s: 5, topic: t, message: tests.pnig}
  - {id: s2, every_s: 5, topic: u, message: Other}
  - {id: s3, every_s: 5, topic: out, message: Other}
  - {id: s4, every_s: 5, topic: t, message: Last}
  - {id: s5, every_s: 5, topic: t, message: tests.ping, data: {text: 3}}
routes:
  - {message: Other, to: t}
  - {message: Other, to: u}
  - {from: a, message: tests.note, to: t, transform: "@", into: tests.pnig}
"""

    assert told(text)[1:] == [
        "s:8:45: nobody who listens to 't' handles tests.pnig; did you mean 'tests.ping'?",
        "s:12:70: 'text' should be a valid string: write it in quotes",
        "s:14:26: nobody who listens to 't' handles Other",
        "s:16:40: nobody who listens to 't' handles tests.pnig; did you mean 'tests.ping'?",
    ]


def test_a_spec_from_python_is_told_all_at_once_too() -> None:
    route: dict[str, Any] = {"message": "tests.pong", "to": "out", "when": "txt"}
    spec = GuildSpec(
        id="x",
        agents=(
            AgentSpec(id="a", type=TYPES["echo"], properties={"tims": 1}),
            AgentSpec(id="b", type="nope", replicas="${N}"),  # type: ignore[arg-type]
        ),
        routes=(RouteSpec.model_validate(route),),
        topics=("out",),
    )

    with pytest.raises(SpecError) as caught:
        Plan.of(spec, environ={})

    assert sorted(".".join(map(str, problem.path)) for problem in caught.value.problems) == [
        "agents.0.properties.tims",
        "agents.1.replicas",
        "agents.1.type",
        "routes.0.when",
    ]


class Talker(Agent):
    @handles(sends=[Note, Pong])
    async def one(self, ping: Ping, ctx: Context) -> None: ...

    @handles(sends=[Note, Pong])
    async def two(self, note: Note, ctx: Context) -> None: ...


def test_each_problem_of_one_agent_is_told_once() -> None:
    spec = GuildBuilder("x").add_agent_spec(AgentSpec(id="t", type=type_name_of(Talker)))

    with pytest.raises(SpecError) as caught:
        Plan.of(spec.build_spec())

    assert [problem.text.split(",")[0] for problem in caught.value.problems] == [
        "'t' sends tests.pong"
    ]


def test_an_end_that_a_variable_should_name_is_not_missed_elsewhere() -> None:
    text = f'id: x\nends: ["${{END}}"]\nagents: [{{id: s, type: "{type_name_of(Sender)}"}}]\n'

    assert lines_of(text) == [2]


def test_what_is_right_is_right() -> None:
    spec = GuildBuilder("x")
    spec.add_agent_spec(AgentSpec(id="a", type=type_name_of(Asker)))
    spec.add_agent_spec(AgentSpec(id="b", type=TYPES["echo"]))

    assert Plan.of(spec.build_spec()).warnings == ()
