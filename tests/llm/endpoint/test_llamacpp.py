"""A GGUF model behind the endpoint: what llama.cpp cannot do is refused by name."""

from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest

from agents.llm.endpoint import create_app, serving
from agents.llm.engines import EngineConfig, ModelRegistry
from tests.llm.engines.tiny_gguf import save_tiny_gguf

HELLO = [{"role": "user", "content": "Hi"}]


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[openai.AsyncOpenAI]:
    path = save_tiny_gguf(tmp_path / "tiny.gguf")
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


async def test_an_answer_of_a_given_form_is_refused_by_name(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="cannot constrain"):
        await client.chat.completions.create(  # type: ignore[call-overload]
            model="tiny",
            messages=HELLO,
            max_tokens=60,
            response_format={"type": "json_object"},
        )
