"""The tasks in which handlers run: always as many as wanted, whatever a handler did to its own."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context

from messaging.consuming.task_scope import TaskScope
from messaging.handling.worker_slot import UnsettledError
from messaging.process.logs import get_logger

log = get_logger()

CLEANUP_S = 2.0
LAST_WORD_S = 0.5


class Workers:
    """The workers of one consumer loop.

    Args:
        work: what each of them does until the scope ends; begins with what another one left.

    Attributes:
        is_ending: they were cancelled. What they have in hand is given back, whatever its handlers
            make of that.
    """

    def __init__(
        self,
        group: str,
        scope: TaskScope,
        work: Callable[[UnsettledError | None], Coroutine[None, None, None]],
    ) -> None:
        self._group = group
        self._scope = scope
        self._work = work
        self._clean = copy_context()
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_ending = False

    def start(self, left: UnsettledError | None = None) -> None:
        """One more, in a context that no handler has seen; none once they end."""
        if self.is_ending:
            return
        self.adopt(self._scope.start(self._work(left), context=self._clean.copy()))

    def adopt(self, task: asyncio.Task[None]) -> None:
        """Have `task` end with them."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def wait(self) -> None:
        """Return when all have ended by themselves."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def end(self) -> None:
        """Cancel them, and return when they have ended, or will not within a few seconds."""
        self.is_ending = True
        for patience_s in (CLEANUP_S, LAST_WORD_S):
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=patience_s)
        if self._tasks:
            why = "they do not end when they are cancelled"
            log.error("handlers.abandoned", agent=self._group, count=len(self._tasks), why=why)
            self._tasks.clear()
