"""What the small real model says on llama.cpp."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest

from agents.llm.chat import ChatMessage, render_chat
from agents.llm.dialogue import Dialogue, Sampling
from agents.llm.endpoint import create_app, serving
from agents.llm.engines import (
    Engine,
    EngineConfig,
    Finished,
    FinishReason,
    GenerationRequest,
    ModelRegistry,
    TextDelta,
)
from agents.llm.structured import grammar_of_type, vocabulary_for
from tests.llm.real.tasks import TIMER, Person, called, extracted, said
from tests.llm.structured.suite import TYPES
from tests.llm.structured.test_validity import Case, check, grammar_of

CAPITAL = "What is the capital of France? Answer in one sentence."
STORY = [{"role": "user", "content": "Tell me a long story about a dragon."}]
TRIED = [case for case in TYPES if case.refusal is None][::3]


async def test_a_chat_is_answered(llama: Engine) -> None:
    assert await said(llama, CAPITAL) == "The capital of France is Paris."
    assert await said(llama, "What is 2 + 3?") == "2 + 3 = 5"


async def test_what_was_said_before_is_known(llama: Engine) -> None:
    first = "What is the capital of France?"

    answer = await said(llama, first, "The capital of France is Paris.", "And of Italy?")

    assert answer == "The capital of Italy is Rome."


async def test_name_age_and_city_are_found_in_sentences(llama: Engine) -> None:
    assert sum(await extracted(llama, 5)) >= 3


@pytest.mark.long
async def test_name_age_and_city_are_found_in_most_of_twenty_sentences(llama: Engine) -> None:
    assert sum(await extracted(llama)) >= 17


async def test_the_arguments_of_a_given_tool_are_right(llama: Engine) -> None:
    assert await called(llama, every=4) == [True] * 5


@pytest.mark.long
async def test_the_arguments_of_twenty_calls_are_right(llama: Engine) -> None:
    assert await called(llama) == [True] * 20


async def test_what_is_streamed_is_the_whole(llama: Engine) -> None:
    prompt = render_chat(
        [ChatMessage(role="user", content="Name three fruits.")], llama.model.tokenizer
    )
    request = GenerationRequest(prompt_ids=prompt.ids, max_new_tokens=30, do_sample=False)

    *deltas, last = [event async for event in await llama.submit(request)]

    assert isinstance(last, Finished)
    assert last.reason is FinishReason.STOP
    texts = [delta.text for delta in deltas if isinstance(delta, TextDelta)]
    assert len(texts) > 8
    assert "".join(texts) == last.text == (await (await llama.submit(request)).result()).text


async def test_a_cancelled_answer_ends_and_its_slot_is_free(llama: Engine) -> None:
    request = GenerationRequest(prompt="Once upon a time", max_new_tokens=400)
    many = [await llama.submit(request) for _ in range(2)]
    for generation in many:
        await anext(aiter(generation))
        generation.cancel()

    assert {(await g.result()).reason for g in many} == {FinishReason.CANCELLED}
    assert llama.stats.active == 0
    assert await said(llama, "What is 2 + 3?") == "2 + 3 = 5"


@pytest.mark.parametrize("case", TRIED, ids=lambda case: case.name)
async def test_every_typed_answer_is_valid_at_any_temperature_and_budget(
    llama: Engine, case: Case
) -> None:
    grammar = grammar_of(case)
    compiled = grammar.compile(vocabulary_for(llama.model.tokenizer, llama.model.end_token_ids))
    generations = []
    for spare, temperature in ((0, 2.0), (12, 0.0)):
        budget = compiled.needed_tokens + spare
        request = GenerationRequest(
            prompt="As JSON:", max_new_tokens=budget, temperature=temperature, seed=spare
        )
        generations.append(await llama.submit(request, compiled.matcher(budget)))

    for generation in generations:
        text = (await generation.result()).text
        check(case, text)
        grammar.parse(text)


async def test_an_answer_without_end_is_closed_within_its_budget(llama: Engine) -> None:
    sampling = Sampling(max_new_tokens=60, do_sample=False)
    dialogue = Dialogue(llama, sampling, grammar=grammar_of_type(list[int]))
    count = ChatMessage(role="user", content="Write the numbers from 1 to 100 as a list in JSON.")

    answer = await dialogue.answer([count])

    assert answer.value[:10] == list(range(1, 11))
    assert 55 <= answer.usage.completion_tokens <= 60


@dataclass(frozen=True)
class Served:
    client: openai.AsyncOpenAI
    engine: Engine


@pytest.fixture
async def served(smollm2: Path) -> AsyncIterator[Served]:
    """The model behind the endpoint, one answer at a time."""
    config = EngineConfig(
        model=str(smollm2), backend="llamacpp", max_active=1, options={"threads": 1}
    )
    async with (
        ModelRegistry() as registry,
        registry.lease(config) as engine,
        serving(create_app({"smollm2": config}, registry)) as url,
        openai.AsyncOpenAI(base_url=url, api_key="unused", max_retries=0) as client,
    ):
        yield Served(client, engine)


async def test_the_endpoint_answers_the_openai_client(served: Served) -> None:
    async def ask(content: str, **settings: Any) -> Any:
        messages = [{"role": "user", "content": content}]
        settings = {"temperature": 0, "max_tokens": 40, "messages": messages, **settings}
        return await served.client.chat.completions.create(model="smollm2", **settings)

    chat = await ask(CAPITAL)
    stream = await ask(CAPITAL, stream=True)
    pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
    schema = {"name": "person", "schema": Person.model_json_schema()}
    person = await ask(
        "Peter is 33 and lives in Rome.",
        response_format={"type": "json_schema", "json_schema": schema},
    )
    call = await ask("Set a timer for 10 minutes.", tools=[TIMER], tool_choice="required")

    assert chat.choices[0].message.content == "".join(pieces)
    assert "Paris" in chat.choices[0].message.content
    assert Person.model_validate_json(person.choices[0].message.content).age == 33
    (function,) = call.choices[0].message.tool_calls
    assert function.function.arguments == '{"minutes": 10}'


async def test_a_client_that_goes_away_stops_the_model(served: Served) -> None:
    ask: Any = served.client.chat.completions.create
    stream = await ask(model="smollm2", messages=STORY, max_tokens=2000, stream=True)
    await anext(aiter(stream))
    await stream.close()

    # It is answered once the other one has ended.
    again = await ask(model="smollm2", messages=STORY, max_tokens=2)

    assert again.usage.completion_tokens == 2
    assert served.engine.stats.generated_tokens < 500
