"""One request on its way to a server, and the answer that comes back."""

import asyncio
import contextlib
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agents.llm.engines.errors import LLMError
from agents.llm.engines.generation import (
    Channel,
    Finished,
    FinishReason,
    Generation,
    TextDelta,
    Timing,
)
from agents.llm.engines.openai_calls import Calls
from agents.llm.engines.openai_logprobs import Report
from agents.llm.engines.openai_stream import Piece


@dataclass(slots=True)
class Counted:
    """The tokens of an answer as the server counts them, whether it shows their ids or not."""

    prompt: int = 0
    completion: int = 0


class ServerGeneration(Generation):
    """An answer on its way from a server; `counted` is complete when it has ended."""

    def __init__(self, channel: Channel, cancel: Callable[[], None], counted: Counted) -> None:
        super().__init__(channel, cancel)
        self.counted = counted


@dataclass(eq=False)
class Job:
    """One request on its way. Moments are on the clock of `time.monotonic`.

    Attributes:
        has_own_limit: the request says how many new tokens there may be.
        report: of log-probabilities, where the request asks for them.
    """

    path: str
    payload: dict[str, Any]
    deadline_s: float | None
    channel: Channel
    submitted: float
    has_own_limit: bool = True
    report: Report | None = None
    admitted: float | None = None
    first_token: float | None = None
    texts: list[str] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)
    calls: Calls = field(default_factory=Calls)
    counted: Counted = field(default_factory=Counted)
    reason: FinishReason | None = None

    def left_s(self) -> float | None:
        """Seconds until the deadline, which runs from submission."""
        if self.deadline_s is None:
            return None
        return max(0.0, self.submitted + self.deadline_s - time.monotonic())

    def unlimited(self) -> dict[str, Any]:
        """The payload without a limit of new tokens."""
        limits = {"max_tokens", "max_completion_tokens"}
        return {name: value for name, value in self.payload.items() if name not in limits}

    def take(self, piece: Piece) -> None:
        self.token_ids += piece.token_ids
        self.reason = piece.reason or self.reason
        self.counted.prompt = piece.prompt_tokens or self.counted.prompt
        known = max(self.counted.completion, len(self.token_ids))
        self.counted.completion = piece.completion_tokens or known
        for call in piece.calls:
            self.calls.add(call)
        if self.report is not None:
            self.report.add(piece.logprobs, piece.token_ids)
        if self.first_token is None and (piece.text or piece.calls):
            self.first_token = time.monotonic()
        if not piece.text:
            return
        self.texts.append(piece.text)
        logprobs = self.report.unshown() if self.report else ()
        self.channel.send(TextDelta(piece.text, piece.token_ids, logprobs))

    def check_logprobs(self) -> None:
        """See that the server told them where it was asked to.

        Raises:
            ServerLogprobsError: it did not.
        """
        if self.report is not None and (self.texts or self.calls.whole):
            self.report.check()

    def finish(self, reason: FinishReason, error: LLMError | None) -> None:
        self.channel.send(
            Finished(
                reason=reason,
                text="".join(self.texts),
                token_ids=tuple(self.token_ids),
                prompt_tokens=self.counted.prompt,
                error=error,
                logprobs=tuple(self.report.entries) if self.report else (),
                calls=self.calls.whole,
                timing=Timing.until_now(self.submitted, self.admitted, self.first_token),
            )
        )


def canceller(task: "asyncio.Task[FinishReason]") -> Callable[[], None]:
    """Cancels a task from any thread, and holds on to it as little as it can."""
    loop, kept = task.get_loop(), weakref.ref(task)

    def cancel() -> None:
        running = kept()
        if running is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(running.cancel)

    return cancel
