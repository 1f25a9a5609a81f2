"""Tools and calls that come from others: read by every face alike, run by none."""

from pathlib import Path
from typing import Any

import pytest

from agents.llm import ChatRequest
from agents.llm.chat import ChatMessage
from agents.llm.dialogue import Dialogue, Sampling
from agents.llm.engines import EngineConfig
from agents.llm.engines.errors import InvalidRequestError
from agents.llm.engines.scripted import scripted_engine
from agents.llm.runner import LLMRunnerFactory
from agents.llm.structured import grammar_of_type
from agents.llm.structured.errors import SchemaError
from messaging.errors import RequestFailedError
from tests.llm.dialogue.test_dialogue import QUESTION, Server
from tests.llm.test_chat_agent import MESSAGES, ask, scripted

HALF = "\ud800"


def tool(**function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", **function}}


WRONG = {
    "empty": ({}, "tools.0: it has no name"),
    "no object": ("f", "tools.0: it is no tool"),
    "no function": ({"type": "function", "function": None}, "tools.0: it is no tool"),
    "a number as name": (tool(name=3), "no name"),
    "a word of tool_choice": (tool(name="none"), "word of tool_choice"),
    "parameters in a text": (tool(parameters="dict"), "no JSON schema"),
    "parameters in a list": (tool(parameters=["dict"]), "no JSON schema"),
    "half a character": (tool(description=HALF), "as JSON"),
    "half a key": (tool(parameters={"properties": {HALF: {}}}), "as JSON"),
    "no number": (tool(parameters={"minimum": float("nan")}), "as JSON"),
    "a set": (tool(parameters={"enum": {1}}), "as JSON"),
}


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("is_far", [False, True])
async def test_what_is_no_tool_is_refused_by_its_number(
    kind: str, choice: str, *, is_far: bool
) -> None:
    wrong, told = WRONG[kind]
    engine: Any = Server("x")
    if not is_far:
        engine = scripted_engine(["x"], EngineConfig(model="script", backend="scripted"))
    dialogue = Dialogue(engine, Sampling(), tools=[wrong], tool_choice=choice)  # type: ignore[list-item]

    with pytest.raises(InvalidRequestError, match=told):
        await dialogue.ask(QUESTION)


async def test_two_tools_of_one_name_are_refused() -> None:
    dialogue = Dialogue(Server("x"), Sampling(), tools=[tool(), tool()])  # type: ignore[arg-type]

    with pytest.raises(InvalidRequestError, match="one name: f, f"):
        await dialogue.ask(QUESTION)


async def test_parameters_from_the_bus_are_never_run_as_python(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    code = f"__import__('pathlib').Path({str(seen)!r}).touch() or dict"
    request = ChatRequest(messages=MESSAGES, tools=(tool(parameters=code),), tool_choice="required")

    async with scripted("x") as guild:
        with pytest.raises(RequestFailedError) as failure:
            await ask(guild, request)

    assert failure.value.error_type == "InvalidRequestError"
    assert not seen.exists()


def test_a_text_is_no_type(tmp_path: Path) -> None:
    seen = tmp_path / "seen"

    with pytest.raises(SchemaError, match="no type"):
        grammar_of_type(f"__import__('pathlib').Path({str(seen)!r}).touch() or dict")

    assert not seen.exists()


def test_a_runner_refuses_what_is_no_tool(tiny_chat: Path) -> None:
    model = {"backend": "transformers", "model_path": str(tiny_chat), "device": "cpu"}
    with (
        LLMRunnerFactory.create_runner({"llm": model}) as runner,
        pytest.raises(InvalidRequestError, match="no name"),
    ):
        runner.create_chat_completion([{"role": "user", "content": "x"}], tools=[{}])


def test_arguments_without_a_number_are_refused() -> None:
    call = {"function": {"name": "f", "arguments": '{"n": NaN}'}}

    with pytest.raises(ValueError, match="as JSON"):
        ChatMessage.model_validate({"role": "assistant", "tool_calls": [call]})
