"""Whether a model's answers may share a forward: tried out with the model itself.

What a model computes for a text read in one go, without a cache, is right by definition. The same
text is read in chunks and token by token, alone and in company, on the very paths that answers
take; the fastest way that agrees is used. A model that cannot be batched is slower, never wrong.

Suffixes: B batch, T time, V vocabulary.
"""

# ruff: noqa: N806  shape suffixes in names

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any

import torch
from torch import Tensor

from agents.llm.engines.answer import Answer
from agents.llm.engines.company import Company
from agents.llm.engines.forward import Forward
from agents.llm.engines.pool import Pool
from agents.llm.engines.reading import Reading
from agents.llm.engines.request import GenerationRequest
from agents.llm.engines.sampling import Sampler

_LENGTHS = (9, 6, 4)
_DECODED = 3
_MAX_PROBED_WINDOW = 64  # sliding windows up to this size are passed in the probe
_TOLERANCE = 1e-3  # a share of the scores' range
_COARSE_TOLERANCE = 0.08  # where rounding changes scores visibly


class Mode(StrEnum):
    """How a model's answers are decoded."""

    TOGETHER = "together"
    ALONE = "alone"  # each with a forward and a cache of its own
    UNCACHED = "uncached"  # each token reads the whole text anew


@dataclass(frozen=True)
class Soundness:
    """What is known to be right.

    Attributes:
        reads_in_chunks: whether a prompt may be read piece by piece.
        reads_in_groups: whether prompts of unequal length may be read together.
        template: a cache of this model that has read something; None without caches.
        reason: why it is not the fastest mode; empty for that.
    """

    mode: Mode
    reads_in_chunks: bool = True
    reads_in_groups: bool = False
    template: Any = None
    reason: str = ""


@torch.inference_mode()
def examine(forward: Forward, vocab_size: int, *, may_share: bool = True) -> Soundness:
    """The fastest way of decoding that gives the right scores.

    Args:
        forward: of the model.
        vocab_size: of the model.
        may_share: False where positions depend on the longest text in a forward; then each
            prompt is read in one go, too.

    Raises:
        Exception: the model cannot even read a text in one go.
    """
    probe = _Probe(forward, vocab_size)
    if not forward.takes_cache:
        return Soundness(Mode.UNCACHED, False, reason="its forward takes no cache")
    for in_chunks in (True, False) if may_share else (False,):
        error = probe.complaint(partial(probe.alone, in_chunks=in_chunks))
        if not error:
            break
    else:
        return Soundness(Mode.UNCACHED, False, reason=f"with a cache, {error}")
    alone = Soundness(Mode.ALONE, in_chunks, template=probe.template)
    if not may_share:
        return replace(alone, reason="its positions depend on the length of the text")
    if not forward.takes_padding or not Pool.can_hold(probe.template):
        return replace(alone, reason="it keeps more than keys and values of tokens")
    for in_groups in (True, False):
        way = partial(probe.together, in_chunks=in_chunks, in_groups=in_groups)
        error = probe.complaint(way)
        if not error:
            return replace(alone, mode=Mode.TOGETHER, reads_in_groups=in_groups)
    return replace(alone, reason=f"in company, {error}")


