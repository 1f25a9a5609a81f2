"""One answer on its way to plain code."""

from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from threading import Lock
from typing import Any, Generic, TypeVar

from agents.llm.blocking.closing import Closing
from agents.llm.dialogue import Usage
from agents.llm.engines import Event, Finished
from agents.llm.engines.errors import LLMInferenceError

T = TypeVar("T")


class Inference(Closing, Generic[T]):
    """Iterate it for the pieces of an answer: texts, or tokens.

    Nothing is computed before the first piece is asked for. Closing it early, leaving its `with`
    block or dropping it ends the answer at the model's next step. One thread iterates; any may
    close.

    Args:
        events: of the engine; what they raise reaches the iterating caller.
        pieces: what of the answer an event adds, given how many tokens were taken before.
        window: tokens that the prompt and the answer may have together.
        cancel: ends the answer, which then comes to its last event; from any thread.
        parse: from the whole text to its value, where it has a form.
    """

    def __init__(
        self,
        events: Generator[Event, None, None],
        pieces: Callable[[Event, int], tuple[T, ...]],
        window: int,
        cancel: Callable[[], None],
        parse: Callable[[str], Any] | None = None,
    ) -> None:
        self._window = window
        self._cancel = cancel
        self._parse = parse
        self._ended: list[Finished] = []
        self._taken = _taken(events, pieces, self._ended)  # holds no reference to this object

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        return next(self._taken)

    @property
    def finished(self) -> Finished:
        """Why it ended, its whole text and all its tokens.

        Raises:
            LLMInferenceError: it has not ended yet.
        """
        if not self._ended:
            raise LLMInferenceError("the answer has not ended; iterate it to its end first")
        return self._ended[0]

    @property
    def usage(self) -> Usage:
        """What it cost; raises as `finished`."""
        return Usage.of(self.finished, self._window)

    def result(self) -> Any:
        """The value of an answer that was given a form, else its text; waits for its end.

        Raises:
            LLMError: it failed.
            ResultError: it ended before its time, or a validator written in Python refuses it.
        """
        for _ in self:
            pass
        text = self.finished.text
        return text if self._parse is None else self._parse(text)

    def close(self) -> None:
        """End it, also while another thread waits for its next piece; harmless when it has ended.

        That thread gets what was written, and then the end, with the reason `cancelled`.
        """
        self._cancel()
        with suppress(ValueError):  # the other thread is inside of it
            self._taken.close()


class Cancelling:
    """Cancels an answer that may not have begun yet; from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._is_cancelled = False
        self._cancel: Callable[[], None] | None = None

    def cancel(self) -> None:
        with self._lock:
            self._is_cancelled = True
            cancel = self._cancel
        if cancel is not None:
            cancel()

    def reach(self, cancel: Callable[[], None]) -> None:
        """It has begun: `cancel` ends it."""
        with self._lock:
            self._cancel = cancel
            is_late = self._is_cancelled
        if is_late:
            cancel()


def _taken(
    events: Generator[Event, None, None],
    pieces: Callable[[Event, int], tuple[T, ...]],
    ended: list[Finished],
) -> Generator[T, None, None]:
    taken = 0
    try:
        for event in events:
            if isinstance(event, Finished):
                ended.append(event)
            yield from pieces(event, taken)
            taken += 0 if isinstance(event, Finished) else len(event.token_ids)
    finally:
        events.close()
