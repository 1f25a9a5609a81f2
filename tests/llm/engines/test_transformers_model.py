"""The transformers backend against transformers itself."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from agents.llm.engines import EngineConfig, Finished, GenerationRequest, LLMInferenceError, decoder
from agents.llm.engines.errors import OutOfMemoryError
from agents.llm.engines.local_engine import LocalEngine
from agents.llm.engines.transformers_engine import create
from agents.llm.engines.transformers_model import TransformersModel
from tests.llm.engines.conftest import MakeEngine

PROMPTS = [
    "The benefits",
    "To be, or",
    "今日は",
    "naïve 🎉",
    "x",
    "messages, agents and topics. " * 4,
]


@pytest.fixture
def backend() -> str:
    return "transformers"


@pytest.fixture(scope="module")
def oracle(tiny_phi: Path) -> tuple[Any, Any]:
    tokenizer = AutoTokenizer.from_pretrained(tiny_phi)
    return AutoModelForCausalLM.from_pretrained(tiny_phi).eval(), tokenizer


def generate(oracle: tuple[Any, Any], prompt: str, new_tokens: int, **settings: Any) -> list[int]:
    model, tokenizer = oracle
    inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
    out = model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False, **settings)
    return out[0, inputs["input_ids"].shape[1] :].tolist()


async def answer(engine: LocalEngine, prompt: str, **settings: Any) -> Finished:
    request = GenerationRequest(prompt=prompt, **settings)
    return await (await engine.submit(request)).result()


@pytest.mark.parametrize("chunk", [512, 3])
async def test_greedy_equals_generate_token_for_token_in_any_company(
    make_engine: MakeEngine,
    oracle: tuple[Any, Any],
    chunk: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decoder, "READ_TOKENS", chunk)
    monkeypatch.setattr(decoder, "READ_TOKENS_BESIDE_ANSWERS", chunk)
    engine = make_engine(max_active=4)

    lengths = [40, 7, 25, 1, 60, 30]
    answers = await asyncio.gather(
        *(
            answer(engine, prompt, do_sample=False, max_new_tokens=n)
            for prompt, n in zip(PROMPTS, lengths, strict=True)
        )
    )

    for prompt, n, finished in zip(PROMPTS, lengths, answers, strict=True):
        assert list(finished.token_ids) == generate(oracle, prompt, n), prompt


async def test_the_text_is_what_the_tokenizer_decodes(
    engine: LocalEngine, oracle: tuple[Any, Any]
) -> None:
    _, tokenizer = oracle
    for prompt in PROMPTS:
        finished = await answer(engine, prompt, seed=3, max_new_tokens=40, temperature=1.5)
        both = tokenizer.decode([*tokenizer(prompt)["input_ids"], *finished.token_ids])
        assert prompt + finished.text == both


async def test_the_end_token_ends_the_answer_and_is_not_text(
    tiny_phi: Path, tmp_path: Path, oracle: tuple[Any, Any]
) -> None:
    ordinary = generate(oracle, "The benefits", 3)
    model = AutoModelForCausalLM.from_pretrained(tiny_phi)
    model.generation_config.eos_token_id = [0, ordinary[2]]
    model.save_pretrained(tmp_path)
    oracle[1].save_pretrained(tmp_path)
    engine = create(EngineConfig(model=str(tmp_path), device="cpu"))

    finished = await answer(engine, "The benefits", do_sample=False, max_new_tokens=40)
    await engine.close()

    assert finished.reason == "stop"
    assert list(finished.token_ids) == ordinary
    assert finished.text == oracle[1].decode(ordinary[:2])


async def test_special_tokens_are_not_text(engine: LocalEngine, oracle: tuple[Any, Any]) -> None:
    await engine.load()
    assert engine._worker is not None
    model = engine._worker.loaded.result()

    assert model.decode([0, 354, 0]) == oracle[1].decode([354])


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
async def test_a_seed_repeats_an_answer_alone_and_in_company(
    make_engine: MakeEngine, seed: int
) -> None:
    engine = make_engine(max_active=4)
    settings = {"seed": seed, "temperature": 1.5, "top_k": 0, "top_p": 1.0, "max_new_tokens": 30}
    alone = await answer(engine, "The benefits", **settings)

    company = [answer(engine, p, temperature=2.0, max_new_tokens=20) for p in PROMPTS[1:]]
    again, *_ = await asyncio.gather(answer(engine, "The benefits", **settings), *company)

    assert again.token_ids == alone.token_ids


async def test_equal_seeds_say_the_same_beside_each_other_and_beside_others_without_one(
    make_engine: MakeEngine,
) -> None:
    engine = make_engine(max_active=6)
    settings: dict[str, Any] = {"temperature": 2.0, "top_k": 0, "top_p": 1.0, "max_new_tokens": 30}
    seeds = [7, None, 7, 8, None, 7]

    said = await asyncio.gather(
        *(answer(engine, "The benefits", seed=seed, **settings) for seed in seeds)
    )

    assert said[0].token_ids == said[2].token_ids == said[5].token_ids
    assert len({finished.token_ids for finished in said}) == 4


async def test_another_seed_gives_another_answer(engine: LocalEngine) -> None:
    settings: dict[str, Any] = {"temperature": 2.0, "top_k": 0, "top_p": 1.0, "max_new_tokens": 30}
    first, second = [await answer(engine, "x", seed=seed, **settings) for seed in (0, 1)]

    assert first.token_ids != second.token_ids


async def test_without_a_seed_answers_differ(engine: LocalEngine) -> None:
    settings: dict[str, Any] = {"temperature": 2.0, "top_k": 0, "top_p": 1.0, "max_new_tokens": 30}
    first, second = [await answer(engine, "The benefits", **settings) for _ in range(2)]

    assert first.token_ids != second.token_ids


@pytest.mark.parametrize(
    "narrow", [{"top_k": 1}, {"top_p": 1e-6}, {"temperature": 0.0}, {"do_sample": False}]
)
async def test_sampling_that_leaves_one_candidate_is_greedy(
    engine: LocalEngine, oracle: tuple[Any, Any], narrow: dict[str, Any]
) -> None:
    finished = await answer(engine, "To be", max_new_tokens=20, **{"temperature": 2.0, **narrow})

    assert list(finished.token_ids) == generate(oracle, "To be", 20)


async def test_memory_counts_weights_and_the_caches_of_what_runs(engine: LocalEngine) -> None:
    await engine.load()
    idle = engine.stats.memory_bytes
    async with await engine.submit(GenerationRequest(prompt="The benefits")) as generation:
        await anext(aiter(generation))
        assert engine.stats.memory_bytes > idle
        generation.cancel()
        await generation.result()

    assert engine.stats.memory_bytes == idle


async def test_scores_that_are_no_numbers_fail_one_request_typed(engine: LocalEngine) -> None:
    await engine.load()
    model = _model_of(engine)
    weights = model.lm_head.weight.detach().clone()
    with torch.no_grad():
        model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(LLMInferenceError, match="not finite"):
        await answer(engine, "The benefits", max_new_tokens=3)

    with torch.no_grad():
        model.lm_head.weight.copy_(weights)
    assert (await answer(engine, "The benefits", max_new_tokens=3)).reason == "length"


@pytest.mark.parametrize(
    ("raised", "typed"),
    [(torch.OutOfMemoryError("no"), OutOfMemoryError), (RuntimeError("bad"), LLMInferenceError)],
)
async def test_a_forward_that_fails_for_one_request_leaves_the_others_alone(
    make_engine: MakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    raised: Exception,
    typed: type[Exception],
) -> None:
    engine = make_engine(max_active=4)
    await engine.load()
    model = _model_of(engine)
    forward = model.forward

    def fail_on_token_5(**inputs: Any) -> Any:
        if 5 in inputs["input_ids"]:
            raise raised
        return forward(**inputs)

    monkeypatch.setattr(model, "forward", fail_on_token_5)
    bad = await engine.submit(GenerationRequest(prompt_ids=(5,)))
    good = await engine.submit(GenerationRequest(prompt_ids=(7,), max_new_tokens=3, top_k=1))

    with pytest.raises(typed):
        await bad.result()
    assert (await good.result()).reason == "length"


def _model_of(engine: LocalEngine) -> Any:
    assert engine._worker is not None
    return engine._worker.loaded.result()._model._model  # behind the gate


def test_a_prompt_that_begins_with_the_token_of_the_beginning_does_not_get_a_second_one() -> None:
    class Tokenizer:
        bos_token_id = 1

        def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
            return {"input_ids": [1, *(1 if sign == "^" else 5 for sign in text)]}

    model = object.__new__(TransformersModel)
    model.tokenizer = Tokenizer()

    assert model.encode("^a") == [1, 5]
    assert model.encode("a") == [1, 5]
    assert model.encode("") == [1]
