"""Choosing the next token. Suffixes: V vocabulary, K candidates."""

# ruff: noqa: N803, N806  shape suffixes in names

import torch
from torch import Tensor

from agents.llm.engines.errors import LLMInferenceError
from agents.llm.engines.request import GenerationRequest


class Sampler:
    """Chooses tokens for one request, with a random state of its own.

    Temperature, then top-k, then top-p, as transformers does it; in float32 on the CPU, so that
    a seed means the same on every device and in whatever company a request is decoded.
    """

    def __init__(self, request: GenerationRequest) -> None:
        self._request = request
        self._random = torch.Generator()
        if request.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(request.seed)

    def choose(self, logits_V: Tensor) -> int:
        """The next token id.

        Raises:
            LLMInferenceError: the scores are not numbers.
        """
        best, best_id = logits_V.max(dim=-1)
        if not torch.isfinite(best):
            raise LLMInferenceError("the model's scores are not finite; try another dtype")
        if self._request.is_greedy:
            return int(best_id)
        scores_K, ids_K = self._candidates(logits_V.float().cpu())
        p_K = scores_K.softmax(dim=-1)
        before_K = p_K.cumsum(dim=-1) - p_K
        p_K = p_K.masked_fill(before_K >= self._request.top_p, 0.0)
        return int(ids_K[torch.multinomial(p_K, 1, generator=self._random)])

    def _candidates(self, logits_V: Tensor) -> tuple[Tensor, Tensor]:
        size = logits_V.numel()
        k = min(self._request.top_k or size, size)
        scores_K, ids_K = torch.topk(logits_V, k)
        return scores_K / self._request.temperature, ids_K
