"""Constraints inside the engine: forced tokens, ends and failures."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from agents.llm.engines import Finished, FinishReason, GenerationRequest
from agents.llm.engines.errors import InvalidRequestError, LLMInferenceError
from agents.llm.engines.local_engine import LocalEngine
from agents.llm.engines.scripted import scripted_engine
from tests.llm.engines.packing import pack_tokens

PROMPT = (40, 41, 42)


VOCAB_SIZES = {"transformers": 379, "llamacpp": 262}


@pytest.fixture(params=VOCAB_SIZES)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def vocab_size(backend: str) -> int:
    return VOCAB_SIZES[backend]


@pytest.fixture(scope="module")
def phi(tiny_phi: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_phi).eval()


Greedy = Callable[[Sequence[set[int]]], Awaitable[list[int]]]


@pytest.fixture
def greedy(backend: str, engine: LocalEngine, phi: Any) -> Greedy:
    """What a model says by itself that is asked for one allowed token after the other."""

    def best_of_phi(ids: Sequence[int], choice: set[int]) -> int:
        with torch.inference_mode():
            scores = phi(torch.tensor([ids])).logits[0, -1]
        return max(choice, key=lambda token_id: float(scores[token_id]))

    async def best_of_llama(ids: Sequence[int], choice: set[int]) -> int:
        bias = dict.fromkeys(choice, 100.0) if len(choice) < VOCAB_SIZES[backend] else {}
        said = await say(engine, None, prompt_ids=ids, max_new_tokens=1, logit_bias=bias)
        return said.token_ids[0]

    async def greedy(choices: Sequence[set[int]]) -> list[int]:
        ids = list(PROMPT)
        for choice in choices:
            is_llama = backend == "llamacpp"
            ids.append(await best_of_llama(ids, choice) if is_llama else best_of_phi(ids, choice))
        return ids[len(PROMPT) :]

    return greedy


class Spelled:
    """Wants each token out of a set; where the set has one token only, it is forced."""

    def __init__(self, choices: Sequence[set[int]], vocab_size: int, *, then_end: bool) -> None:
        self.accepted: list[int] = []
        self._choices = list(choices)
        self._vocab_size = vocab_size
        self._then_end = then_end

    @property
    def is_finished(self) -> bool:
        return self._then_end and len(self.accepted) == len(self._choices)

    def fill(self, words: Any) -> None:
        allowed = np.ones(self._vocab_size, dtype=bool)
        if len(self.accepted) < len(self._choices):
            allowed[:] = False
            allowed[list(self._choices[len(self.accepted)])] = True
        words[:] = pack_tokens(allowed)

    def accept(self, token_id: int) -> None:
        if len(self.accepted) < len(self._choices):
            assert token_id in self._choices[len(self.accepted)]
        self.accepted.append(token_id)

    def forced(self) -> tuple[int, ...]:
        forced = []
        for choice in self._choices[len(self.accepted) :]:
            if len(choice) > 1:
                break
            forced += choice
        return tuple(forced)


async def say(engine: LocalEngine, constraint: Any, **settings: Any) -> Finished:
    request = GenerationRequest(**{"prompt_ids": PROMPT, "do_sample": False, **settings})
    return await (await engine.submit(request, constraint)).result()


SPELLINGS = {
    "nothing forced": [{5, 6}, {7, 8, 9}, {10, 11}],
    "two forced": [{5, 6}, {7}, {8}, {10, 11}, {3, 4}],
    "many forced": [{5, 6}, *({i} for i in range(20, 40)), {10, 11, 12}, {50, 51}],
    "forced first": [*({i} for i in range(30, 38)), {10, 11, 12}, {1, 2, 3}],
    "forced everywhere": [{9}, {5, 6}, {7}, {1, 2}, *({i} for i in range(60, 66)), {3, 4}],
    "all forced": [{5}, {6}, {7}],
}


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_an_answer_is_what_the_model_says_token_by_token(
    engine: LocalEngine, greedy: Greedy, vocab_size: int, spelling: str
) -> None:
    choices = SPELLINGS[spelling]
    constraint = Spelled(choices, vocab_size, then_end=True)
    await engine.submit(GenerationRequest(prompt_ids=(3, 4), max_new_tokens=60))

    finished = await say(engine, constraint, max_new_tokens=60)

    assert list(finished.token_ids) == await greedy(choices)
    assert finished.reason is FinishReason.STOP
    assert constraint.accepted == list(finished.token_ids)


async def test_after_forced_tokens_the_model_goes_on_as_if_it_had_said_them(
    engine: LocalEngine, greedy: Greedy, vocab_size: int
) -> None:
    company = [
        await engine.submit(GenerationRequest(prompt_ids=(9,) * n, max_new_tokens=60))
        for n in (3, 9, 30)
    ]
    choices = [{5, 6}, *({i} for i in range(20, 30)), *[set(range(vocab_size))] * 15]
    constraint = Spelled(choices[:11], vocab_size, then_end=False)

    finished = await say(engine, constraint, max_new_tokens=26)

    assert list(finished.token_ids) == await greedy(choices)
    for generation in company:
        assert len((await generation.result()).token_ids) == 60


async def test_forced_tokens_do_not_exceed_the_limit(engine: LocalEngine, vocab_size: int) -> None:
    constraint = Spelled([{i} for i in range(20, 60)], vocab_size, then_end=True)

    finished = await say(engine, constraint, max_new_tokens=10)

    assert finished.token_ids == tuple(range(20, 30))
    assert finished.reason is FinishReason.LENGTH


async def test_each_token_of_a_constrained_answer_has_its_logprobs(
    engine: LocalEngine, vocab_size: int
) -> None:
    constraint = Spelled(SPELLINGS["forced everywhere"], vocab_size, then_end=True)

    finished = await say(engine, constraint, logprobs=2, max_new_tokens=30)

    assert [entry.token_id for entry in finished.logprobs] == list(finished.token_ids)
    assert finished.logprobs[0].logprob == 0.0
    assert finished.logprobs[1].logprob < 0.0
    assert len(finished.logprobs[1].top) == 2


@pytest.mark.parametrize("method", ["fill", "accept", "forced"])
async def test_a_constraint_that_raises_fails_its_own_request(
    engine: LocalEngine, vocab_size: int, method: str
) -> None:
    other = await engine.submit(GenerationRequest(prompt_ids=PROMPT, max_new_tokens=30))
    constraint = Spelled([{5, 6}, {7, 8}, {9, 10}], vocab_size, then_end=True)

    def fail(*_: Any) -> Any:
        raise RuntimeError("lost the thread")

    setattr(constraint, method, fail)

    with pytest.raises(LLMInferenceError, match="lost the thread"):
        await say(engine, constraint, max_new_tokens=30)
    assert len((await other.result()).token_ids) == 30


async def test_a_backend_without_scores_refuses_a_constraint() -> None:
    engine = scripted_engine(lambda _: "word")
    constraint = Spelled([{5}], 379, then_end=True)

    generation = await engine.submit(GenerationRequest(prompt="x"), constraint)
    with pytest.raises(InvalidRequestError, match="constraint"):
        await generation.result()
    await engine.close()
