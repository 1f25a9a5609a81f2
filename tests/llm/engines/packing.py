"""The other way round than `allowed_tokens`: from truth values to the words of a constraint."""

import numpy as np
from numpy.typing import NDArray

from agents.llm.engines.token_bits import Words, words_for


def pack_tokens(allowed: NDArray[np.bool_]) -> Words:
    data = np.zeros(words_for(len(allowed)) * 4, dtype=np.uint8)
    packed = np.packbits(allowed, bitorder="little")
    data[: packed.size] = packed
    return data.view("<i4").astype(np.int32)
