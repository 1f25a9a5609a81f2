"""What any bus that handles messages does for all: release what is due, trim what is settled."""

import asyncio
from collections.abc import Awaitable, Callable

from messaging.backend import Backend
from messaging.control.outages import Outages
from messaging.errors import BackendError
from messaging.process.logs import get_logger

log = get_logger()

RELEASE_EVERY_S = 0.25
TRIM_EVERY_S = 10.0
RECOVERY_S = 1.0


class Maintenance:
    """Two endless chores; harmless when several processes do them at the same time."""

    def __init__(self, backend: Backend, outages: Outages) -> None:
        self._backend = backend
        self._outages = outages
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; starting again does nothing."""
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(_repeat(self._release, self._outages), name="release-due"),
                asyncio.create_task(_repeat(self._trim, self._outages), name="trim"),
            ]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _release(self) -> float:
        due_in_s = await self._backend.release_due()
        return RELEASE_EVERY_S if due_in_s is None else min(max(due_in_s, 0.0), RELEASE_EVERY_S)

    async def _trim(self) -> float:
        await self._backend.trim()
        return TRIM_EVERY_S


async def _repeat(chore: Callable[[], Awaitable[float]], outages: Outages) -> None:
    while True:
        try:
            wait_s = await chore()
        except BackendError as error:
            outages.warn("maintenance.failed", error)
            wait_s = RECOVERY_S
        except Exception:  # a bug of ours must not end the chore for good
            log.exception("maintenance.broken")
            wait_s = RECOVERY_S
        await asyncio.sleep(wait_s)
