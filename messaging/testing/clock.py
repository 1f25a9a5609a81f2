"""A clock that a test turns, so that an hour passes in a millisecond.

clock = TestClock()
async with memory_bus(Ask, Told, clock=clock) as bus:
    await bus.subscribe(...)
    await bus.publish("asks", Ask(text="later"), delay_s=3600)
    await clock.advance(3600)  # released and handled by now
"""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from messaging.bus import Bus
from messaging.process.time_limits import check_finite
from messaging.testing.stillness import until_still

TURN_PATIENCE_S = 10.0
ROUNDING_S = 1e-6  # sums of floats are a little off: what is due must be due once it is that time


class TestClock:
    """Stands still until it is turned; belongs to one event loop.

    Delayed messages, timers, schedules, retries and deadlines go by it, and nothing else does:
    time-outs of requests and handlers, leases and pauses between restarts are real.

    Args:
        at: what time it is at first, with a time zone; None for now.
    """

    __test__ = False  # pytest takes it for a test

    def __init__(self, at: datetime | None = None) -> None:
        if at is not None and at.tzinfo is None:
            raise ValueError(f"at needs a time zone: {at.isoformat()} could be any")
        self._began_at = time.time() if at is None else at.timestamp()
        self._elapsed_s = 0.0
        self._calls: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._numbers = itertools.count()
        self._buses: list[Bus] = []

    def time(self) -> float:
        return self._began_at + self._elapsed_s

    def monotonic(self) -> float:
        return self._elapsed_s

    def call_later(self, delay_s: float, callback: Callable[..., object], *args: Any) -> None:
        due_s = self._elapsed_s + delay_s
        heapq.heappush(self._calls, (due_s, next(self._numbers), callback, args))

    @property
    def now(self) -> datetime:
        """What time it is, in UTC."""
        return datetime.fromtimestamp(self.time(), UTC)

    def watch(self, bus: Bus) -> None:
        """Have `advance` wait for what is handled on `bus`, whose backend has this clock."""
        if bus.clock is not self:
            raise ValueError(
                "the bus goes by another clock: hand this one to memory_bus(clock=…), to "
                "launched(clock=…), or to the MemoryBackend beneath it"
            )
        self._buses.append(bus)

    async def advance(self, seconds: float = 0.0, *, timeout_s: float = TURN_PATIENCE_S) -> None:
        """Turn the clock, and return when what is due by then was released and handled.

        It goes from one due time to the next, and each finds everything before it handled: what
        handlers set for later, within these `seconds`, comes in its order. A handler that waits
        for what comes later, as for the answer to a `ctx.request`, does not hold it up.

        Args:
            seconds: how far; 0 only waits for what is to be done now.
            timeout_s: for how long, in real time, handlers may go on.

        Raises:
            TimeoutError: some did not come to an end; says which agents have how much in hand.
        """
        check_finite(seconds=seconds, timeout_s=timeout_s)
        if seconds < 0:
            raise ValueError(f"time does not go back: advance({seconds})")
        until_s = self._elapsed_s + seconds
        begun_at = asyncio.get_running_loop().time()

        async def is_due_later() -> bool:
            return await self._release(until_s) is not None

        while True:
            await self._release(until_s)
            await until_still(
                self._open_buses(), timeout_s=timeout_s, begun_at=begun_at, goes_on=is_due_later
            )
            due_s = await self._release(until_s)
            if due_s is None:
                break
            self._elapsed_s = max(self._elapsed_s, due_s)
        self._elapsed_s = until_s

    async def _release(self, until_s: float) -> float | None:
        """Let go what is due now; when the next is due, if that is by `until_s`."""
        while self._calls and self._calls[0][0] <= self._elapsed_s:
            _, _, callback, args = heapq.heappop(self._calls)
            callback(*args)
        due = [self._calls[0][0]] if self._calls else []
        for bus in self._open_buses():
            while (wait_s := await bus.backend.release_due()) == 0.0:
                pass
            if wait_s is not None:
                due.append(self._elapsed_s + wait_s + ROUNDING_S)
        return min((each for each in due if each < until_s + 3 * ROUNDING_S), default=None)

    def _open_buses(self) -> list[Bus]:
        self._buses = [bus for bus in self._buses if bus.is_open]
        return self._buses
