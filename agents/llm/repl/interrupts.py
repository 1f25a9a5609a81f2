"""What Ctrl-C does in a talk at a terminal."""

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any


class Interrupts:
    """At the prompt Ctrl-C raises `KeyboardInterrupt`; everywhere else it ends the answer.

    It belongs to the main thread. Whenever it comes, one of the two happens: also between a
    question and the first moment of its answer.
    """

    def __init__(self) -> None:
        self._is_reading = False
        self._has_come = False
        self._answering: asyncio.Task[None] | None = None

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Take SIGINT over while the block runs."""
        before = signal.signal(signal.SIGINT, self._take)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While somebody types."""
        self._has_come = False
        self._is_reading = True
        try:
            yield
        finally:
            self._is_reading = False

    async def until_interrupted(self, answering: Coroutine[Any, Any, None]) -> None:
        """Run to the end, or until Ctrl-C; errors are raised."""
        task = self._answering = asyncio.ensure_future(answering)
        if self._has_come:
            task.cancel()
        try:
            await asyncio.wait({task})
        finally:
            self._answering = None
        if not task.cancelled():
            task.result()

    def _take(self, *_: object) -> None:
        if self._is_reading:
            raise KeyboardInterrupt
        self._has_come = True
        if self._answering is not None:
            self._answering.get_loop().call_soon_threadsafe(self._answering.cancel)
