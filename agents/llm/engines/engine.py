"""What every engine promises, whatever runs behind it."""

from dataclasses import dataclass
from typing import Protocol

from agents.llm.engines.constraint import Constraint
from agents.llm.engines.generation import Generation
from agents.llm.engines.request import GenerationRequest


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a loaded model can do.

    Attributes:
        takes_conversations: it is given messages, tools and response formats as they are; others
            are given a prompt and a constraint.
    """

    model: str
    backend: str
    device: str
    dtype: str
    context_window: int
    vocab_size: int
    max_new_tokens_limit: int
    takes_conversations: bool = False


@dataclass(frozen=True, slots=True)
class EngineStats:
    """A moment in an engine's life; the token counts grow over its whole life."""

    is_loaded: bool
    memory_bytes: int
    active: int
    queue_length: int
    prompt_tokens: int
    generated_tokens: int


class Engine(Protocol):
    """Answers prompts with streams of text, many at once, without ever blocking the loop.

    Every submitted request ends with exactly one terminal event. One that fails, is cancelled or
    is never read harms no other.
    """

    async def load(self) -> None:
        """Make the model ready; however many ask at once, it is loaded once.

        Raises:
            LLMInitializationError: it cannot be loaded; the next call tries again.
            EngineClosedError: the engine was closed.
        """
        ...

    async def submit(
        self, request: GenerationRequest, constraint: Constraint | None = None
    ) -> Generation:
        """Start to answer `request`, after loading the model if that has not happened yet.

        Args:
            request: what is asked for.
            constraint: what the answer must look like; it serves this request alone.

        Raises:
            LLMInitializationError: the model cannot be loaded.
            ContextOverflowError: prompt and new tokens do not fit, and by how much.
            InvalidRequestError: the request makes no sense for this model.
            EngineBusyError: the queue is full.
            EngineClosedError: the engine was closed.
        """
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What the loaded model can do.

        Raises:
            LLMInitializationError: nothing is loaded yet.
        """
        ...

    @property
    def stats(self) -> EngineStats:
        """Memory, queue and tokens, at any time and from any thread."""
        ...

    async def close(self) -> None:
        """End what runs with `EngineClosedError`, free the model, wait until its thread ended."""
        ...
