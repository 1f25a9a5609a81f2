"""Sets of tokens as bits, packed into words of 32: token `t` is bit `t % 32` of word `t // 32`."""

import numpy as np
from numpy.typing import NDArray

WORD_BITS = 32

Words = NDArray[np.int32]


def words_for(vocab_size: int) -> int:
    """How many words hold one bit for each token."""
    return -(-vocab_size // WORD_BITS)


def allowed_tokens(words: Words, vocab_size: int) -> NDArray[np.bool_]:
    """One truth value per token from packed bits; leading dimensions are kept."""
    little = words.astype("<i4", copy=False)
    bits = np.unpackbits(little.view(np.uint8), axis=-1, count=vocab_size, bitorder="little")
    return bits.view(np.bool_)
