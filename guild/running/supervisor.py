"""Starts an agent again when it crashes, and gives up on one that does nothing else."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from guild.spec.spec import RestartSpec

Life = Callable[[], Awaitable[None]]
"""Runs an agent until it ends; an exception is a crash."""


class Verdict(NamedTuple):
    """How supervision ended.

    Attributes:
        error: the last crash; None when the agent ended by itself or was told to.
        is_crash_loop: whether it crashed more often than its policy bears.
    """

    error: Exception | None
    is_crash_loop: bool


class Supervisor:
    """Keeps one agent alive as its restart policy says.

    Args:
        spec: the policy.
        on_crash: told of each crash that a restart follows, and after how many seconds.
        clock: seconds that only grow.
        sleep: waits that many seconds.
    """

    def __init__(
        self,
        spec: RestartSpec,
        *,
        on_crash: Callable[[Exception, float], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._spec = spec
        self._on_crash = on_crash
        self._clock = clock
        self._sleep = sleep
        self._recent: deque[float] = deque()
        self.restarts = 0

    async def keep(self, live: Life, *, is_stopping: Callable[[], bool]) -> Verdict:
        """Run `live`, again and again if need be, until it is over for good."""
        while True:
            error = await _outcome(live)
            if is_stopping() or not self._restarts_after(error):
                return Verdict(error, is_crash_loop=False)
            if not self._may_restart():
                return Verdict(error, is_crash_loop=True)
            wait_s = self._wait_s()
            if error is not None:
                self._on_crash(error, wait_s)
            await self._sleep(wait_s)
            if is_stopping():
                return Verdict(None, is_crash_loop=False)
            self.restarts += 1

    def _restarts_after(self, error: Exception | None) -> bool:
        policy = self._spec.policy
        return policy == "permanent" or (policy == "transient" and error is not None)

    def _may_restart(self) -> bool:
        """Count one more restart, unless there were too many of late."""
        now = self._clock()
        while self._recent and now - self._recent[0] > self._spec.within_s:
            self._recent.popleft()
        if len(self._recent) >= self._spec.intensity:
            return False
        self._recent.append(now)
        return True

    def _wait_s(self) -> float:
        doublings = min(len(self._recent) - 1, 60)
        return min(self._spec.backoff_s * 2.0**doublings, self._spec.max_backoff_s)


async def _outcome(live: Life) -> Exception | None:
    try:
        await live()
    except Exception as error:  # noqa: BLE001 - whatever it is, the policy decides
        return error
    return None
