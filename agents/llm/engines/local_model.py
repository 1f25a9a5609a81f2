"""What an engine with a thread of its own needs from a model in this process."""

from collections.abc import Sequence
from typing import Protocol

from agents.llm.engines.request import GenerationRequest


class DecodingState(Protocol):
    """What a model remembers about one answer."""

    @property
    def is_runnable(self) -> bool:
        """Whether a step would get this answer any further."""
        ...


class LocalModel(Protocol):
    """A loaded model. `encode` is called from any thread, all the rest from the owner's only."""

    context_window: int
    vocab_size: int
    device: str
    dtype: str
    end_token_ids: frozenset[int]

    def encode(self, text: str) -> list[int]:
        """The prompt as tokens, with what the model expects at the beginning."""
        ...

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of the tokens, without special ones."""
        ...

    def start(self, prompt_ids: Sequence[int], request: GenerationRequest) -> DecodingState:
        """Begin an answer; computes nothing yet."""
        ...

    def step(self, states: Sequence[DecodingState]) -> list[int | Exception | None]:
        """Bring every answer one step further.

        Returns:
            Per answer its next token, None when it has read only a part of its prompt, or what
            went wrong with it alone.
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
