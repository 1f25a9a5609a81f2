"""What time it is to the bus: the system's, or one that a test turns (`messaging.testing`).

What is due by it: delayed messages, timers, schedules, retries and deadlines. What watches over
processes and connections (leases, beats, time-outs of handlers and requests) has no part in it: a
test that turns the clock must not look like a machine that stood still.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol


class Clock(Protocol):
    """Tells the time, and calls when it has come."""

    def time(self) -> float:
        """Unix seconds."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; they never go back, whatever somebody sets."""
        ...

    def call_later(self, delay_s: float, callback: Callable[..., object], *args: Any) -> object:
        """Call `callback(*args)` on the running loop in `delay_s` seconds."""
        ...


class SystemClock:
    """The clocks of this machine and of the running loop."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def call_later(self, delay_s: float, callback: Callable[..., object], *args: Any) -> object:
        return asyncio.get_running_loop().call_later(delay_s, callback, *args)


SYSTEM = SystemClock()
