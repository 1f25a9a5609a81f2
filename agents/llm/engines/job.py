"""One request inside an engine: what it has produced, and when it must end."""

import time
from dataclasses import dataclass, field

from agents.llm.engines.errors import LLMError, as_inference_error
from agents.llm.engines.generation import Channel, Finished, FinishReason, TextDelta
from agents.llm.engines.local_model import DecodingState
from agents.llm.engines.request import GenerationRequest
from agents.llm.engines.text_stream import TextStream


@dataclass(eq=False)
class Job:
    """The owner thread's side of a generation.

    Attributes:
        limit: new tokens after which it ends.
        deadline: on the clock of `time.monotonic`; None for never.
    """

    request: GenerationRequest
    prompt_ids: list[int]
    limit: int
    deadline: float | None
    channel: Channel
    stream: TextStream
    is_cancelled: bool = False
    state: DecodingState | None = None
    token_ids: list[int] = field(default_factory=list)
    _texts: list[str] = field(default_factory=list)
    _shown_tokens: int = 0

    def must_end(self) -> FinishReason | None:
        """Why it has to end now, whatever the model would say."""
        if self.is_cancelled:
            return FinishReason.CANCELLED
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return FinishReason.DEADLINE
        return None

    def take(self, token_id: int, *, is_end: bool) -> FinishReason | None:
        """Add the next token, show its text, and say whether it was the last one."""
        self.token_ids.append(token_id)
        if is_end:
            return FinishReason.STOP
        self._show(self.stream.push(token_id))
        if self.stream.is_stopped:
            return FinishReason.STOP
        return FinishReason.LENGTH if len(self.token_ids) >= self.limit else None

    def finish(self, reason: FinishReason, error: LLMError | None = None) -> None:
        """Send what was held back, then the terminal event."""
        try:
            self._show(self.stream.finish())
        except Exception as failure:  # noqa: BLE001  the terminal event must be sent
            reason, error = FinishReason.ERROR, error or as_inference_error(failure)
        if self.stream.is_stopped and reason is FinishReason.LENGTH:
            reason = FinishReason.STOP
        self.channel.send(
            Finished(
                reason=reason,
                text="".join(self._texts),
                token_ids=tuple(self.token_ids),
                prompt_tokens=len(self.prompt_ids),
                error=error,
            )
        )

    def _show(self, text: str) -> None:
        if not text:
            return
        tokens = tuple(self.token_ids[self._shown_tokens :])
        self._shown_tokens = len(self.token_ids)
        self._texts.append(text)
        if not self.channel.send(TextDelta(text, tokens)):
            self.is_cancelled = True
