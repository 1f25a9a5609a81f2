"""What an answer cost."""

from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict

from agents.llm.engines.generation import Finished, FinishReason

if TYPE_CHECKING:
    from agents.llm.engines.openai_job import Counted


class Usage(BaseModel):
    """What one or several answers cost.

    Attributes:
        prompt_tokens: of everything that was read, again in every round of tools.
        completion_tokens: of everything that was written.
        cached_tokens: how many of the prompts' tokens had been read for an earlier answer.
        queued_s: seconds in the engine's queue.
        first_token_s: seconds from asking to the first token; of several answers, of the first.
        total_s: seconds from asking to the end.
        filled_window: whether an answer was cut because the context window was full.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    queued_s: float = 0.0
    first_token_s: float | None = None
    total_s: float = 0.0
    filled_window: bool = False

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    @classmethod
    def of(cls, finished: Finished, window: int, counted: "Counted | None" = None) -> Self:
        """What a generation cost.

        Args:
            finished: its end.
            window: tokens that a prompt and its answer may have together.
            counted: where a server counts, and shows no tokens.
        """
        timing = finished.timing
        prompt_tokens = counted.prompt if counted else finished.prompt_tokens
        completion_tokens = counted.completion if counted else len(finished.token_ids)
        is_cut = finished.reason is FinishReason.LENGTH
        return cls(
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            cached_tokens=finished.cached_tokens,
            queued_s=(timing.queued_s if timing and timing.queued_s is not None else 0.0),
            first_token_s=timing.first_token_s if timing else None,
            total_s=timing.total_s if timing else 0.0,
            filled_window=is_cut and prompt_tokens + completion_tokens >= window,
        )

    def __add__(self, other: "Usage") -> "Usage":
        """Both, one after the other."""
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            queued_s=self.queued_s + other.queued_s,
            first_token_s=self.first_token_s if self.total_s else other.first_token_s,
            total_s=self.total_s + other.total_s,
            filled_window=self.filled_window or other.filled_window,
        )
