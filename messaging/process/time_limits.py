"""Time limits of waits that nearly always end before: one timer of the loop for all of them."""

import asyncio
import sys
from collections.abc import Callable
from contextvars import Context
from typing import Generic, TypeVar

SLACK_S = 0.01
"""How much later than its limit a wait may end: so that many limits are not looked at too often."""

T = TypeVar("T")


def check_finite(**numbers: object) -> None:
    """Refuse by name what no clock can count down.

    Raises:
        TypeError: it is no number.
        ValueError: it is NaN or infinite.
    """
    for name, number in numbers.items():
        error = f"{name} must be a finite number, not {number!r}"
        if not isinstance(number, int | float):
            raise TypeError(error)
        if not abs(number) <= sys.float_info.max:
            raise ValueError(error)


def check_whole(**numbers: object) -> None:
    """Raise ValueError, by name, for what is no whole number."""
    for name, number in numbers.items():
        if not isinstance(number, int):
            raise ValueError(f"{name} must be a whole number, not {number!r}")  # noqa: TRY004 - as above


class TimeLimits(Generic[T]):
    """Ends each wait that is not over by its limit.

    A timer of the loop takes 3 µs to set and to cancel. Noting a limit takes a tenth of that, and
    the one timer stays where it is, for the wait that ends first.
    """

    def __init__(self) -> None:
        self._limits: dict[T, tuple[float, Callable[[T], object]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def add(self, wait: T, wait_s: float, end: Callable[[T], object]) -> None:
        """Call `end(wait)` after `wait_s`, unless it is removed by then."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + wait_s
        self._limits[wait] = ends_at, end
        if loop is not self._loop or self._timer is None or ends_at < self._timer.when():
            self._look_at(loop, ends_at)

    def remove(self, wait: T) -> None:
        """It is over."""
        self._limits.pop(wait, None)

    def _look_at(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._loop = loop
        # It serves other waiters too, and must not keep alive what is in the context of this one.
        self._timer = loop.call_at(when, self._look, loop, context=Context())

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        late = [wait for wait, (ends_at, _) in self._limits.items() if ends_at <= now]
        for wait in late:
            _, end = self._limits.pop(wait)
            end(wait)
        if self._limits and self._timer is None:
            soonest = min(ends_at for ends_at, _ in self._limits.values())
            self._look_at(loop, max(soonest, now + SLACK_S))
