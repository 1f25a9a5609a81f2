"""One pass through a transformers model, whatever it calls its arguments.

Suffixes: B batch, T new tokens, K tokens with those before them, V vocabulary.
"""

# ruff: noqa: N803  shape suffixes in names

import inspect
from typing import Any, cast

import torch
from torch import Tensor
from transformers import DynamicCache

from agents.llm.engines.rope import changing_ropes, reset_ropes

# The first one that a forward takes; transformers 5.24 renamed it, remote code has the old names.
_CACHE_NAMES = ("cache", "past_key_values", "cache_params")


class Forward:
    """Calls a model with a cache of its kind and returns the scores of the last tokens.

    Args:
        model: of transformers.
        is_exact: False where rounding may change its scores visibly.
    """

    def __init__(self, model: Any, *, is_exact: bool = True) -> None:
        self._model = model
        takes = inspect.signature(model.forward).parameters
        self._cache_name = next((name for name in _CACHE_NAMES if name in takes), None)
        self._takes = frozenset(takes)
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}
        self._ropes = changing_ropes(model)
        self.device: torch.device = model.device
        self.is_exact = is_exact

    @property
    def takes_cache(self) -> bool:
        """Whether it can go on from tokens that it has read before."""
        return self._cache_name is not None

    @property
    def takes_padding(self) -> bool:
        """Whether rows of unequal length can be passed together."""
        return self.takes_cache and "attention_mask" in self._takes

    def new_cache(self) -> DynamicCache:
        """An empty cache with the layers that the model needs."""
        return DynamicCache(config=self._model.config)

    def __call__(
        self,
        ids_BT: Tensor,
        positions_BT: Tensor,
        cache: Any = None,
        mask_BK: Tensor | None = None,
    ) -> Tensor:
        """Scores of the token after the last one, for each row.

        Args:
            ids_BT: the new tokens.
            positions_BT: where they stand in their rows.
            cache: what was read before, which grows by the new tokens; None to read anew.
            mask_BK: False where a row has padding, which is at its left; None without any.
        """
        reset_ropes(self._ropes)
        inputs: dict[str, Any] = {"input_ids": ids_BT, **self._last_only}
        if "use_cache" in self._takes:
            inputs["use_cache"] = cache is not None
        if cache is not None:
            assert self._cache_name is not None
            inputs[self._cache_name] = cache
        if mask_BK is not None:
            inputs["attention_mask"] = mask_BK
        if "position_ids" in self._takes:
            inputs["position_ids"] = positions_BT
        return cast(Tensor, self._model(**inputs).logits[:, -1])

    def all_logits(self, ids_BT: Tensor) -> Tensor:
        """Scores after each token, read without any cache."""
        reset_ropes(self._ropes)
        inputs = {"use_cache": False} if "use_cache" in self._takes else {}
        return cast(Tensor, self._model(input_ids=ids_BT, **inputs).logits)
