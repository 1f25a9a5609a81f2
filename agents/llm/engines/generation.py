"""A running generation: what comes out of it, and the way from the engine's thread to a loop."""

import asyncio
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from agents.llm.engines.errors import LLMError


class FinishReason(StrEnum):
    """Why a generation ended."""

    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """How likely a token was, and which were the likeliest: natural logarithms.

    A server tells what tokens spell, and of few their ids: those that it does not tell are None.

    Attributes:
        spelt: what the token spells; None for a model in this process, whose tokenizer knows.
        spelt_top: likewise for each of `top`.
    """

    token_id: int | None
    logprob: float
    top: tuple[tuple[int | None, float], ...] = ()
    spelt: bytes | None = None
    spelt_top: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class CalledTool:
    """A tool call that a server took out of the text; `arguments` as the model wrote them."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds since submission: until it left the queue, until its first token, until its end.

    None where it did not get so far.
    """

    queued_s: float | None
    first_token_s: float | None
    total_s: float

    @classmethod
    def until_now(cls, begun: float, admitted: float | None, first_token: float | None) -> Self:
        """From moments on the clock of `time.monotonic`."""
        return cls(
            queued_s=None if admitted is None else admitted - begun,
            first_token_s=None if first_token is None else first_token - begun,
            total_s=time.monotonic() - begun,
        )


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of text and the tokens that completed it."""

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[TokenLogprobs, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """The one terminal event: everything that was generated, and why it ended.

    `token_ids` also holds what is not text: the end token, or the tokens that spelled a stop
    string. `error` is set exactly when the reason is `error`. `logprobs` has one entry for each
    token where the request asked for them; from a server, for each token that it tells of.
    `cached_tokens` of the prompt had been read before. `calls` are those that a server tells apart
    from the text.
    """

    reason: FinishReason
    text: str
    token_ids: tuple[int, ...]
    prompt_tokens: int
    error: LLMError | None = None
    logprobs: tuple[TokenLogprobs, ...] = ()
    calls: tuple[CalledTool, ...] = ()
    cached_tokens: int = field(default=0, compare=False)
    timing: Timing | None = field(default=None, compare=False)


Event = TextDelta | Finished


class Channel:
    """Carries events from any thread to the event loop it was made on.

    Whatever is sent before the loop gets round to look arrives in one callback.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._sent: list[Event] = []
        self.arrived: asyncio.Queue[Event] = asyncio.Queue()
        self.finished: asyncio.Future[Finished] = self._loop.create_future()

    def send(self, event: Event) -> bool:
        """Hand `event` over; False when the loop is gone and it will never be read."""
        with self._lock:
            self._sent.append(event)
            is_announced = len(self._sent) > 1
        if is_announced:
            return not self._loop.is_closed()  # it may have closed before it got round to look
        try:
            self._loop.call_soon_threadsafe(self._arrive)
        except RuntimeError:  # the loop is closed
            return False
        return True

    def _arrive(self) -> None:
        with self._lock:
            events, self._sent = self._sent, []
        for event in events:
            self.arrived.put_nowait(event)
            if isinstance(event, Finished) and not self.finished.done():
                self.finished.set_result(event)


class Generation:
    """An answer on its way: iterate it for events (one consumer), or await `result()`.

    The iterator ends with exactly one `Finished`, whatever happens, and never raises. Use it as
    an async context manager to have it cancelled when the block is left; dropping the last
    reference to it cancels, too. All methods belong to the loop that submitted the request;
    only `cancel` may be called from anywhere.
    """

    def __init__(self, channel: Channel, cancel: Callable[[], None]) -> None:
        self._channel = channel
        self._is_exhausted = False
        self._cancel = weakref.finalize(self, cancel)
        self._cancel.atexit = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._is_exhausted:
            raise StopAsyncIteration
        event = await self._channel.arrived.get()
        self._is_exhausted = isinstance(event, Finished)
        if self._is_exhausted:
            self._cancel.detach()
        return event

    async def text(self) -> AsyncIterator[str]:
        """Only the pieces of text, as they come.

        Raises:
            LLMError: the generation failed.
        """
        async for event in self:
            if isinstance(event, TextDelta):
                yield event.text
            elif event.error is not None:
                raise event.error

    async def result(self) -> Finished:
        """Wait for the end. Cancelling the waiting task cancels the generation.

        Raises:
            LLMError: the generation failed.
        """
        try:
            finished = await asyncio.shield(self._channel.finished)
        except asyncio.CancelledError:
            self.cancel()
            raise
        # The finalizer would keep the job, and with it an error whose traceback keeps `self`.
        self._cancel.detach()
        if finished.error is not None:
            raise finished.error
        return finished

    def cancel(self) -> None:
        """Stop as soon as possible; the terminal event still comes. Harmless when finished."""
        self._cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()
