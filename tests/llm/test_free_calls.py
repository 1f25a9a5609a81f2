"""A random model that may call tools: on the endpoint, in a dialogue and in the loop of tools.

Each of its answers is text, or text and valid calls, in 200 runs and more.
"""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Literal

import openai
import pytest

from agents.llm.agent import AgentSettings, LocalAgent
from agents.llm.chat import AgentPayload, ChatMessage
from agents.llm.dialogue import Dialogue, Sampling
from agents.llm.endpoint import create_app, serving
from agents.llm.engines import EngineConfig, FinishReason, GenerationRequest, ModelRegistry
from agents.llm.engines.errors import InvalidRequestError
from agents.llm.parsing import Text, ToolCall, parse
from agents.llm.structured import grammar_of_schema
from agents.llm.tools import Tool
from tests.llm.chat_models import save_tiny_calling_model

QUESTION = [{"role": "user", "content": "How warm is it?"}]


def weather(city: str, days: Literal[1, 2, 7] = 1) -> str:
    """Tell the weather."""
    return f"{city}: {days}"


def now() -> str:
    """Tell the time."""
    return "12:00"


TOOLS = {tool.name: tool for tool in map(Tool, (weather, now))}
SCHEMAS = [tool.schema for tool in TOOLS.values()]


def saved(folder: Path, opening: str) -> EngineConfig:
    """A model with a token that begins calls; it is special where it is of Mistral's kind."""
    save_tiny_calling_model(folder, opening, is_special=opening == "[TOOL_CALLS]")
    return EngineConfig(model=str(folder), device="cpu", max_active=32, max_queue=256)


@pytest.fixture(scope="module")
def eager(tmp_path_factory: pytest.TempPathFactory) -> EngineConfig:
    return saved(tmp_path_factory.mktemp("models") / "eager", "<tool_call>")


@pytest.fixture(scope="module", params=["<tool_call>", "[TOOL_CALLS]"])
def any_eager(
    request: pytest.FixtureRequest, eager: EngineConfig, tmp_path_factory: pytest.TempPathFactory
) -> EngineConfig:
    if request.param == "<tool_call>":
        return eager
    return saved(tmp_path_factory.mktemp("models") / "eager", request.param)


@pytest.fixture
async def models() -> AsyncIterator[ModelRegistry]:
    async with ModelRegistry() as models:
        yield models


def check(text: str, calls: list[tuple[str, Any]]) -> None:
    """The text holds nothing that any reader takes for a call, and the calls can be run."""
    read = parse(text, tools={name: tool.parameters for name, tool in TOOLS.items()})
    assert not read.tool_calls
    assert not any(problem.is_call for problem in read.problems)
    for name, arguments in calls:
        grammar_of_schema(TOOLS[name].parameters).parse(json.dumps(arguments))
        TOOLS[name].validate(arguments)


@pytest.mark.parametrize("is_stream", [False, True])
async def test_answers_of_the_endpoint_are_text_or_valid_calls(
    eager: EngineConfig, models: ModelRegistry, *, is_stream: bool
) -> None:
    called, written = 0, 0
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving(create_app({"m": eager}, models)))
        client = await stack.enter_async_context(openai.AsyncOpenAI(base_url=url, api_key="none"))
        for temperature, budget in ((0.0, 40), (0.7, 24), (1.3, 60), (2.0, 48), (2.0, 90)):
            settings: Any = {"model": "m", "messages": QUESTION, "tools": SCHEMAS, "n": 12}
            settings |= {"temperature": temperature, "max_tokens": budget, "seed": 7}
            for content, calls, reason in await _choices(client, settings, is_stream=is_stream):
                check(content, calls)
                called += len(calls)
                written += bool(content)
                assert (reason == "tool_calls") == bool(calls) or reason == "length"
    assert called > 20
    assert written > 5


async def _choices(
    client: openai.AsyncOpenAI, settings: dict[str, Any], *, is_stream: bool
) -> list[tuple[str, list[tuple[str, Any]], str]]:
    if not is_stream:
        answer = await client.chat.completions.create(**settings)
        return [
            (
                choice.message.content or "",
                [
                    (call.function.name, json.loads(call.function.arguments))
                    for call in choice.message.tool_calls or []
                ],
                choice.finish_reason,
            )
            for choice in answer.choices
        ]
    found: list[Any] = [["", [], ""] for _ in range(settings["n"])]
    async for chunk in await client.chat.completions.create(**settings, stream=True):
        for choice in chunk.choices:
            mine = found[choice.index]
            mine[0] += choice.delta.content or ""
            for call in choice.delta.tool_calls or []:
                mine[1].append((call.function.name, json.loads(call.function.arguments)))
            mine[2] = choice.finish_reason or mine[2]
    return [(text, calls, reason) for text, calls, reason in found]


