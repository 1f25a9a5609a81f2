"""What an answer must look like, decided token by token: grammars, schemas, choices.

Tokens are held as bits, packed into words of 32: token `t` is bit `t % 32` of word `t // 32`.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

WORD_BITS = 32
_MAX_FORCED = 1024  # at a time

Words = NDArray[np.int32]


class Constraint(Protocol):
    """Follows one answer and says which tokens may come next.

    An engine calls it from its own thread, in this order: `forced`; where nothing is forced,
    `fill`, and a token is chosen; then `accept` for each token of the answer, forced ones too. It
    is asked again until `is_finished`. What it raises fails its own request and no other. One
    object serves one request.
    """

    @property
    def is_finished(self) -> bool:
        """Whether the answer is complete, so that nothing but an end token could follow.

        The engine ends the answer with the reason `stop`, without asking the model for that token.
        """
        ...

    def fill(self, words: Words) -> None:
        """Set the bit of each token that may come next, and clear all the others.

        The end tokens are tokens like any others: allowed where the answer may end.

        Args:
            words: `words_for(vocab_size)` words that belong to the engine. Bits beyond the
                vocabulary are ignored.
        """
        ...

    def accept(self, token_id: int) -> None:
        """Go on with this token, which was allowed. An end token ends all and is not told."""
        ...

    def forced(self) -> tuple[int, ...]:
        """The tokens that are the only possible continuation from here; often none.

        The model is not asked for them: they are appended and read together. Never end tokens.
        """
        ...


def forced_tokens(constraint: Constraint) -> list[int]:
    """Follow `constraint` as far as one token only is possible."""
    token_ids: list[int] = []
    while len(token_ids) < _MAX_FORCED and (forced := constraint.forced()):
        for token_id in forced:
            constraint.accept(token_id)
        token_ids += forced
    return token_ids


def words_for(vocab_size: int) -> int:
    """How many words hold one bit for each token."""
    return -(-vocab_size // WORD_BITS)


def allowed_tokens(words: Words, vocab_size: int) -> NDArray[np.bool_]:
    """One truth value per token from packed bits; leading dimensions are kept."""
    little = words.astype("<i4", copy=False)
    bits = np.unpackbits(little.view(np.uint8), axis=-1, count=vocab_size, bitorder="little")
    return bits.view(np.bool_)


def pack_tokens(allowed: NDArray[np.bool_]) -> Words:
    """The packed bits of one truth value per token, for constraints that work with those."""
    (vocab_size,) = allowed.shape
    data = np.zeros(words_for(vocab_size) * 4, dtype=np.uint8)
    packed = np.packbits(allowed, bitorder="little")
    data[: packed.size] = packed
    return data.view("<i4").astype(np.int32)
