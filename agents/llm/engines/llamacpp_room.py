"""How many answers llama.cpp has room for at once: it takes memory for all when it loads.

Each answer may fill its window, so each has keys and values for all of it.
"""

from collections.abc import Mapping
from typing import Any

from agents.llm.engines.errors import ModelDamagedError

DEFAULT_CONTEXT_WINDOW = 4096
CACHE_BYTES = 768 << 20
_SHARE = 0.5  # of what is free; the rest is for others
_CELLS = 256  # llama.cpp rounds a context up to these
_CACHE_ENTRY_BYTES = 2  # keys and values are float16


def answers_at_once(
    each_bytes: int,
    *,
    most: int,
    weights_bytes: int,
    max_cache_bytes: int | None,
    free_bytes: int | None,
) -> int:
    """As many as fit, `most` at most, and one where not even that fits.

    Args:
        each_bytes: keys and values of an answer that fills its window; 0 where it is not known.
        most: how many are wanted.
        weights_bytes: of the model.
        max_cache_bytes: for keys and values; None for 768 MiB or as much as the weights take,
            whichever is more, but no more than half of what is free beside the weights.
        free_bytes: of memory; None where that is not told.
    """
    if max_cache_bytes is None:
        max_cache_bytes = max(CACHE_BYTES, weights_bytes)
        if free_bytes is not None:
            max_cache_bytes = min(max_cache_bytes, int((free_bytes - weights_bytes) * _SHARE))
    return max(1, min(most, max_cache_bytes // each_bytes)) if each_bytes else most


def cells(window: int) -> int:
    """Tokens that memory is taken for, so that an answer may fill its window."""
    return -(-window // _CELLS) * _CELLS


def usable_window(metadata: Mapping[str, Any], asked: int | None) -> int:
    """Tokens that an answer may use with its prompt.

    Raises:
        ModelDamagedError: the file does not say what the model can.
    """
    of_model = metadata.get(f"{metadata.get('general.architecture')}.context_length")
    if not isinstance(of_model, int) or of_model < 1:
        raise ModelDamagedError("the GGUF file does not say how long the model's context is")
    return min(of_model, asked or DEFAULT_CONTEXT_WINDOW)


def cache_bytes_per_token(metadata: Mapping[str, Any]) -> int:
    """What the keys and values of a token take; 0 where the file does not say."""

    def number(key: str, otherwise: int = 0) -> int:
        value = metadata.get(f"{metadata.get('general.architecture')}.{key}", otherwise)
        return max(value) if isinstance(value, (tuple, list)) else int(value)

    heads = number("attention.head_count")
    width = number("embedding_length") // heads if heads else 0
    keys = number("attention.key_length", width) + number("attention.value_length", width)
    return (
        number("block_count") * number("attention.head_count_kv", heads) * keys * _CACHE_ENTRY_BYTES
    )
