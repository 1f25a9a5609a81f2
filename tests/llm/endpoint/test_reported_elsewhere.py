"""What users of other servers with continuous batching reported, tried on ours.

vLLM, SGLang, text-generation-inference, llama.cpp's server, Ollama and LiteLLM.
"""

import asyncio
import json
from typing import Any

import openai
import pytest

from tests.llm.endpoint.conftest import Start
from tests.llm.endpoint.test_chat import WEATHER, ask, chunks_of

CALL = '<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}</tool_call>'
NOW = {"type": "function", "function": {"name": "now"}}


async def test_text_before_a_stop_string_survives_a_call_that_only_began(start: Start) -> None:
    """The text that was held back as a possible call was lost where a stop string came."""
    client = await (await start(['Well. {"tool_calls" STOP me'] * 2)).client()

    settings: Any = {"tools": [WEATHER], "stop": "STOP"}
    whole = (await ask(client, **settings)).choices[0]
    chunks = await chunks_of(client, **settings)

    assert whole.message.content.rstrip() == 'Well. {"tool_calls"'
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert streamed == whole.message.content
    assert whole.finish_reason == chunks[-1].choices[0].finish_reason == "stop"


async def test_no_beginning_of_a_stop_string_is_streamed(start: Start) -> None:
    client = await (await start(["A B C D E F"])).client()

    chunks = await chunks_of(client, stop="D E F")

    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert "".join(pieces).rstrip() == "A B C"
    assert not any("D" in piece for piece in pieces)


async def test_log_probabilities_and_text_agree_where_a_stop_string_ends_them(start: Start) -> None:
    """Text held back for a stop string was out of step with its tokens, or they were missing."""
    client = await (await start()).client()
    settings: Any = {"model": "tiny", "temperature": 0, "logprobs": True, "max_tokens": 24}
    free = (await ask(client, **settings)).choices[0]
    stop = free.message.content[8:11]

    whole = (await ask(client, **settings, stop=stop)).choices[0]
    chunks = await chunks_of(client, **settings, stop=stop)

    spelt = b"".join(bytes(entry.bytes) for entry in whole.logprobs.content)
    text = whole.message.content
    assert text == free.message.content[: free.message.content.index(stop)]
    assert spelt.decode(errors="replace").startswith(text)
    streamed = [
        entry
        for chunk in chunks
        if chunk.choices[0].logprobs
        for entry in chunk.choices[0].logprobs.content
    ]
    assert streamed == whole.logprobs.content
    assert len(spelt) <= len(text.encode()) + 16  # no more than the token that held the stop


@pytest.mark.parametrize("tops", [{}, {"top_logprobs": None}, {"top_logprobs": 0}])
async def test_log_probabilities_come_without_likeliest_tokens(start: Start, tops: Any) -> None:
    """Zero of them, or null, was no report at all, or a failure of the server."""
    client = await (await start()).client()

    answer = await ask(client, model="tiny", max_tokens=4, logprobs=True, extra_body=tops)

    entries = answer.choices[0].logprobs.content
    assert len(entries) == answer.usage.completion_tokens
    assert all(entry.top_logprobs == [] for entry in entries)


async def test_the_first_answer_to_a_prompt_is_like_all_later_ones(start: Start) -> None:
    """With prefixes kept, it differed from the second, and the order of requests counted."""
    client = await (await start()).client()
    prompts = ["The agent is " * 12 + end for end in ("a", "the", "one", "a")]

    async def answer(prompt: str) -> Any:
        settings: Any = {"temperature": 0, "max_tokens": 8, "logprobs": 2}
        given = await client.completions.create(model="tiny", prompt=prompt, **settings)
        logprobs = given.choices[0].logprobs
        return given.choices[0].text, logprobs.tokens, pytest.approx(logprobs.token_logprobs)

    one_by_one = [await answer(prompt) for prompt in prompts]
    backwards = [await answer(prompt) for prompt in reversed(prompts)][::-1]
    together = await asyncio.gather(*map(answer, prompts))

    for text, tokens, logprobs in [*backwards, *together]:
        assert (text, tokens) in [(t, k) for t, k, _ in one_by_one]
        assert [logprobs == other.expected for t, _, other in one_by_one if t == text]
    assert [a[:2] for a in one_by_one] == [b[:2] for b in backwards] == [c[:2] for c in together]


