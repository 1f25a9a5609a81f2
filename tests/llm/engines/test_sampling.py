"""Choosing tokens, against transformers' own processors."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from agents.llm.engines import GenerationRequest, LLMInferenceError
from agents.llm.engines.sampling import Choice, Sampler, choose
from tests.llm.engines.packing import pack_tokens

VOCAB_SIZE = 50


def logits(rows: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, VOCAB_SIZE, generator=torch.Generator().manual_seed(seed)) * 2


def sampler(constraint: Any = None, prompt_ids: Any = (0,), **settings: Any) -> Sampler:
    return Sampler(GenerationRequest(prompt_ids=(0,), **settings), prompt_ids, constraint)


def tokens(choices: list[Choice | Exception]) -> list[int]:
    assert all(isinstance(choice, Choice) for choice in choices), choices
    return [choice.token_id for choice in choices]


class Allows:
    """A constraint of some tokens, the same at each step."""

    is_finished = False

    def __init__(self, *token_ids: int) -> None:
        self._token_ids = token_ids

    def fill(self, words: Any) -> None:
        allowed = np.zeros(VOCAB_SIZE, dtype=bool)
        allowed[list(self._token_ids)] = True
        words[:] = pack_tokens(allowed)

    def accept(self, token_id: int) -> None:
        pass

    def forced(self) -> tuple[int, ...]:
        return ()


@pytest.mark.parametrize(
    ("settings", "warpers"),
    [
        ({"temperature": 0.5}, [TemperatureLogitsWarper(0.5)]),
        ({"temperature": 2.0, "top_k": 5}, [TemperatureLogitsWarper(2.0), TopKLogitsWarper(5)]),
        ({"temperature": 1.0, "top_p": 0.6}, [TopPLogitsWarper(0.6)]),
        ({"temperature": 1.0, "min_p": 0.2}, [MinPLogitsWarper(0.2)]),
        (
            {"temperature": 1.5, "top_k": 20, "top_p": 0.8, "min_p": 0.05},
            [
                TemperatureLogitsWarper(1.5),
                TopKLogitsWarper(20),
                TopPLogitsWarper(0.8),
                MinPLogitsWarper(0.05),
            ],
        ),
        ({"temperature": 1.0, "repetition_penalty": 1.8}, [RepetitionPenaltyLogitsProcessor(1.8)]),
    ],
)
def test_frequencies_are_those_of_transformers(
    settings: dict[str, Any], warpers: list[Any]
) -> None:
    seen, rows = [3, 7, 11], 4000
    one = logits(1)
    expected = LogitsProcessorList(warpers)(torch.tensor([seen]), one.clone()).softmax(-1)[0]
    plain = {"top_k": 0, "top_p": 1.0, **settings}
    samplers = [sampler(prompt_ids=seen, seed=seed, **plain) for seed in range(rows)]

    counts = Counter(tokens(choose(samplers, one.expand(rows, -1))))

    assert set(counts) <= set(expected.nonzero()[:, 0].tolist())
    for token_id, probability in enumerate(expected.tolist()):
        assert abs(counts[token_id] / rows - probability) < 0.03


def test_rows_of_all_kinds_in_one_batch_choose_what_they_choose_alone() -> None:
    kinds: list[dict[str, Any]] = [
        {"do_sample": False},
        {"seed": 1, "temperature": 2.0},
        {"seed": 2, "top_k": 0, "temperature": 1.3, "top_p": 1.0},
        {"temperature": 0.0, "repetition_penalty": 3.0},
        {"do_sample": False, "logit_bias": {9: 50.0}},
        {"seed": 3, "top_k": 7, "logit_bias": {4: -100.0}},
    ]
    scores = logits(len(kinds))

    together = tokens(choose([sampler(**kind) for kind in kinds], scores))
    alone = [
        tokens(choose([sampler(**kind)], scores[row : row + 1]))[0]
        for row, kind in enumerate(kinds)
    ]

    assert together == alone
    assert together[4] == 9


def test_a_token_with_the_bias_minus_100_is_not_chosen() -> None:
    scores = logits(1)
    best = int(scores.argmax())

    assert tokens(choose([sampler(do_sample=False, logit_bias={best: -100.0})], scores)) != [best]


@pytest.mark.parametrize("settings", [{"do_sample": False}, {"temperature": 2.0, "top_k": 0}])
def test_a_constraint_leaves_nothing_but_what_it_allows(settings: dict[str, Any]) -> None:
    samplers = [sampler(Allows(4, 40), seed=seed, **settings) for seed in range(50)]

    chosen = tokens(choose(samplers, logits(50)))

    assert set(chosen) <= {4, 40}
    assert len(set(chosen)) == 2


def test_a_constraint_that_allows_nothing_or_raises_fails_its_own_row() -> None:
    class Raises(Allows):
        def fill(self, words: Any) -> None:
            raise RuntimeError("lost the thread")

    rows = [sampler(Allows()), sampler(Raises()), sampler(Allows(5))]
    nothing, raised, good = choose(rows, logits(3))

    assert isinstance(nothing, LLMInferenceError)
    assert "no token" in str(nothing)
    assert isinstance(raised, RuntimeError)
    assert good == Choice(5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_fail_their_own_row(bad: float) -> None:
    scores = logits(3)
    scores[1, 7] = bad

    first, second, third = choose([sampler(seed=1) for _ in range(3)], scores)

    assert isinstance(second, LLMInferenceError)
    assert isinstance(first, Choice)
    assert isinstance(third, Choice)


def test_minus_infinity_is_a_score_that_forbids() -> None:
    scores = logits(1)
    scores[0, :40] = -torch.inf

    assert tokens(choose([sampler(seed=1)], scores))[0] >= 40


@pytest.mark.parametrize("temperature", [1e-308, 1e-9, 2.0])
def test_extreme_temperatures_choose_a_token(temperature: float) -> None:
    scores = logits(1)
    chosen = tokens(choose([sampler(temperature=temperature, seed=0)], scores))

    assert temperature == 2.0 or chosen == [int(scores.argmax())]


def test_logprobs_are_those_of_the_model_whatever_is_done_to_its_scores() -> None:
    scores = logits(2)
    expected = scores.log_softmax(-1)
    rows = [
        sampler(do_sample=False, logprobs=3, logit_bias={8: 90.0}),
        sampler(do_sample=False),
    ]

    asked, unasked = choose(rows, scores)

    assert isinstance(asked, Choice)
    assert isinstance(unasked, Choice)
    assert asked.logprobs is not None
    assert asked.token_id == asked.logprobs.token_id == 8
    assert asked.logprobs.logprob == pytest.approx(float(expected[0, 8]), abs=1e-5)
    values, ids = expected[0].topk(3)
    assert [token_id for token_id, _ in asked.logprobs.top] == ids.tolist()
    assert [value for _, value in asked.logprobs.top] == pytest.approx(values.tolist(), abs=1e-5)
    assert unasked.logprobs is None
