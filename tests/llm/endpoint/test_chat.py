"""Chats through the client that everybody has."""

import asyncio
import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from agents.llm.endpoint.choices import vocabulary_for
from agents.llm.engines.loaded import loaded_tokenizer
from tests.llm.endpoint.conftest import Start

HELLO = [{"role": "user", "content": "Hello?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 8}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


async def ask(client: openai.AsyncOpenAI, **settings: Any) -> Any:
    return await client.chat.completions.create(**{"messages": HELLO, "model": "script"} | settings)


async def chunks_of(client: openai.AsyncOpenAI, **settings: Any) -> list[Any]:
    return [chunk async for chunk in await ask(client, stream=True, **settings)]


async def test_a_question_is_answered(start: Start) -> None:
    client = await (await start(["Good day to you."])).client()

    answer = await ask(client)

    assert answer.object == "chat.completion"
    assert answer.model == "script"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content == "Good day to you."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == 5  # the end among them
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 5


async def test_a_stream_gives_the_same_in_pieces(start: Start) -> None:
    client = await (await start(["Good day to you."])).client()

    chunks = await chunks_of(client)

    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert deltas[0].role == "assistant"
    assert "".join(delta.content or "" for delta in deltas) == "Good day to you."
    assert len(chunks) > 4
    assert [chunk.choices[0].finish_reason for chunk in chunks][-2:] == [None, "stop"]
    assert all(chunk.usage is None for chunk in chunks)


async def test_usage_comes_last_in_a_stream_where_it_is_wanted(start: Start) -> None:
    client = await (await start(["Good day."])).client()

    chunks = await chunks_of(client, stream_options={"include_usage": True})

    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 3
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_reasoning_is_told_apart_from_the_answer(start: Start) -> None:
    client = await (await start(["<think>Hm.</think>Yes."] * 2)).client()

    answer = await ask(client)
    deltas = [chunk.choices[0].delta for chunk in await chunks_of(client)]

    assert answer.choices[0].message.content == "Yes."
    assert answer.choices[0].message.reasoning_content == "Hm."
    assert "".join(delta.content or "" for delta in deltas) == "Yes."
    assert "".join(getattr(delta, "reasoning_content", "") for delta in deltas) == "Hm."


CALL = 'I look. {"name": "weather", "arguments": {"city": "Paris"}}'


async def test_a_tool_call_is_given_with_its_arguments(start: Start) -> None:
    script = '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>'
    client = await (await start([script] * 2)).client()

    answer = await ask(client, tools=[WEATHER])
    chunks = await chunks_of(client, tools=[WEATHER])

    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert choice.message.tool_calls[0].function.name == "weather"
    assert json.loads(choice.message.tool_calls[0].function.arguments) == {"city": "Paris"}
    streamed = [call for c in chunks for call in c.choices[0].delta.tool_calls or []]
    assert [(call.index, call.function.name) for call in streamed] == [(0, "weather")]
    assert streamed[0].function.arguments == choice.message.tool_calls[0].function.arguments
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


async def test_results_of_tools_reach_the_model(start: Start) -> None:
    prompts = []
    client = await (await start(lambda prompt: prompts.append(prompt) or "31.")).client()
    call = {"id": "c1", "type": "function"} | {
        "function": {"name": "weather", "arguments": '{"city": "Paris"}'}
    }
    history = [
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "31 degrees"},
    ]

    answer = await ask(client, messages=history, tools=[WEATHER])

    assert answer.choices[0].message.content == "31."
    assert "Paris" in prompts[0]
    assert "31 degrees" in prompts[0]


async def test_without_tools_what_looks_like_a_call_is_text(start: Start) -> None:
    client = await (await start([CALL] * 2)).client()

    assert (await ask(client)).choices[0].message.content == CALL
    answer = await ask(client, tools=[WEATHER], tool_choice="none")
    assert answer.choices[0].message.content == CALL
    assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("is_stream", [False, True])
async def test_one_call_at_a_time_ends_the_answer_after_the_first(
    start: Start, is_stream: bool
) -> None:
    call = '<tool_call>{"name": "weather", "arguments": {"city": "%s"}}</tool_call>\n'
    script = call % "Paris" + call % "Rome" + "word " * 100
    client = await (await start([script])).client()

    settings: Any = {"tools": [WEATHER], "parallel_tool_calls": False}
    if is_stream:
        chunks = await chunks_of(client, **settings)
        calls = [call for c in chunks for call in c.choices[0].delta.tool_calls or []]
        reason = chunks[-1].choices[0].finish_reason
    else:
        choice = (await ask(client, **settings)).choices[0]
        calls, reason = choice.message.tool_calls, choice.finish_reason

    assert [call.function.arguments for call in calls] == ['{"city": "Paris"}']
    assert reason == "tool_calls"


async def test_a_call_of_a_strict_tool_that_does_not_fit_is_text(start: Start) -> None:
    script = '<tool_call>{"name": "weather", "arguments": {"town": "Paris"}}</tool_call>'
    client = await (await start([script] * 2)).client()
    strict = {**WEATHER, "function": {**WEATHER["function"], "strict": True}}

    loose = (await ask(client, tools=[WEATHER])).choices[0]
    choice = (await ask(client, tools=[strict])).choices[0]

    assert loose.finish_reason == "tool_calls"
    assert choice.finish_reason == "stop"
    assert choice.message.tool_calls is None
    assert "town" in choice.message.content


@pytest.mark.parametrize("wanted", ["required", {"type": "function", "function": {"name": "f"}}])
@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_required_call_is_valid_whatever_the_model(
    start: Start, wanted: Any, is_stream: bool
) -> None:
    client = await (await start()).client()
    tool = {**WEATHER, "function": {**WEATHER["function"], "name": "f"}}
    settings: Any = {
        "model": "tiny",
        "messages": [{"role": "user", "content": "a"}],
        "tools": [tool],
        "tool_choice": wanted,
        "max_tokens": 40,
        "seed": 1,
    }

    if is_stream:
        chunks = await chunks_of(client, **settings)
        calls = [call for c in chunks for call in c.choices[0].delta.tool_calls or []]
        assert not any(c.choices[0].delta.content for c in chunks)
    else:
        calls = (await ask(client, **settings)).choices[0].message.tool_calls

    assert [call.function.name for call in calls] == ["f"]
    arguments = json.loads(calls[0].function.arguments)
    assert list(arguments) == ["city"]
    assert isinstance(arguments["city"], str)


@pytest.mark.parametrize("said", [{}, {"parameters": None}, {"parameters": {}}])
@pytest.mark.parametrize("choice", ["required", "auto"])
async def test_a_tool_without_parameters_is_called_with_none(
    start: Start, said: Any, choice: str
) -> None:
    """OpenAI's API: leaving parameters out defines a function with an empty list of them."""
    client = await (await start()).client()
    tool = {"type": "function", "function": {"name": "now", **said}}

    answers = await asyncio.gather(
        *(
            ask(client, model="tiny", tools=[tool], tool_choice=choice, max_tokens=60, seed=seed)
            for seed in range(8)
        )
    )

    calls = [call for a in answers for call in a.choices[0].message.tool_calls or []]
    assert calls or choice == "auto"
    assert {call.function.arguments for call in calls} <= {"{}"}


@pytest.mark.parametrize("seed", [1, 2])
async def test_json_objects_are_objects(start: Start, seed: int) -> None:
    client = await (await start()).client()

    choice = (
        await ask(
            client,
            model="tiny",
            response_format={"type": "json_object"},
            max_tokens=40,
            seed=seed,
        )
    ).choices[0]

    assert isinstance(json.loads(choice.message.content), dict)
    assert choice.finish_reason == "stop"


class Person(BaseModel):
    name: str
    age: int


async def test_types_of_the_client_are_filled(start: Start) -> None:
    client = await (await start()).client()

    answer = await client.chat.completions.parse(
        model="tiny", messages=HELLO, response_format=Person, max_tokens=40, seed=3
    )

    assert isinstance(answer.choices[0].message.parsed, Person)


async def test_constraints_are_refused_where_the_backend_has_none(start: Start) -> None:
    client = await (await start(["x"] * 9)).client()

    with pytest.raises(openai.BadRequestError, match="cannot constrain") as refused:
        await ask(client, response_format={"type": "json_object"})
    assert refused.value.param == "response_format"
    with pytest.raises(openai.BadRequestError, match="cannot constrain") as refused:
        await ask(client, tools=[WEATHER], tool_choice="required")
    assert refused.value.param == "tool_choice"


async def test_log_probabilities_are_those_of_the_tokens(start: Start) -> None:
    client = await (await start()).client()

    choice = (
        await ask(client, model="tiny", logprobs=True, top_logprobs=2, max_tokens=8, temperature=0)
    ).choices[0]

    content = choice.logprobs.content
    assert len(content) == 8
    spelt = b"".join(bytes(entry.bytes) for entry in content)
    assert spelt.decode(errors="replace") == choice.message.content
    assert all(len(entry.top_logprobs) == 2 for entry in content)
    assert all(entry.logprob == entry.top_logprobs[0].logprob <= 0 for entry in content)


async def test_several_choices_differ_and_are_repeatable(start: Start) -> None:
    client = await (await start()).client()
    settings: Any = {"model": "tiny", "n": 3, "seed": 5, "max_tokens": 6}

    answer, again = await ask(client, **settings), await ask(client, **settings)
    chunks = await chunks_of(client, **settings)

    texts = [choice.message.content for choice in answer.choices]
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len(set(texts)) == 3
    assert [choice.message.content for choice in again.choices] == texts
    assert answer.usage.completion_tokens == 18
    streamed = ["", "", ""]
    for chunk in chunks:
        streamed[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert streamed == texts


async def test_stop_length_and_bias_are_followed(start: Start) -> None:
    client = await (await start(["one two three four"] * 2)).client()

    stopped = (await ask(client, stop="three")).choices[0]
    cut = (await ask(client, max_completion_tokens=2)).choices[0]
    assert (stopped.message.content, stopped.finish_reason) == ("one two ", "stop")
    assert (cut.message.content, cut.finish_reason) == ("one two", "length")

    real = await (await start()).client()
    settings: Any = {"model": "tiny", "temperature": 0, "max_tokens": 4, "logprobs": True}
    free = (await ask(real, **settings)).choices[0]
    biased = (await ask(real, **settings, logit_bias={"50": 100})).choices[0]
    assert len({entry.token for entry in biased.logprobs.content}) == 1
    assert biased.message.content != free.message.content


# What goes wrong elsewhere


async def test_calls_before_a_cut_are_given_and_the_cut_is_told(start: Start) -> None:
    script = '<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}</tool_call>' + " a" * 9
    client = await (await start([script] * 2)).client()

    for choice in (
        (await ask(client, tools=[WEATHER], max_tokens=7)).choices[0],
        (await chunks_of(client, tools=[WEATHER], max_tokens=7))[-1].choices[0],
    ):
        assert choice.finish_reason == "length"


async def test_calls_without_ids_are_read(start: Start) -> None:
    client = await (await start(["fine"])).client()
    call = {"id": None, "type": "function", "function": {"name": "weather", "arguments": ""}}
    history = [
        *HELLO,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": None, "content": "31"},
    ]

    assert (await ask(client, messages=history)).choices[0].message.content == "fine"


async def test_streams_have_log_probabilities(start: Start) -> None:
    client = await (await start()).client()
    settings: Any = {"model": "tiny", "logprobs": True, "max_tokens": 8, "temperature": 0}

    whole = (await ask(client, **settings)).choices[0].logprobs.content
    chunks = await chunks_of(client, **settings)

    streamed = [
        entry
        for chunk in chunks
        if chunk.choices[0].logprobs
        for entry in chunk.choices[0].logprobs.content
    ]
    assert streamed == whole


async def test_parts_of_characters_are_told_by_their_bytes(start: Start) -> None:
    served = await start()
    client = await served.client()
    async with served.registry.lease(served.configs["tiny"]) as engine:
        tokens = loaded_tokenizer(engine)
        assert tokens is not None
        vocabulary = vocabulary_for(tokens).tokens
        first, second = vocabulary.index(b"\xe4"), vocabulary.index(b"\xbd")
    bias = {"logit_bias": {str(first): 100, str(second): 100}}
    settings: Any = {"model": "tiny", "max_tokens": 6, "seed": 1, **bias}

    chat = (await ask(client, **settings, logprobs=True)).choices[0].logprobs.content
    text = (await client.completions.create(**settings, prompt="a", logprobs=20)).choices[0]

    assert {bytes(entry.bytes) for entry in chat} <= {b"\xe4", b"\xbd"}
    assert set(text.logprobs.tokens) <= {r"bytes:\xe4", r"bytes:\xbd"}
    assert all(len(top) == 20 for top in text.logprobs.top_logprobs)


async def test_templates_that_think_first_leave_constrained_answers_alone(start: Start) -> None:
    served = await start()
    client = await served.client()
    async with served.registry.lease(served.configs["tiny"]) as engine:
        tokens = loaded_tokenizer(engine)
        assert tokens is not None
        tokens.tokenizer.chat_template = (
            "{% for m in messages %}{{ m.content }}{% endfor %}"
            "{% if enable_thinking is not defined or enable_thinking %}<think>{% endif %}"
        )

    free = (await ask(client, model="tiny", max_tokens=8)).choices[0].message
    bound = (
        (await ask(client, model="tiny", max_tokens=40, response_format={"type": "json_object"}))
        .choices[0]
        .message
    )

    assert free.content == ""
    assert free.reasoning_content
    assert isinstance(json.loads(bound.content), dict)
    assert not hasattr(bound, "reasoning_content")