async def test_a_seed_means_the_same_whoever_else_asks(start: Start) -> None:
    """Batches of another size gave other answers, and choices of one request the same ones."""
    client = await (await start()).client()
    settings: Any = {"model": "tiny", "max_tokens": 12, "temperature": 1.2}

    alone = [(await ask(client, **settings, seed=s)).choices[0].message.content for s in range(3)]
    answers = await asyncio.gather(
        *(ask(client, **settings, seed=s) for s in (2, 0, 1)),
        *(ask(client, **settings) for _ in range(3)),
        ask(client, **settings, seed=0, n=3),
    )

    in_company = [answer.choices[0].message.content for answer in answers[:3]]
    assert in_company == [alone[2], alone[0], alone[1]]
    assert [choice.message.content for choice in answers[-1].choices] == alone


async def test_a_client_that_goes_away_while_it_waits_harms_nobody(start: Start) -> None:
    """Its cancelling brought the whole engine down, or its answer went on unseen."""
    served = await start(["word " * 500, "Yes."], config={"max_active": 1})
    client = await served.client()
    stream = await ask(client, stream=True)
    await anext(aiter(stream))
    waiting = asyncio.create_task(ask(client))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await stream.close()

    answer = await ask(client)

    assert answer.choices[0].message.content
    engine = served.engines[0]
    assert (engine.stats.active, engine.stats.queue_length) == (0, 0)


async def test_several_calls_have_indexes_and_ids_of_their_own(start: Start) -> None:
    """All had the index 0, so that clients put them into one."""
    client = await (await start([CALL + "\n" + CALL])).client()

    chunks = await chunks_of(client, tools=[WEATHER])

    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert [call.index for call in calls] == [0, 1]
    assert len({call.id for call in calls}) == 2
    assert [call.function.arguments for call in calls] == ['{"city": "Paris"}'] * 2
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("arguments", ["", ', "arguments": {}', ', "arguments": null'])
async def test_arguments_of_a_call_are_always_an_object_in_json(
    start: Start, arguments: str
) -> None:
    """Without arguments they were missing, null or no JSON."""
    client = await (await start([f'<tool_call>{{"name": "now"{arguments}}}</tool_call>'])).client()

    message = (await ask(client, tools=[NOW])).choices[0].message

    assert json.loads(message.tool_calls[0].function.arguments) == {}


async def test_broken_arguments_in_the_history_are_refused_by_name(start: Start) -> None:
    """They were a failure of the server, one turn after they had been written."""
    client = await (await start(["Fine."])).client()
    function = {"name": "weather", "arguments": '{"city": "a"}{"city": "b"}'}
    call = {"id": "c", "type": "function", "function": function}
    history = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]

    with pytest.raises(openai.BadRequestError, match="no JSON") as refused:
        await ask(client, messages=history)
    assert refused.value.param == "messages.1.tool_calls.0.arguments"
    assert (await ask(client)).choices[0].message.content == "Fine."


@pytest.mark.parametrize(
    "schema", [{"$ref": "#/nowhere"}, {"type": "nonsense"}, {"properties": {"a": {"contains": {}}}}]
)
async def test_a_schema_that_cannot_be_compiled_harms_nobody(start: Start, schema: Any) -> None:
    """It brought the engine down, or was ignored."""
    client = await (await start()).client()
    bad = {"type": "function", "function": {"name": "f", "parameters": schema}}
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    settings: Any = {"model": "tiny", "max_tokens": 4}

    for wish in (
        {"tools": [bad]},
        {"tools": [bad], "tool_choice": "required"},
        {"response_format": form},
    ):
        with pytest.raises(openai.BadRequestError):
            await ask(client, **settings, **wish)
    assert (await ask(client, **settings)).choices[0].message.content
