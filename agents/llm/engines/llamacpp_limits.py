"""Metadata for which llama.cpp ends the process instead of refusing the file."""

import math
from collections.abc import Mapping
from typing import Any

from agents.llm.engines.errors import ModelDamagedError

# As in llama.cpp: LLAMA_MAX_LAYERS, LLAMA_MAX_EXPERTS, lengths that are 32-bit integers.
_RANGES = {
    "block_count": (1, 512),
    "context_length": (1, 2**31 - 1),
    "expert_count": (0, 1024),
}
_NOT_ABOVE = {"expert_used_count": "expert_count", "nextn_predict_layers": "block_count"}
_EPSILONS = ("attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon")
_SCALINGS = ("none", "linear", "yarn", "longrope")


def check_limits(metadata: Mapping[str, Any]) -> None:
    """Refuse what llama.cpp would not survive.

    Raises:
        ModelDamagedError: a value cannot be; says which.
    """
    architecture = metadata.get("general.architecture")

    def value(key: str) -> Any:
        return metadata.get(f"{architecture}.{key}")

    for key, (low, high) in _RANGES.items():
        found = value(key)
        if found is not None and not (isinstance(found, int) and low <= found <= high):
            _refuse(key, found, f"a whole number from {low} to {high}")
    for key, other in _NOT_ABOVE.items():
        if (value(key) or 0) > (value(other) or 0):
            _refuse(key, value(key), f"at most {other}, which is {value(other) or 0}")
    for key in _EPSILONS:
        found = value(key)
        if isinstance(found, float) and not (math.isfinite(found) and found >= 0):
            _refuse(key, found, "a number from 0 on")
    scaling = value("rope.scaling.type")
    if scaling is not None and scaling not in _SCALINGS:
        _refuse("rope.scaling.type", scaling, f"one of {', '.join(_SCALINGS)}")


def _refuse(key: str, found: Any, expected: str) -> None:
    raise ModelDamagedError(
        f"the GGUF file's {key} is {found!r}, where llama.cpp takes {expected}; fetch it again, or "
        "choose another model"
    )
