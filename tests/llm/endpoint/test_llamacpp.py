"""A GGUF model behind the endpoint keeps to a form, as any other does."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from agents.llm.endpoint import create_app, serving
from agents.llm.engines import EngineConfig, ModelRegistry
from tests.llm.engines.tiny_gguf import save_tiny_gguf

HELLO = [{"role": "user", "content": "Hi"}]
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}
TOOL = {"type": "function", "function": {"name": "greet", "parameters": SCHEMA}}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[openai.AsyncOpenAI]:
    path = save_tiny_gguf(tmp_path / "tiny.gguf", context_window=1024)
    config = EngineConfig(model=str(path), backend="llamacpp", device="cpu")
    async with (
        ModelRegistry() as registry,
        serving(create_app({"tiny": config}, registry)) as url,
        openai.AsyncOpenAI(base_url=url, api_key="unused", max_retries=0) as connected,
    ):
        yield connected


async def test_a_chat_is_answered_with_log_probabilities(client: openai.AsyncOpenAI) -> None:
    chat = await client.chat.completions.create(  # type: ignore[call-overload]
        model="tiny", messages=HELLO, max_tokens=5, logprobs=True, top_logprobs=2
    )

    assert chat.usage.completion_tokens == 5
    assert len(chat.choices[0].logprobs.content) == 5


async def ask(client: openai.AsyncOpenAI, **settings: Any) -> Any:
    settings = {"messages": HELLO, "max_tokens": 60, "temperature": 2.0, **settings}
    return await client.chat.completions.create(model="tiny", **settings)


def is_person(text: str) -> bool:
    person = json.loads(text)
    return [type(person["name"]), type(person["age"])] == [str, int] and len(person) == 2


async def test_the_tokens_of_an_answer_are_told_as_what_they_spell(
    client: openai.AsyncOpenAI,
) -> None:
    chat = await ask(client, max_tokens=9, logprobs=True, top_logprobs=2)

    choice = chat.choices[0]
    assert "".join(entry.token for entry in choice.logprobs.content) == choice.message.content


async def test_an_answer_keeps_to_its_schema(client: openai.AsyncOpenAI) -> None:
    for seed in range(5):
        chat = await ask(client, response_format=FORMAT, seed=seed)

        assert is_person(chat.choices[0].message.content)
        assert chat.choices[0].finish_reason == "stop"


async def test_a_streamed_answer_keeps_to_its_schema(client: openai.AsyncOpenAI) -> None:
    whole = await ask(client, response_format=FORMAT, seed=3)

    pieces = [
        chunk.choices[0].delta.content or ""
        async for chunk in await ask(client, response_format=FORMAT, seed=3, stream=True)
    ]

    assert len(pieces) > 5
    assert "".join(pieces) == whole.choices[0].message.content


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "greet"}}]
)
async def test_a_call_has_arguments_that_fit(client: openai.AsyncOpenAI, choice: Any) -> None:
    chat = await ask(client, tools=[TOOL], tool_choice=choice, max_tokens=90)

    (call,) = chat.choices[0].message.tool_calls
    assert call.function.name == "greet"
    assert is_person(call.function.arguments)


async def test_a_form_that_does_not_fit_is_refused_with_what_it_takes(
    client: openai.AsyncOpenAI,
) -> None:
    with pytest.raises(openai.BadRequestError, match="shortest valid answer takes"):
        await ask(client, response_format=FORMAT, max_tokens=5)
