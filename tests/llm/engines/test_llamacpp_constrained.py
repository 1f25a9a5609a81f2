"""Constrained answers of llama.cpp: what differs from other backends, and must not show."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.llm.engines import EngineConfig, Finished, FinishReason, GenerationRequest
from agents.llm.engines.errors import LLMInferenceError
from agents.llm.engines.factory import create_engine
from agents.llm.engines.llamacpp_constrained import ConstrainedAnswer
from agents.llm.engines.llamacpp_model import LlamaModel
from agents.llm.engines.llamacpp_slots import Slots
from agents.llm.engines.local_engine import LocalEngine
from agents.llm.structured import CompiledGrammar, Grammar, grammar_of_choice, grammar_of_regex
from agents.llm.structured.vocabulary import vocabulary_for
from tests.llm.engines.tiny_gguf import save_tiny_gguf
from tests.llm.engines.tiny_mamba import save_tiny_mamba

WILD: dict[str, Any] = {"temperature": 2.0, "top_k": 0, "top_p": 1.0}
WORDS = ["ö", "ü", "é", "今日", "今晩", "🎉", "🎈"]


@pytest.fixture(scope="module")
def roomy_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_gguf(tmp_path_factory.mktemp("models") / "roomy.gguf", context_window=2048)


@pytest.fixture
async def engine(roomy_gguf: Path) -> AsyncIterator[LocalEngine]:
    engine = create_engine(
        EngineConfig(
            model=str(roomy_gguf), backend="llamacpp", max_active=2, options={"threads": 1}
        )
    )
    assert isinstance(engine, LocalEngine)
    await engine.load()
    yield engine
    await engine.close()


def compiled(engine: LocalEngine, grammar: Grammar) -> CompiledGrammar:
    return grammar.compile(vocabulary_for(engine.model.tokenizer, engine.model.end_token_ids))


async def ask(engine: LocalEngine, grammar: Grammar, **settings: Any) -> Finished:
    settings = {"prompt": "The ben", "max_new_tokens": 40, **settings}
    matcher = compiled(engine, grammar).matcher(settings["max_new_tokens"])
    return await (await engine.submit(GenerationRequest(**settings), matcher)).result()


class Watched:
    """Notes how many tokens llama.cpp read for each token it chose."""

    def __init__(self, engine: LocalEngine) -> None:
        self.read: list[int] = []
        self.bodies: list[Any] = []
        model = engine._model()
        assert isinstance(model, LlamaModel)
        self._ask = model.ask
        model.ask = self.ask  # type: ignore[method-assign]

    def ask(self, body: Any) -> Any:
        self.bodies.append(body)
        told = self._ask(body)
        self.read.append(told["timings"]["prompt_n"])
        return told


async def test_a_token_costs_the_reading_of_one_whoever_answers_beside_it(
    engine: LocalEngine,
) -> None:
    watched = Watched(engine)
    prompt = "The ben" * 100
    beside = [
        await engine.submit(GenerationRequest(prompt=prompt, max_new_tokens=8, seed=n))
        for n in range(6)
    ]

    finished = await ask(engine, grammar_of_regex("[a-z]{30}"), prompt=prompt)

    assert len(finished.text) == 30
    assert len(watched.read) >= 15
    assert max(watched.read[1:]) == 1
    for generation in beside:
        assert (await generation.result()).reason is FinishReason.LENGTH


async def test_forced_text_is_read_at_once_and_never_asked_for(engine: LocalEngine) -> None:
    watched = Watched(engine)

    finished = await ask(engine, grammar_of_regex("[ab]cccccccccccccccccccc[ab]"))

    assert len(finished.text) == 22
    assert len(watched.read) == 2
    assert watched.read[1] == 21


async def test_a_model_that_takes_no_token_back_reads_each_once(tmp_path: Path) -> None:
    path = save_tiny_mamba(tmp_path / "mamba.gguf")
    engine = create_engine(
        EngineConfig(model=str(path), backend="llamacpp", max_active=1, options={"threads": 1})
    )
    assert isinstance(engine, LocalEngine)
    await engine.load()
    watched = Watched(engine)

    finished = await ask(engine, grammar_of_regex("[a-z]{9}c{20}[a-z]{9}"), prompt="The ben" * 150)
    await engine.close()

    assert len(finished.text) == 38
    assert sorted(watched.read)[-2:] == [1, 21]  # what is forced is read with the next one


async def test_no_grammar_of_a_user_ever_reaches_llama_cpp(engine: LocalEngine) -> None:
    watched = Watched(engine)

    await ask(engine, grammar_of_regex("[a-z]{5}"))

    assert watched.bodies
    assert not any("grammar" in body or "json_schema" in body for body in watched.bodies)


@pytest.mark.parametrize("penalty", [1.0, 1.3])
async def test_parts_of_characters_are_chosen_exactly(engine: LocalEngine, penalty: float) -> None:
    grammar = grammar_of_choice(WORDS)
    said = set()

    for seed in range(20):
        finished = await ask(engine, grammar, seed=seed, repetition_penalty=penalty, **WILD)
        said.add(finished.text)
        spelt = b"".join(engine.model.tokenizer.token_bytes[i] for i in finished.token_ids)
        assert spelt.decode() == finished.text

    assert said <= set(WORDS)
    assert len(said) > 3


@pytest.mark.parametrize("penalty", [1.0, 1.5])
@pytest.mark.parametrize("pattern", ["[ab]{12}", "[^a]{12}"], ids=["few", "many"])
async def test_a_bias_moves_what_is_allowed_and_nothing_else(
    engine: LocalEngine, pattern: str, penalty: float
) -> None:
    a, b, c = (engine.model.tokenizer.token_bytes.index(sign) for sign in (b"a", b"b", b"c"))
    wanted, forbidden = (b, c) if "[ab]" in pattern else (c, a)

    finished = await ask(
        engine,
        grammar_of_regex(pattern),
        do_sample=False,
        repetition_penalty=penalty,
        logit_bias={wanted: 60.0, forbidden: 100.0},
    )

    # A strong penalty may bring a token down again that was said before.
    assert finished.token_ids[0] == wanted
    assert forbidden not in finished.token_ids


async def test_a_seed_repeats_an_answer_alone_and_in_company(engine: LocalEngine) -> None:
    grammar = grammar_of_regex("[a-z]{20}")
    alone = await ask(engine, grammar, seed=7, **WILD)

    together = await asyncio.gather(*(ask(engine, grammar, seed=n, **WILD) for n in (7, 8, 7)))

    assert [each.text == alone.text for each in together] == [True, False, True]
    unseeded = [(await ask(engine, grammar, **WILD)).text for _ in range(2)]
    assert unseeded[0] != unseeded[1]


@pytest.mark.parametrize("temperature", [1e-5, 1e-7, 1e-36, 1e-38, 5e-324])
async def test_the_tiniest_temperature_takes_the_likeliest(
    engine: LocalEngine, temperature: float
) -> None:
    grammar = grammar_of_regex("[a-z]{9}")
    cold: dict[str, Any] = {
        "temperature": temperature,
        "top_k": 0,
        "top_p": 1.0,
        "max_new_tokens": 9,
    }

    likeliest: dict[str, Any] = {"do_sample": False, "max_new_tokens": 9}
    kept = [await ask(engine, grammar, **settings) for settings in (likeliest, cold)]
    free = [
        await (await engine.submit(GenerationRequest(prompt="The ben", **settings))).result()
        for settings in (likeliest, cold)
    ]

    assert kept[0].token_ids == kept[1].token_ids
    assert free[0].token_ids == free[1].token_ids


async def test_an_end_token_ends_an_answer_that_may_go_on(engine: LocalEngine) -> None:
    (end,) = engine.model.end_token_ids

    finished = await ask(engine, grammar_of_regex("ab[a-z]*"), logit_bias={end: 100.0})

    assert (finished.text, finished.reason) == ("ab", FinishReason.STOP)
    assert finished.token_ids[-1] == end


async def test_a_constrained_answer_is_cancelled_while_its_prompt_is_read(
    engine: LocalEngine,
) -> None:
    model, progress, is_read, has_ended = engine._model(), [], asyncio.Event(), threading.Event()
    assert isinstance(model, LlamaModel)
    read, end, loop = model.read, model.end, asyncio.get_running_loop()

    def watched_read(body: str, receive: Any) -> None:
        def note(piece: str) -> bool:
            progress.append(json.loads(piece)["prompt_progress"])
            loop.call_soon_threadsafe(is_read.set)
            assert has_ended.wait(20)
            return bool(receive(piece))

        read(body, note)

    def watched_end(state: Any) -> None:
        end(state)
        has_ended.set()

    model.read, model.end = watched_read, watched_end  # type: ignore[method-assign]
    grammar = grammar_of_regex("[a-z]{30}")
    request = GenerationRequest(prompt="The ben" * 600, max_new_tokens=40)
    generation = await engine.submit(request, compiled(engine, grammar).matcher(40))
    await is_read.wait()
    generation.cancel()

    assert (await generation.result()).reason is FinishReason.CANCELLED
    assert len((await ask(engine, grammar)).text) == 30
    assert progress[-1]["processed"] < progress[-1]["total"]


async def test_what_was_read_before_is_not_read_again(engine: LocalEngine) -> None:
    grammar, prompt = grammar_of_regex("[a-z]{3}"), "The ben" * 60
    before = await ask(engine, grammar, prompt=prompt, do_sample=False)

    after = await ask(engine, grammar, prompt=prompt, do_sample=False)

    assert (before.cached_tokens, after.text) == (0, before.text)
    assert after.cached_tokens > 100


async def test_a_constraint_that_allows_nothing_is_an_error(engine: LocalEngine) -> None:
    class Nothing:
        is_finished = False

        def fill(self, words: Any) -> None:
            words[:] = 0

        def accept(self, token_id: int) -> None: ...
        def forced(self) -> tuple[int, ...]:
            return ()

    request = GenerationRequest(prompt="The", max_new_tokens=4)
    with pytest.raises(LLMInferenceError, match="allows no token"):
        await (await engine.submit(request, Nothing())).result()


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"tokens": [5], "timings": {"cache_n": 0}}, "chose the token 5 that was forbidden"),
        ({"tokens": [], "timings": {"cache_n": 0}}, "ValueError"),
        ({}, "KeyError"),
    ],
)
async def test_a_server_that_does_not_keep_to_it_is_an_error_and_no_invalid_answer(
    engine: LocalEngine, told: Any, said: str
) -> None:
    model = engine._model()
    assert isinstance(model, LlamaModel)
    model.ask = lambda _: told  # type: ignore[method-assign]
    token = engine.model.tokenizer.token_bytes.index

    assert token(b"&") == 5
    with pytest.raises(LLMInferenceError, match=said):
        await ask(engine, grammar_of_regex("[a-z]{5}"))


def test_the_shorter_list_says_what_may_come() -> None:
    answer = object.__new__(ConstrainedAnswer)
    answer._bias = {1: 2.0, 9: 3.0}
    answer._body = {"repeat_penalty": 1.0}

    def bias(allowed: Sequence[int]) -> Any:
        mask = np.zeros(10, dtype=bool)
        mask[list(allowed)] = True
        return answer._bias_for(mask, np.flatnonzero(mask))

    assert bias([1, 2]) == [[1, 502.0], [2, 500.0]]
    assert bias(range(8)) == [[8, False], [9, False], [1, 2.0]]
    answer._body = {"repeat_penalty": 1.1}
    assert bias([1, 2]) == [[i, False] for i in (0, *range(3, 10))] + [[1, 2.0]]


def test_a_slot_that_knows_the_beginning_is_preferred_to_a_fresh_one() -> None:
    slots = Slots(3)
    first = slots.take(range(100))
    assert slots.take(range(100)) != first  # it is taken
    slots.give_back(first)

    assert slots.take([*range(50), 7, 8]) == first
    slots.give_back(first)
    fresh = slots.take(range(500, 600))

    assert fresh != first
    slots.give_back(fresh)
    assert slots.take([500, 1, *range(98)]) == first  # hardly shared: the one longest free
