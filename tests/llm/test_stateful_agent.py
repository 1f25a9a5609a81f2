"""`llm.stateful`: a model that is led through states, on the bus."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from structlog.testing import capture_logs

from agents.llm import (
    StatefulAgent,
    StatefulAgentProps,
    StatefulReply,
    StatefulRequest,
    StepSaid,
    ToolAnswered,
    Toolbox,
)
from agents.llm.bus.failures import is_lasting
from agents.llm.chat import ChatMessage, fit_window
from agents.llm.dialogue import Usage
from agents.llm.engines.errors import InvalidRequestError
from agents.llm.stateful.config import MachineConfig
from agents.llm.stateful.walk import Walk
from agents.llm.structured.states import Machine, Run
from guild import AgentBuilder, Guild, GuildBuilder
from guild.errors import SpecError
from guild.progress import TextDelta
from messaging.errors import RequestCancelledError, RequestFailedError
from messaging.wire.envelope import new_id
from messaging.wire.message import wire_type_of
from messaging.wire.topic import DEFAULT_TOPIC
from tests.llm.chat_models import save_tiny_chat_model
from tests.reliability.workers.patience import stretched

SPECS = Path(__file__).parents[2] / "specs"

MACHINE = yaml.safe_load("""
start: plan
max_steps: 7
states:
  plan: {max_characters: 30, next: [think, act]}
  think: {regex: "[a-z]{1,6}", next: [act, plan]}
  act: {tools: [{name: look}, {name: wait}], next: [plan, note, answer]}
  note: {json_schema: {type: array, items: {type: boolean}, maxItems: 3}, next: [act]}
  answer: {instruction: Say it., choice: ["yes", "no"]}
""")


def look(far: bool) -> str:
    """Look around."""
    return "a tree" if far else "a stone"


def wait() -> None:
    raise OSError("no time")


@pytest.fixture(scope="session")
def roomy_chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model whose window holds a whole way through the states."""
    return save_tiny_chat_model(tmp_path_factory.mktemp("models") / "roomy", context_window=8192)


def guild_of(
    model: Path,
    tools: Any = (look, wait),
    machine: dict[str, Any] = MACHINE,
    **more: Any,
) -> Guild:
    props = StatefulAgentProps(model=str(model), device="cpu", machine=machine, **more)
    agent = AgentBuilder(StatefulAgent).set_id("planner").set_properties(props)
    builder = GuildBuilder("planners").set_messaging("memory://")
    if tools is not None:
        builder.add_resource("tools", _resource(tools))
    return builder.add_agent_spec(agent.set_retry(attempts=1).build_spec()).launch()


def _resource(tools: Any) -> Callable[[], Any]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Any]:
        yield tools

    return opened


def request(**more: Any) -> StatefulRequest:
    return StatefulRequest(
        messages=({"role": "user", "content": "What do you see?"},), temperature=1.5, **more
    )


async def ask(guild: Guild, asked: StatefulRequest, timeout_s: float = 60) -> StatefulReply:
    reply = await guild.client.request(DEFAULT_TOPIC, asked, timeout_s=stretched(timeout_s))
    assert isinstance(reply, StatefulReply)
    return reply


def test_the_messages_have_stable_names() -> None:
    kinds = (StatefulRequest, StatefulReply, StepSaid, ToolAnswered)

    assert [wire_type_of(kind).name for kind in kinds] == [
        "llm.stateful",
        "llm.stateful_reply",
        "llm.step",
        "llm.tool_answered",
    ]