async def test_answers_of_a_dialogue_are_text_or_valid_calls(
    any_eager: EngineConfig, models: ModelRegistry
) -> None:
    called = 0
    async with models.lease(any_eager) as engine:
        for seed in range(40):
            temperature, budget = (0.0, 0.7, 2.0)[seed % 3], (12, 40, 60, 100)[seed % 4]
            sampling = Sampling(temperature=temperature, seed=seed, max_new_tokens=budget)
            dialogue = Dialogue(engine, sampling, tools=SCHEMAS)
            parts: list[Any] = []
            answer = await dialogue.answer([ChatMessage(**QUESTION[0])], parts.append)
            calls = [(call.name, call.arguments) for call in answer.parsed.tool_calls]
            check(answer.parsed.text, calls)
            assert calls == [(p.name, p.arguments) for p in parts if isinstance(p, ToolCall)]
            shown = "".join(part.text for part in parts if isinstance(part, Text))
            assert answer.parsed.text == shown
            assert answer.finish_reason in (FinishReason.STOP, FinishReason.LENGTH)
            called += len(calls)
    assert called > 10


async def test_every_call_in_the_loop_of_tools_can_be_run(
    eager: EngineConfig, models: ModelRegistry
) -> None:
    settings = AgentSettings.of(
        model=eager.model, backend="transformers", device="cpu", max_new_tokens=70, max_rounds=3
    )
    results = []
    for seed in range(12):
        agent = LocalAgent(settings.model_copy(update={"seed": seed}), models=models)
        response = await agent.invoke_with_tools(
            AgentPayload(user_message="How warm is it?"), list(TOOLS.values())
        )
        results += response.metadata.get("tool_results", [])

    assert len(results) > 10
    assert not any(result["is_error"] for result in results)


async def test_text_that_its_budget_cuts_is_told_as_cut(
    eager: EngineConfig, models: ModelRegistry
) -> None:
    no_call = {"max_new_tokens": 4, "logit_bias": {0: -100.0}}
    async with models.lease(eager) as engine:
        cut = await Dialogue(engine, Sampling(**no_call), tools=SCHEMAS).answer(
            [ChatMessage(**QUESTION[0])]
        )

    assert cut.finish_reason is FinishReason.LENGTH
    assert cut.usage.completion_tokens == 4


async def test_of_a_call_that_was_cut_no_text_is_left(
    any_eager: EngineConfig, models: ModelRegistry
) -> None:
    cut = 0
    async with models.lease(any_eager) as engine:
        for seed in range(12):
            sampling = Sampling(seed=seed, max_new_tokens=60, stop=('"arguments"',))
            answer = await Dialogue(engine, sampling, tools=SCHEMAS).answer(
                [ChatMessage(**QUESTION[0])]
            )
            assert "<tool_call>" not in answer.parsed.text
            assert "TOOL_CALLS" not in answer.parsed.text
            assert answer.parsed.tool_calls == ()
            cut += any(problem.is_call for problem in answer.parsed.problems)
    assert cut


async def test_a_token_that_is_special_without_a_role_can_be_a_stop_string(
    any_eager: EngineConfig, models: ModelRegistry
) -> None:
    """And one that is not special, all the same."""
    markers = ("<tool_call>", "[TOOL_CALLS]")
    request = GenerationRequest(
        prompt="a", max_new_tokens=200, stop=markers, seed=1, logit_bias={0: -100.0}
    )
    async with models.lease(any_eager) as engine:
        finished = await (await engine.submit(request)).result()

    assert finished.reason is FinishReason.STOP
    assert not any(marker in finished.text for marker in markers)


async def test_a_tool_that_cannot_be_enforced_is_refused_and_the_engine_lives(
    eager: EngineConfig, models: ModelRegistry
) -> None:
    bad = {"name": "f", "parameters": {"properties": {"a": {"contains": {"const": 1}}}}}
    async with models.lease(eager) as engine:
        asked = [ChatMessage(**QUESTION[0])]
        with pytest.raises(InvalidRequestError, match="contains") as refused:
            await Dialogue(engine, Sampling(), tools=[bad]).answer(asked)
        assert refused.value.__notes__ == ["in the arguments of the tool 'f'"]
        answer = await Dialogue(engine, Sampling(max_new_tokens=4), tools=SCHEMAS).answer(asked)
    assert answer.usage.completion_tokens
