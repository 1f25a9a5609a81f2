"""The tasks that are the work of one incarnation, and how that comes to its end."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from typing import Any

from messaging.errors import BackendUnavailableError

LEAVE_S = 2.0


class TaskScope:
    """Lasts until it is stopped, or until one of its tasks fails."""

    def __init__(self, name: str) -> None:
        self.is_stopping = False
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[None] = self._loop.create_future()

    def start(
        self, work: Coroutine[Any, Any, None], context: Context | None = None
    ) -> asyncio.Task[None]:
        """Begin a task; what it fails with, `wait` raises."""
        task = self._loop.create_task(work, name=self._name, context=context)
        task.add_done_callback(self._notice)
        return task

    def stop(self) -> None:
        self.is_stopping = True
        if not self._end.done():
            self._end.set_result(None)

    async def wait(self) -> None:
        """Return when it was stopped, or raise what a task failed with before that."""
        await self._end

    async def linger(self, wait_s: float) -> None:
        """Return after `wait_s`, or as soon as it is stopped."""
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await asyncio.shield(self._end)

    def _notice(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) and not self._end.done():
            self._end.set_exception(error)


@asynccontextmanager
async def farewell(group: str) -> AsyncIterator[None]:
    """A block that gives back what a consumer of `group` was lent, and has little time for it.

    Raises:
        BackendUnavailableError: it took too long.
    """
    try:
        async with asyncio.timeout(LEAVE_S):
            yield
    except TimeoutError as error:  # what a read that ends here was lent, others take over, too
        raise BackendUnavailableError(
            f"the store did not answer {group} for {LEAVE_S:g} s when it left; "
            "what it was lent goes to the others, or to whoever starts next"
        ) from error