@pytest.mark.parametrize("walks", [4, pytest.param(100, marks=pytest.mark.long)])
async def test_a_random_model_never_leaves_the_states(roomy_chat: Path, walks: int) -> None:
    """Its 1,000 ways, without a bus, are in `structured/test_states.py`."""
    machine = MachineConfig.model_validate(MACHINE)
    async with guild_of(roomy_chat) as running:
        asked = (ask(running, request(seed=100 * n), 60 + 10 * walks) for n in range(walks))
        replies = await asyncio.gather(*asked)

    for reply in replies:
        names = [step.state for step in reply.steps]
        assert names[0] == "plan"
        assert names[-1] == "answer"
        assert len(names) <= 7
        assert all(after in machine.states[before].next for before, after in pairwise(names))
        for step in reply.steps:
            assert (step.result is not None) == (step.state == "act")
            if step.state == "act":
                assert step.value["name"] in {"look", "wait"}
        assert reply.text in {"yes", "no"}
        assert reply.usage.completion_tokens > len(names)
    assert len({tuple(step.state for step in reply.steps) for reply in replies}) > 1


async def test_a_value_that_no_message_carries_leaves_its_text(roomy_chat: Path) -> None:
    """The whole way was lost for an integer past 64 bits."""
    schema = {"type": "integer", "minimum": 2**63 - 1, "maximum": 1e30}
    machine = {"start": "count", "states": {"count": {"json_schema": schema}}}
    async with guild_of(roomy_chat, None, machine) as running:
        reply = await ask(running, request(seed=4))

    (step,) = reply.steps
    assert int(reply.text) >= 2**63
    assert (reply.value, step.value, step.text) == (None, None, reply.text)
    assert "64 bits" in step.problem


async def test_each_step_and_each_result_is_emitted_for_followers(roomy_chat: Path) -> None:
    async with guild_of(roomy_chat) as running:
        stream = running.client.stream(DEFAULT_TOPIC, request(seed=1), timeout_s=60)
        *shown, reply = [item async for item in stream]

    assert isinstance(reply, StatefulReply)
    said = [item for item in shown if isinstance(item, StepSaid)]
    answered = [item for item in shown if isinstance(item, ToolAnswered)]
    text = "".join(item.text for item in shown if isinstance(item, TextDelta))
    assert [item.number for item in said] == list(range(1, len(reply.steps) + 1))
    assert [(item.step.state, item.step.text) for item in said] == [
        (step.state, step.text) for step in reply.steps
    ]
    assert text == "".join(f"<{s.state}>{s.text}</{s.state}>" for s in reply.steps)
    assert [(item.number, item.result, item.is_error) for item in answered] == [
        (number, step.result, step.is_error)
        for number, step in enumerate(reply.steps, 1)
        if step.result is not None
    ]
    assert said[0].max_steps == 7


ACTING = {
    "start": "act",
    "states": {
        "act": {"tools": [{"name": "look"}], "next": ["done"]},
        "done": {"instruction": "Say that it is done.", "choice": ["done"]},
    },
}