class _Probe:
    """A few random texts, what they should give, and what they do give."""

    def __init__(self, forward: Forward, vocab_size: int) -> None:
        self._forward = forward
        self.template: Any = None
        rng = random.Random(0)  # noqa: S311  any tokens will do
        longest = max(_LENGTHS[0], self._small_window() + 2)
        self._lengths = (longest, *_LENGTHS[1:])
        self._texts = [
            [rng.randrange(vocab_size) for _ in range(length + _DECODED)]
            for length in self._lengths
        ]
        self._parts = [*zip(self._texts, self._lengths, strict=True)]
        self._right = [
            forward.all_logits(self._ids([text]))[0, length - 1 :].float()
            for text, length in self._parts
        ]
        spread = max(float(right.max() - right.min()) for right in self._right)
        self._tolerance = (_TOLERANCE if forward.is_exact else _COARSE_TOLERANCE) * spread

    def complaint(self, way: Callable[[], list[list[Tensor]]]) -> str:
        """What is wrong with a way of decoding; empty when nothing is."""
        try:
            found = way()
        except Exception as error:  # noqa: BLE001  such models are decoded in another way
            return f"it fails with {type(error).__name__}: {error}"
        for right_TV, got in zip(self._right, found, strict=True):
            difference = (torch.stack(got).float() - right_TV).abs().max()
            if not difference <= self._tolerance:  # NaN, too
                return "its scores are others"
        return ""

    def alone(self, *, in_chunks: bool) -> list[list[Tensor]]:
        """In turn, each with a cache of its own: a model that keeps texts in itself fails."""
        readings = [Reading([None], [text[:n]], self._forward.new_cache) for text, n in self._parts]
        found = [
            [self._read(reading, length // 2 + 1 if in_chunks else None)[0]]
            for reading, length in zip(readings, self._lengths, strict=True)
        ]
        for ahead in range(_DECODED):
            for reading, (text, length), scores in zip(readings, self._parts, found, strict=True):
                at = length + ahead
                ids, positions = self._ids([[text[at]]]), self._ids([[at]])
                scores.append(self._forward(ids, positions, reading.cache)[0])
        self.template = readings[-1].cache
        return found

    def together(self, *, in_chunks: bool, in_groups: bool) -> list[list[Tensor]]:
        """Two begin, read together or apart; the third one joins them a step later."""
        company = Company(self._forward, Pool(self.template))
        sampler = Sampler(GenerationRequest(prompt_ids=(0,)))
        answers = [Answer(list(text), sampler, len(text)) for text in self._texts]
        budget = 2 * 5 if in_chunks else None
        found: dict[Answer, list[Tensor]] = {answer: [] for answer in answers}
        for some in (slice(0, 2),) if in_groups else (slice(0, 1), slice(1, 2)):
            self._join(company, answers[some], budget, found)
        self._decode(company, found)
        self._join(company, answers[2:], budget, found)
        while any(answer.row is not None for answer in answers):
            self._decode(company, found)
        return list(found.values())

    def _join(
        self,
        company: Company,
        answers: list[Answer],
        budget: int | None,
        found: dict[Answer, list[Tensor]],
    ) -> None:
        lengths = [len(answer.ids) - _DECODED for answer in answers]
        texts = [answer.ids[:n] for answer, n in zip(answers, lengths, strict=True)]
        reading = Reading(answers, texts, self._forward.new_cache)
        logits_BV = self._read(reading, budget)
        for answer, length, logits_V in zip(answers, lengths, logits_BV, strict=True):
            answer.read = length
            found[answer].append(logits_V)
        company.join(answers, reading.cache, range(len(answers)))

    def _decode(self, company: Company, found: dict[Answer, list[Tensor]]) -> None:
        for answers, scores in company.decode():
            if isinstance(scores, Exception):
                raise scores
            for answer, logits_V in zip(answers, scores, strict=True):
                found[answer].append(logits_V)
                if answer.read == len(answer.ids):
                    company.leave(answer)

    def _read(self, reading: Reading[Any], budget: int | None) -> Tensor:
        while (logits_BV := reading.read(self._forward, budget)) is None:
            pass
        return logits_BV

    def _ids(self, texts: list[list[int]]) -> Tensor:
        return torch.tensor(texts, device=self._forward.device)

    def _small_window(self) -> int:
        if not self._forward.takes_cache:
            return 0
        windows = [
            getattr(layer, "sliding_window", 0) for layer in self._forward.new_cache().layers
        ]
        return max((int(w) for w in windows if w and w <= _MAX_PROBED_WINDOW), default=0)
