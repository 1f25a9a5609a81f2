"""Choosing the next tokens of all rows of a batch. Suffixes: B batch, V vocabulary, K candidates.

What a row asks for is done in the order that transformers has: bias, repetition penalty,
temperature, top-k, top-p, min-p. Sampling happens in double precision on the CPU with a random
state for each request, so that a seed means the same on every device and in any company.
"""

# ruff: noqa: N803, N806  shape suffixes in names

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agents.llm.engines.constraint import Constraint
from agents.llm.engines.errors import LLMInferenceError
from agents.llm.engines.generation import TokenLogprobs
from agents.llm.engines.request import GenerationRequest
from agents.llm.engines.token_bits import allowed_tokens, words_for


@dataclass(frozen=True, slots=True)
class Choice:
    """A token, and how likely it was where the request asks for that."""

    token_id: int
    logprobs: TokenLogprobs | None = None


class Sampler:
    """What one request asks for, with its random state and the tokens it has seen."""

    def __init__(
        self,
        request: GenerationRequest,
        prompt_ids: Sequence[int] = (),
        constraint: Constraint | None = None,
    ) -> None:
        self.request = request
        self.constraint = constraint
        self.random = random.Random(request.seed)  # noqa: S311  not for secrets
        self._seen: set[int] | None = set(prompt_ids) if request.repetition_penalty != 1 else None
        self.changes_scores = bool(request.logit_bias) or self._seen is not None

    def accept(self, token_id: int) -> None:
        """Count a token as seen."""
        if self._seen is not None:
            self._seen.add(token_id)

    def adjust(self, scores_V: Tensor) -> None:
        """Apply bias and repetition penalty in place."""
        if self.request.logit_bias:
            ids = torch.tensor(list(self.request.logit_bias), device=scores_V.device)
            bias = torch.tensor(list(self.request.logit_bias.values()), device=scores_V.device)
            scores_V[ids] += bias
        if self._seen:
            penalty = self.request.repetition_penalty
            ids = torch.tensor(sorted(self._seen), device=scores_V.device)
            seen = scores_V[ids]
            scores_V[ids] = torch.where(seen < 0, seen * penalty, seen / penalty)


def choose(samplers: Sequence[Sampler], logits_BV: Tensor) -> list[Choice | Exception]:
    """The next token of each row, or what is wrong with that row."""
    best_B, ids_B = logits_BV.max(dim=-1)
    errors: dict[int, Exception] = {}
    for row, is_finite in enumerate(torch.isfinite(best_B).tolist()):
        if not is_finite:
            text = "the model's scores are not finite: try another dtype, or get it again"
            errors[row] = LLMInferenceError(text)
    logprobs = _logprobs_of_rows(samplers, logits_BV, errors)
    changed = [s.changes_scores or s.constraint is not None for s in samplers]
    if any(changed):
        logits_BV = _adjusted(samplers, logits_BV, errors)
        ids_B = logits_BV.argmax(dim=-1)
    ids = ids_B.tolist()
    sampled = [i for i, s in enumerate(samplers) if i not in errors and not s.request.is_greedy]
    for rows in _by_candidates(samplers, sampled, logits_BV.shape[-1]):
        for row, token_id in zip(rows, _sample(samplers, rows, logits_BV), strict=True):
            ids[row] = token_id
    return [
        errors.get(row) or Choice(token_id, _logprobs(logprobs.get(row), token_id, sampler))
        for row, (token_id, sampler) in enumerate(zip(ids, samplers, strict=True))
    ]


def _adjusted(
    samplers: Sequence[Sampler], logits_BV: Tensor, errors: dict[int, Exception]
) -> Tensor:
    scores_BV = logits_BV.float().clone()
    for row, sampler in enumerate(samplers):
        if sampler.changes_scores:
            sampler.adjust(scores_BV[row])
    constrained = [i for i, s in enumerate(samplers) if s.constraint and i not in errors]
    if constrained:
        _forbid(samplers, constrained, scores_BV, errors)
    return scores_BV


def _forbid(
    samplers: Sequence[Sampler], rows: list[int], scores_BV: Tensor, errors: dict[int, Exception]
) -> None:
    vocab_size = scores_BV.shape[-1]
    words = np.zeros((len(rows), words_for(vocab_size)), dtype=np.int32)
    for row, row_words in zip(rows, words, strict=True):
        constraint = samplers[row].constraint
        assert constraint is not None
        try:
            constraint.fill(row_words)
        except Exception as error:  # noqa: BLE001  fails this answer, not those beside it
            errors[row] = error
    allowed = allowed_tokens(words, vocab_size)
    for row, allowed_V in zip(rows, allowed, strict=True):
        if not allowed_V.any() and row not in errors:
            errors[row] = LLMInferenceError("the constraint allows no token at all")
    allowed_RV = torch.from_numpy(allowed).to(scores_BV.device)
    scores_BV[rows] = scores_BV[rows].masked_fill(~allowed_RV, -torch.inf)


def _by_candidates(
    samplers: Sequence[Sampler], rows: list[int], vocab_size: int
) -> list[list[int]]:
    """Rows whose candidates are equally many can be sampled at once."""
    groups: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        groups[samplers[row].request.top_k or vocab_size].append(row)
    return list(groups.values())


def _sample(samplers: Sequence[Sampler], rows: list[int], logits_BV: Tensor) -> list[int]:
    requests = [samplers[row].request for row in rows]
    k = min(requests[0].top_k or logits_BV.shape[-1], logits_BV.shape[-1])
    scores_BK, ids_BK = torch.topk(logits_BV[rows].float(), k)
    below_BK = (
        (scores_BK - scores_BK[:, :1]).double().cpu()
    )  # the tiniest temperature is no overflow
    p_BK = (below_BK / _column([r.temperature for r in requests])).softmax(dim=-1)
    before_BK = p_BK.cumsum(dim=-1) - p_BK
    is_out_BK = before_BK >= _column([r.top_p for r in requests])
    is_out_BK |= p_BK < p_BK[:, :1] * _column([r.min_p for r in requests])
    p_BK.masked_fill_(is_out_BK, 0.0)
    up_to_BK = p_BK.cumsum(dim=-1)
    drawn_B1 = _column([samplers[row].random.random() for row in rows]) * up_to_BK[:, -1:]
    at_B1 = (up_to_BK <= drawn_B1).sum(dim=-1, keepdim=True)
    chosen: list[int] = ids_BK.cpu().gather(1, at_B1)[:, 0].tolist()
    return chosen


def _column(numbers: list[float]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)[:, None]


def _logprobs_of_rows(
    samplers: Sequence[Sampler], logits_BV: Tensor, errors: dict[int, Exception]
) -> dict[int, Tensor]:
    rows = [i for i, s in enumerate(samplers) if s.request.logprobs is not None and i not in errors]
    if not rows:
        return {}
    return dict(zip(rows, logits_BV[rows].float().log_softmax(dim=-1).cpu(), strict=True))


def _logprobs(logprobs_V: Tensor | None, token_id: int, sampler: Sampler) -> TokenLogprobs | None:
    if logprobs_V is None:
        return None
    values, ids = torch.topk(logprobs_V, min(sampler.request.logprobs or 0, len(logprobs_V)))
    top = tuple(zip(ids.tolist(), values.tolist(), strict=True))
    return TokenLogprobs(token_id, float(logprobs_V[token_id]), top)
