"""What is accepted is valid on llama.cpp, too, and means the same as on transformers."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.llm.chat import ChatMessage
from agents.llm.dialogue import Answer, Dialogue, Sampling, grammar_of_format
from agents.llm.engines import (
    Engine,
    EngineConfig,
    Finished,
    FinishReason,
    GenerationRequest,
    create_engine,
)
from agents.llm.engines.errors import ContextOverflowError, InvalidRequestError
from agents.llm.engines.local_engine import LocalEngine
from agents.llm.structured import BudgetTooSmallError, Grammar, grammar_of_type, vocabulary_for
from tests.llm.engines.tiny_gguf import save_tiny_gguf
from tests.llm.structured.suite import Case, Person
from tests.llm.structured.test_validity import ACCEPTED, check, grammar_of

SPARE_TOKENS = (0, 3, 60)
TEMPERATURES = (0.0, 2.0)
TEMPLATE = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[answer]"
HELLO = [ChatMessage(role="user", content="Hi")]
SEARCH: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "search",
        "parameters": {
            "type": "object",
            "properties": {"query": {"type": "string"}, "limit": {"type": "integer"}},
            "required": ["query", "limit"],
        },
    },
}
OTHER = {"type": "function", "function": {"name": "stop", "parameters": {"type": "object"}}}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    """A random model, which would say anything."""
    path = tmp_path_factory.mktemp("models") / "talking.gguf"
    save_tiny_gguf(path, tokenizer__chat_template=TEMPLATE, context_window=2048)
    config = EngineConfig(model=str(path), backend="llamacpp", max_active=4, options={"threads": 1})
    yield from loaded(config)


@pytest.fixture(scope="module")
def phi(tiny_chat: Path) -> Iterator[LocalEngine]:
    yield from loaded(EngineConfig(model=str(tiny_chat), device="cpu"))


def loaded(config: EngineConfig) -> Iterator[LocalEngine]:
    engine = create_engine(config)
    assert isinstance(engine, LocalEngine)
    asyncio.run(engine.load())
    yield engine
    asyncio.run(engine.close())


async def answers(engine: LocalEngine, grammar: Grammar) -> list[Finished]:
    """At every temperature and budget, all at once."""
    vocabulary = vocabulary_for(engine.model.tokenizer, engine.model.end_token_ids)
    compiled = grammar.compile(vocabulary)
    generations = []
    for spare in SPARE_TOKENS:
        for temperature in TEMPERATURES:
            budget = compiled.needed_tokens + spare
            request = GenerationRequest(
                prompt="A thing:", max_new_tokens=budget, temperature=temperature, seed=spare
            )
            generations.append(await engine.submit(request, compiled.matcher(budget)))
    return [await generation.result() for generation in generations]


def dialogue(engine: Engine, *, new_tokens: int = 60, seed: int = 0, **settings: Any) -> Dialogue:
    sampling = Sampling(max_new_tokens=new_tokens, temperature=1.5, top_k=0, top_p=1.0, seed=seed)
    return Dialogue(engine, sampling, **settings)


async def formatted(engine: Engine, wanted: dict[str, Any], **settings: Any) -> Answer:
    grammar = grammar_of_format(wanted)
    return await dialogue(engine, grammar=grammar, **settings).answer(HELLO)


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.name)
async def test_a_random_gguf_writes_valid_instances_only(case: Case, llama: LocalEngine) -> None:
    grammar = grammar_of(case)

    for finished in await answers(llama, grammar):
        check(case, finished.text)
        grammar.parse(finished.text)


@pytest.mark.parametrize(
    ("wanted", "values"),
    [
        ({"type": "regex", "regex": "[a-c]{2}(-[0-9]+)?"}, None),
        ({"type": "choice", "choice": ["red", "größe", "今日"]}, {"red", "größe", "今日"}),
        ({"type": "lark", "lark": 'start: "(" start ")" | "x"'}, None),
        ({"type": "json_object"}, None),
    ],
    ids=lambda value: value.get("type") if isinstance(value, dict) else "",
)
async def test_every_kind_of_form_is_kept(
    llama: LocalEngine, wanted: dict[str, Any], values: set[str] | None
) -> None:
    grammar = grammar_of_format(wanted)
    assert grammar is not None

    for seed in range(5):
        answer = await formatted(llama, wanted, seed=seed)
        assert answer.finish_reason is FinishReason.STOP
        assert answer.value == grammar.parse(answer.parsed.text)
        assert values is None or answer.value in values


async def test_a_type_comes_back_as_an_instance(llama: LocalEngine, phi: LocalEngine) -> None:
    for engine in (llama, phi):
        answer = await dialogue(engine, grammar=grammar_of_type(Person)).answer(HELLO)

        assert isinstance(answer.value, Person)


@pytest.mark.parametrize("choice", ["required", "search"])
async def test_a_call_is_one_of_a_tool_with_arguments_that_fit(
    llama: LocalEngine, choice: str
) -> None:
    for seed in range(10):
        talk = dialogue(llama, seed=seed, tools=[SEARCH, OTHER], tool_choice=choice)
        (call,) = (await talk.answer(HELLO)).parsed.tool_calls

        assert call.name in ({"search"} if choice == "search" else {"search", "stop"})
        if call.name == "search":
            assert isinstance(call.arguments["query"], str)
            assert isinstance(call.arguments["limit"], int)


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ({"type": "regex", "regex": "a{200}"}, BudgetTooSmallError),
        ({"type": "json_schema", "json_schema": {"schema": {"contains": {}}}}, InvalidRequestError),
        ({"type": "regex", "regex": "(a)\\1"}, InvalidRequestError),
        ({"type": "lark", "lark": 'start: ( "a"'}, InvalidRequestError),
        ({"type": "lark", "lark": "start: start"}, InvalidRequestError),
        ({"type": "regex", "regex": "(" * 3000 + "a" + ")" * 3000}, InvalidRequestError),
        (
            {"type": "lark", "lark": "start: " + "(" * 9000 + '"a"' + ")" * 9000},
            InvalidRequestError,
        ),
        ({"type": "regex", "regex": "((a{0,1000}){0,1000}){0,1000}b"}, InvalidRequestError),
        ({"type": "choice", "choice": []}, InvalidRequestError),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_both_backends_refuse_the_same_before_anything_is_generated(
    llama: LocalEngine, phi: LocalEngine, wanted: dict[str, Any], error: type[Exception]
) -> None:
    said = []
    for engine in (llama, phi):
        before = engine.stats.generated_tokens
        with pytest.raises(error) as refused:
            await formatted(engine, wanted)
        assert engine.stats.generated_tokens == before
        said.append((type(refused.value), engine.stats.active))

    assert said[0] == said[1]
    assert (await formatted(llama, {"type": "regex", "regex": "ab"})).value == "ab"


async def test_a_large_grammar_neither_hangs_nor_breaks_the_server(llama: LocalEngine) -> None:
    words = [f"word {n:05d} {'x' * (n % 40)}" for n in range(5000)]
    deep: dict[str, Any] = {"type": "null"}
    for _ in range(40):
        deep = {"type": "array", "items": deep, "minItems": 1, "maxItems": 2}

    chosen = await formatted(llama, {"type": "choice", "choice": words})
    nested = await formatted(
        llama, {"type": "json_schema", "json_schema": {"schema": deep}}, new_tokens=200
    )

    assert chosen.value in words
    assert str(nested.value).startswith("[" * 40)


async def test_a_prompt_that_leaves_no_room_is_refused(llama: LocalEngine) -> None:
    long = [ChatMessage(role="user", content="x" * 2040)]

    with pytest.raises(ContextOverflowError):
        await dialogue(llama, new_tokens=40, grammar=grammar_of_type(Person)).answer(long)
