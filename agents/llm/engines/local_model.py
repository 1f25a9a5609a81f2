"""What an engine with a thread of its own needs from a model in this process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agents.llm.engines.constraint import Constraint
from agents.llm.engines.generation import TokenLogprobs
from agents.llm.engines.request import GenerationRequest


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a step added to an answer.

    Attributes:
        logprobs: one for each token, or none.
        is_finished: no further token may follow.
    """

    token_ids: tuple[int, ...]
    logprobs: tuple[TokenLogprobs, ...] = ()
    is_finished: bool = False


Outcome = int | Tokens | Exception | None


class DecodingState(Protocol):
    """What a model remembers about one answer."""

    @property
    def is_runnable(self) -> bool:
        """Whether a step would get this answer any further."""
        ...

    @property
    def cached_tokens(self) -> int:
        """How many tokens of the prompt had been read for an earlier answer."""
        ...


class LocalModel(Protocol):
    """A loaded model. `encode` is called from any thread, all the rest from the owner's only.

    Attributes:
        max_active: answers that there is room for at once; None where the model does not limit it.
        special_texts: how the tokens are written that `decode` leaves out.
    """

    context_window: int
    max_active: int | None
    vocab_size: int
    device: str
    dtype: str
    end_token_ids: frozenset[int]
    special_texts: Mapping[int, str]

    def encode(self, text: str) -> list[int]:
        """The prompt as tokens, with what the model expects at the beginning."""
        ...

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of the tokens, without special ones."""
        ...

    def start(
        self,
        prompt_ids: Sequence[int],
        request: GenerationRequest,
        constraint: Constraint | None = None,
    ) -> DecodingState:
        """Begin an answer; computes nothing yet."""
        ...

    def step(self, states: Sequence[DecodingState]) -> list[Outcome]:
        """Bring every answer one step further.

        Returns:
            Per answer its next token or tokens, None when it is reading, or what went wrong with
            it alone.
        """
        ...

    def end(self, state: DecodingState) -> None:
        """Forget an answer and free its memory."""
        ...

    def memory_bytes(self) -> int:
        """Weights and caches; may be asked from any thread."""
        ...

    def close(self) -> None:
        """Free everything."""
        ...
