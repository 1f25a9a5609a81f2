from typing import Any

import openai
import pytest

from tests.llm.endpoint.conftest import Start


async def complete(client: openai.AsyncOpenAI, **settings: Any) -> Any:
    return await client.completions.create(**{"model": "script", "prompt": "a b"} | settings)


async def test_a_prompt_is_continued(start: Start) -> None:
    client = await (await start(["c d e"] * 2)).client()

    answer = await complete(client)
    chunks = [c async for c in await complete(client, stream=True)]

    assert answer.object == "text_completion"
    assert answer.choices[0].text == "c d e"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens == 2
    assert "".join(chunk.choices[0].text for chunk in chunks) == "c d e"
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_reasoning_and_calls_stay_in_a_plain_text(start: Start) -> None:
    text = '<think>Hm.</think> {"name": "f", "arguments": {}}'
    client = await (await start([text])).client()

    assert (await complete(client)).choices[0].text == text


async def test_several_prompts_get_their_own_choices(start: Start) -> None:
    client = await (await start({"a": "A", "b": "B"})).client()

    answer = await complete(client, prompt=["a", "b"], n=2)

    assert [choice.text for choice in answer.choices] == ["A", "A", "B", "B"]
    assert answer.usage.prompt_tokens == 2


async def test_a_prompt_may_be_tokens(start: Start) -> None:
    client = await (await start()).client()
    settings: Any = {"model": "tiny", "temperature": 0, "max_tokens": 5}

    one = await complete(client, prompt=[40, 41, 42], **settings)
    several = await complete(client, prompt=[[40, 41, 42], [7, 8]], **settings)

    assert several.choices[0].text == one.choices[0].text
    assert len(several.choices) == 2


async def test_log_probabilities_have_their_offsets(start: Start) -> None:
    client = await (await start()).client()

    answer = await complete(client, model="tiny", logprobs=2, max_tokens=6, temperature=0)

    logprobs = answer.choices[0].logprobs
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.top_logprobs) == 6
    assert logprobs.text_offset[0] == 0
    assert logprobs.text_offset[1] == len(logprobs.tokens[0])
    assert all(len(top) == 2 for top in logprobs.top_logprobs)


@pytest.mark.parametrize("is_stream", [False, True])
async def test_token_ids_come_where_they_are_wanted(start: Start, is_stream: bool) -> None:
    client = await (await start()).client()
    settings: Any = {
        "model": "tiny", "max_tokens": 6, "extra_body": {"return_token_ids": True}
    }  # fmt: skip

    if is_stream:
        chunks = [c async for c in await complete(client, stream=True, **settings)]
        ids = [i for chunk in chunks for i in chunk.choices[0].token_ids]
    else:
        ids = (await complete(client, **settings)).choices[0].token_ids

    assert len(ids) == 6
