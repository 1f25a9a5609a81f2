"""Plan, then act: a random model never leaves the states, and reaches the end."""

from itertools import pairwise
from typing import Any

import pytest
import yaml

from agents.llm.structured import ConstraintError, GrammarSyntaxError, ResultError, SchemaError
from agents.llm.structured.states import Machine, Run, Said
from agents.llm.structured.tools import ToolCall
from tests.llm.structured.decoding import TEMPERATURES, decode
from tests.llm.structured.vocabularies import vocabulary

AGENT = """
start: plan
max_steps: 7
states:
  plan:
    max_characters: 40
    next: [plan, think, act]
  think:
    regex: "[a-z<\\n]{1,6}"
    next: [act, plan]
  act:
    tools:
      - name: look
        arguments: {properties: {x: {type: integer}}, required: [x]}
      - name: wait
    next: [plan, note, answer]
  note:
    json_schema: {type: array, items: {type: boolean}, maxItems: 3}
    next: [act]
  answer:
    choice: ["yes", "no", "</answer>"]
"""


def finish(machine: Machine, seed: int, temperature: float) -> Run:
    run = Run(machine)
    while not run.is_finished:
        answer = decode(
            run.grammar,
            vocabulary("byte-level"),
            spare_tokens=seed % 20,
            seed=1_000 * seed + len(run.said),
            temperature=temperature,
        )
        run.say(answer.text)
    return run


@pytest.fixture(scope="module")
def machine() -> Machine:
    return Machine.from_yaml(AGENT)


@pytest.mark.parametrize("runs", [100, pytest.param(1_000, marks=pytest.mark.long)])
def test_a_random_model_never_leaves_the_states(machine: Machine, runs: int) -> None:
    seen = set()
    for seed in range(runs):
        run = finish(machine, seed, TEMPERATURES[seed % len(TEMPERATURES)])

        names = [said.state for said in run.said]
        assert names[0] == "plan"
        assert names[-1] == "answer"
        assert len(names) <= 7
        for before, after in pairwise(names):
            assert after in machine.config.states[before].next
            seen.add((before, after))
        assert all(fits(said) for said in run.said)

    assert len(seen) == sum(len(state.next) for state in machine.config.states.values())


def fits(said: Said) -> bool:
    if said.state == "plan":
        return len(said.text) <= 40 and "<" not in said.text
    if said.state == "think":
        return 1 <= len(said.text) <= 6 and set(said.text) <= set("abcdefghijklmnopqrstuvwxyz<\n")
    if said.state == "act":
        return isinstance(said.value, ToolCall) and said.value.name in ("look", "wait")
    if said.state == "note":
        return isinstance(said.value, list) and len(said.value) <= 3
    return said.value in ("yes", "no", "</answer>")


def test_near_the_last_step_only_the_way_to_an_end_is_left(machine: Machine) -> None:
    run = Run(machine)
    for _ in range(4):
        run.say("<plan>again</plan>")

    assert run.allowed == ("plan", "think", "act")
    run.say("<plan>again</plan>")
    assert run.allowed == ("act",)
    run.say('<act>{"name": "wait", "arguments": {}}</act>')
    assert run.allowed == ("answer",)


def test_a_forced_way_needs_no_model(machine: Machine) -> None:
    matcher = Run(machine).grammar.compile(vocabulary("byte-level")).matcher(50)
    while forced := matcher.forced():
        for token_id in forced:
            matcher.accept(token_id)

    assert "<plan>".startswith(matcher.text)
    assert len(matcher.text) >= 5


@pytest.mark.parametrize(
    "text",
    ["", "plan", "<act>{}</act>", "<plan>x", '<answer>"yes"</answer>'],
)
def test_an_answer_of_another_state_is_refused_and_changes_nothing(
    machine: Machine, text: str
) -> None:
    run = Run(machine)

    with pytest.raises(ResultError, match="plan"):
        run.say(text)

    assert run.said == []


def test_a_finished_run_asks_for_nothing(machine: Machine) -> None:
    run = finish(machine, seed=1, temperature=1.0)

    with pytest.raises(ConstraintError, match="finished"):
        _ = run.grammar


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("start: [", "YAML|states"),
        ("start: a\nstates: {}", "states"),
        ("start: b\nstates: {a: {choice: [x]}}", "'b', which is no state"),
        ("start: a\nstates: {a: {choice: [x], next: [c]}}", "'c', which is no state"),
        ("start: a\nstates: {a: {choice: [x], next: [a]}}", "no last state can be reached"),
        ("start: a\nstates: {a: {}}", "exactly one of"),
        ("start: a\nstates: {a: {choice: [x], regex: y}}", "exactly one of"),
        ("start: a\nstates: {a: {choice: [x], colour: red}}", "colour"),
        ("start: A\nstates: {A: {choice: [x]}}", "pattern"),
        (
            "start: a\nmax_steps: 1\nstates: {a: {choice: [x], next: [b]}, b: {choice: [y]}}",
            "takes 2 steps",
        ),
    ],
)
def test_states_that_lead_nowhere_are_refused(text: str, named: str) -> None:
    with pytest.raises(GrammarSyntaxError, match=named):
        Machine.from_yaml(text)


@pytest.mark.parametrize(
    "state", [{"regex": "("}, {"lark": "x"}, {"json_schema": {"contains": {}}}, {"choice": []}]
)
def test_a_state_that_cannot_be_enforced_is_refused(state: dict[str, Any]) -> None:
    with pytest.raises(SchemaError):
        Machine.from_yaml(yaml.safe_dump({"start": "a", "states": {"a": state}}))
