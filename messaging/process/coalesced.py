"""An action that many ask for at the same time, and that is done for all of them at once."""

import asyncio
from collections.abc import Awaitable, Callable


class Coalesced:
    """Awaiting a call returns after a run of `action` that began behind the call.

    However many call while it runs, it runs once more for all of them. A run that fails counts for
    the one caller that gets its error; the others try again.
    """

    def __init__(self, action: Callable[[], Awaitable[None]]) -> None:
        self._action = action
        self._one_at_a_time = asyncio.Lock()
        self._begun = self._done = 0

    @property
    def is_running(self) -> bool:
        return self._one_at_a_time.locked()

    async def __call__(self) -> None:
        begun_before = self._begun
        async with self._one_at_a_time:
            if self._done > begun_before:
                return
            self._begun = number = self._begun + 1
            await self._action()
            self._done = number