async def test_results_and_errors_of_tools_are_told_to_the_model(
    roomy_chat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    from agents.llm.dialogue import Dialogue  # noqa: PLC0415 - watched here alone

    asked = Dialogue.ask

    async def watched(self: Dialogue, messages: Any) -> Any:
        told.append("\n".join(f"{m.role}: {m.content}" for m in messages))
        return await asked(self, messages)

    monkeypatch.setattr(Dialogue, "ask", watched)

    def explode(far: bool) -> str:
        raise OSError("the lens broke")

    async with guild_of(roomy_chat, [look], ACTING, system="You see.") as running:
        seen = await ask(running, request())
    explode.__name__ = "look"
    async with guild_of(roomy_chat, [explode], ACTING) as running:
        broken = await ask(running, request())

    first, second, _, last = told
    assert first.startswith("system: You see.\n\nAnswer step by step.")
    assert '"far": {"type": "boolean"}' in first
    assert "- look: Look around." in first
    assert "<done></done> Say that it is done. one of: done" in first
    assert first.endswith("user: What do you see?\n\nNext: <act>")
    assert second.endswith(f"user: look: {seen.steps[0].result}\n\nNext: <done>")
    assert seen.steps[0].result in {"a tree", "a stone"}
    assert "the lens broke" in last
    assert broken.steps[0].is_error
    assert not seen.steps[0].is_error


TALKING = {
    "start": "s1",
    "states": {
        **{f"s{n}": {"max_characters": 20, "next": [f"s{n + 1}"]} for n in range(1, 9)},
        "s9": {"choice": ["done"]},
    },
}


async def test_where_steps_do_not_fit_the_oldest_go_and_the_question_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step adds a message of the user, and the question was dropped as an old one."""
    told: list[list[str]] = []

    def watched(*args: Any, **options: Any) -> Any:
        fitted = fit_window(*args, **options)
        told.append([f"{message.role}: {message.content}" for message in fitted.messages])
        return fitted

    monkeypatch.setattr("agents.llm.dialogue.plan.fit_window", watched)
    model = save_tiny_chat_model(tmp_path / "tight", context_window=600)
    earlier = ({"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Yes?"})
    asked = StatefulRequest(
        messages=(*earlier, {"role": "user", "content": "What do you see?"}),
        max_new_tokens=60,
        seed=1,
    )
    async with guild_of(model, None, TALKING, overflow="drop_oldest") as running:
        reply = await ask(running, asked)

    assert [step.state for step in reply.steps] == [f"s{n}" for n in range(1, 10)]
    for number, messages in enumerate(told, 1):
        assert messages[0].startswith("system: Answer step by step.")
        assert "user: What do you see?\n\nNext: <s1>" in messages
        assert messages[-1].endswith(f"Next: <s{number}>")
        roles = [message.partition(":")[0] for message in messages[1:]]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
    assert "user: Hello!" in told[0]
    assert told[-1][1].startswith("user: What")
    assert 4 <= len(told[-1]) < len(told[0]) + 2 * 8 - 2, "steps were dropped"
    assert reply.dropped_messages == len(told[0]) + 2 * 8 - len(told[-1])


async def test_a_call_that_is_not_approved_is_not_run(roomy_chat: Path) -> None:
    box = Toolbox([look], approve=lambda call: f"not {call.name}")
    async with guild_of(roomy_chat, box, ACTING) as running:
        reply = await ask(running, request())

    assert reply.steps[0].is_error
    assert "not allowed: not look" in str(reply.steps[0].result)


async def test_a_cancelled_request_ends_its_steps(roomy_chat: Path) -> None:
    endless = {
        "start": "talk",
        "max_steps": 1000,
        "states": {
            "talk": {"max_characters": 40, "next": ["talk", "more"]},
            "more": {"max_characters": 40, "next": ["talk", "end"]},
            "end": {"choice": ["end"]},
        },
    }
    async with guild_of(roomy_chat, None, endless) as running:
        request_id = new_id()
        stream = running.client.stream(
            DEFAULT_TOPIC, request(), timeout_s=60, message_id=request_id
        )
        await anext(stream)

        await running.client.cancel(request_id, "enough")

        with pytest.raises(RequestCancelledError, match="enough"):
            [item async for item in stream]


async def test_a_budget_that_a_step_does_not_fit_is_a_typed_answer(roomy_chat: Path) -> None:
    async with guild_of(roomy_chat) as running:
        with pytest.raises(RequestFailedError, match="shortest valid answer") as failure:
            await ask(running, request(max_new_tokens=2))

    assert failure.value.error_type == "BudgetTooSmallError"


async def test_a_kept_step_that_does_not_fit_changed_states_is_told_once_and_for_all() -> None:
    class Kept:
        """The context of an attempt that goes on behind a step."""

        async def step(self, name: str, *_: Any, returns: Any) -> Any:
            assert name == "say.1"
            return returns(text="<plan>to look</plan>", dropped=0, usage=Usage())

    machine = Machine(MachineConfig.model_validate({**MACHINE, "start": "act"}))
    walk = Walk(
        run=Run(machine),
        dialogue=cast(Any, None),
        toolbox=Toolbox([]),
        max_result_chars=100,
        ctx=cast(Any, Kept()),
        messages=[ChatMessage(role="user", content="What do you see?")],
    )

    with pytest.raises(
        InvalidRequestError, match=r"step 1 was taken earlier, .*; ask again"
    ) as told:
        await walk.to_the_end()
    assert is_lasting(told.value)


async def test_a_tool_that_is_not_there_keeps_the_agent_from_starting(roomy_chat: Path) -> None:
    with capture_logs() as logged:
        async with guild_of(roomy_chat, [wait]):
            (crash,) = [line for line in logged if line["event"] == "agent.crashed"]

    told = str(crash["exc_info"])
    assert "the state act calls 'look', and there is no such tool (known: wait)" in told


ANSWER = 'regex: "The result is -?[0-9]{1,13}[.]"'


@pytest.mark.parametrize(
    ("changed", "line", "told"),
    [
        (("next: [act]", "next: [atc]"), "next: [atc]", "did you mean 'act'"),
        (("start: plan", "start: paln"), "start: paln", "did you mean 'plan'"),
        (("max_steps: 5", "max_steps: 2"), "max_steps: 2", "takes 3 steps"),
        (("next: [answer]", "next: [act]"), "next: [act]  ", "no last state"),
        ((ANSWER, "regex: '('"), "regex: '('", "regex"),
        ((ANSWER, "lark: 'x'"), "lark: 'x'", "lark"),
        (
            (ANSWER, "json_schema: {contains: {}}"),
            "json_schema: {contains: {}}",
            "'contains' cannot be enforced",
        ),
        (
            ("{name: calculate}", "{name: calculate, arguments: {not: {}}}"),
            "{name: calculate, arguments: {not: {}}}",
            "no text satisfies it",
        ),
        (
            ("{name: calculate}", "{name: calculate, arguments: {type: string}}"),
            "{name: calculate, arguments: {type: string}}",
            "no object",
        ),
        (("[{name: calculate}]", "[{name: a}, {name: a}]"), "tools: [{name: a}", "differ"),
        ((ANSWER, "choice: []"), "choice: []", "no text to choose"),
        ((ANSWER, "colour: red"), "colour: red", "colour"),
        (
            ("${STATEFUL_BACKEND:-llamacpp}", "transfomers"),
            "backend: t",
            "did you mean 'transformers'",
        ),
        (("${STATEFUL_BACKEND:-llamacpp}", "scripted"), "backend: s", "shows no scores"),
        ((ANSWER, "next: []"), "instruction: Tell the", "exactly one of"),
    ],
)
def test_validate_refuses_what_the_machine_would_with_its_line(
    changed: tuple[str, str], line: str, told: str, tmp_path: Path
) -> None:
    spec = (SPECS / "stateful.yaml").read_text(encoding="utf-8")
    assert changed[0] in spec
    text = spec.replace(*changed)
    (tmp_path / "spec.yaml").write_text(text, encoding="utf-8")
    number = next(n for n, each in enumerate(text.splitlines(), 1) if line in each)

    with pytest.raises(SpecError) as refused:
        GuildBuilder.from_yaml_file(tmp_path / "spec.yaml")

    assert any(p.line == number and told in str(p) for p in refused.value.problems), str(
        refused.value
    )


async def test_the_shipped_spec_runs(roomy_chat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATEFUL_MODEL", str(roomy_chat))
    monkeypatch.setenv("STATEFUL_BACKEND", "transformers")
    monkeypatch.setenv("GUILDBUS_URL", "memory://")
    async with GuildBuilder.from_yaml_file(SPECS / "stateful.yaml").launch() as running:
        reply = await ask(running, request(seed=0))

    acts = [step for step in reply.steps if step.state == "act"]
    assert acts
    operations = {"plus": "__add__", "minus": "__sub__", "times": "__mul__"}
    for act in acts:
        given = act.value["arguments"]
        result = getattr(given["left"], operations[given["operation"]])(given["right"])
        assert act.result == str(result)
    assert [reply.steps[0].state, reply.steps[-1].state] == ["plan", "answer"]
