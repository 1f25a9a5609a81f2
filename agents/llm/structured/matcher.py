"""Follows one answer and says which tokens may come next, so that it ends within its budget."""

import llguidance
import numpy as np
from numpy.typing import NDArray

from agents.llm.engines.token_bits import Words, words_for
from agents.llm.structured.errors import ConstraintError
from agents.llm.structured.follower import Follower, State
from agents.llm.structured.program import Program
from agents.llm.structured.vocabulary import Vocabulary


class Matcher:
    """A constraint of an engine for one request.

    llguidance says what the grammar allows; the follower takes out of that what would leave too
    few tokens for the rest. So an answer is complete before its budget is spent, whatever is
    chosen.

    Args:
        program: the grammar.
        follower: the states of it, shared with other answers.
        masks: llguidance's side of it, at its beginning; belongs to this matcher.
        max_new_tokens: tokens of the answer, without an end token.
        is_free: an answer that its budget ends is cut, and not complete.
    """

    def __init__(
        self,
        program: Program,
        follower: Follower,
        masks: llguidance.LLMatcher,
        vocabulary: Vocabulary,
        max_new_tokens: int,
        *,
        is_free: bool = False,
    ) -> None:
        self._program = program
        self._masks = masks
        self._vocabulary = vocabulary
        self._left = max_new_tokens
        self._is_free = is_free
        self._follower = follower
        self._state: State = self._follower.start
        self._has_ended = False
        self._spelt: list[bytes] = []
        self._words = np.zeros(words_for(vocabulary.llguidance.vocab_size), dtype=np.int32)

    @property
    def is_finished(self) -> bool:
        """Whether the answer is complete and nothing may follow."""
        if self._has_ended or self._state.is_final:
            return True
        return self._state.is_accepting and self._left == 0 and not self._is_free

    @property
    def text(self) -> str:
        """The answer so far, as the grammar read it; without half a character at its end."""
        return b"".join(self._spelt).decode(errors="ignore")

    @property
    def left(self) -> int:
        """Tokens that are left of the budget."""
        return self._left

    def allowed(self) -> NDArray[np.bool_]:
        """For each token of the vocabulary whether it may come next; end tokens, too.

        Raises:
            ConstraintError: no token may come next.
        """
        size = self._vocabulary.size
        if self.is_finished or self._left == 0:
            found = np.zeros(size, dtype=np.bool_)
        else:
            data, bits = self._words, self._words.nbytes
            self._masks.unsafe_compute_mask_ptr(data.ctypes.data, bits)
            self._check()
            unpacked = np.unpackbits(data.view(np.uint8), count=size, bitorder="little")
            found = unpacked.view(np.bool_)
            if self._left <= self._program.peak or self._program.has_dead_ends:
                self._keep_within(found, self._left - 1)
                if not found.any():
                    self._spell_shortest(found, self._left - 1)
        if self._has_ended or self._state.is_accepting:
            found[list(self._vocabulary.end_token_ids)] = True
        elif not found.any():
            raise ConstraintError(f"no token may follow {self.text[-40:]!r}")
        return found

    def fill(self, words: Words) -> None:
        """Set the bit of each token that may come next, and clear all the others.

        Args:
            words: token `t` is bit `t % 32` of word `t // 32`.

        Raises:
            ConstraintError: no token may come next.
        """
        packed = np.packbits(self.allowed(), bitorder="little")
        data = words.view(np.uint8)
        data[:] = 0
        count = min(len(packed), len(data))
        data[:count] = packed[:count]

    def accept(self, token_id: int) -> None:
        """Go on with this token.

        Raises:
            ConstraintError: it is not allowed.
        """
        if token_id in self._vocabulary.end_token_ids and (
            self._state.is_accepting or self._has_ended
        ):
            self._has_ended = True
            return
        spelt = self._spelling(token_id)
        state = self._follower.step(self._state, spelt) if spelt and not self.is_finished else None
        if state is None or state.cost > self._left - 1:
            raise ConstraintError(
                f"token {token_id} ({spelt.decode(errors='replace')!r}) may not follow "
                f"{self.text[-40:]!r}"
            )
        self._masks.consume_token(token_id)
        self._check()
        self._state = state
        self._left -= 1
        self._spelt.append(spelt)

    def forced(self) -> tuple[int, ...]:
        """The tokens that must follow, spelt as the tokenizer spells them."""
        if self.is_finished or self._left == 0:
            return ()
        found: list[int] = []
        state: State | None = self._state
        for token_id in self._masks.compute_ff_tokens():
            spelt = self._spelling(token_id)
            state = self._follower.step(state, spelt) if state is not None and spelt else None
            if state is None or state.cost > self._left - len(found) - 1:
                break
            found.append(token_id)
        self._check()
        return tuple(found)

    def _spelling(self, token_id: int) -> bytes:
        return self._vocabulary.tokens[token_id] if 0 <= token_id < self._vocabulary.size else b""

    def _keep_within(self, found: NDArray[np.bool_], left: int) -> None:
        """Take out the tokens after which the shortest end takes more than `left` tokens."""
        state, vocabulary = self._state, self._vocabulary
        doubtful = found.copy()
        for text in state.texts:
            near = text.within(left)
            doubtful &= ~near
            if len(state.texts) == 1 and not state.other_bytes & text.tokens.first_bytes:
                others = text.tokens.lengths < 0
                found &= near | others
                doubtful &= others
        ids = np.flatnonzero(doubtful)
        found[ids[self._follower.costs_after(state, ids, vocabulary.tokens) > left]] = False

    def _spell_shortest(self, found: NDArray[np.bool_], left: int) -> None:
        """Allow other spellings of forced text than the tokenizer's, where those are shorter."""
        text = self._masks.compute_ff_bytes()
        for end in range(1, len(text) + 1):
            for i in self._vocabulary.spelling(text[:end]):
                if self._follower.cost_after(self._state, i, text[:end]) <= left:
                    found[i] = True

    def _check(self) -> None:
        if self._masks.is_error():
            raise ConstraintError(f"llguidance: {self._masks.get_error().splitlines()[0]}")
