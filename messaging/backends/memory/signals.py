"""Wakes readers that wait for something to arrive under one of several names."""

import asyncio
from collections.abc import Collection

from messaging.process.time_limits import TimeLimits


class Signals:
    """Costs one look at an empty dict while nobody waits.

    Attributes:
        waiting: by name, those who wait for it.
    """

    def __init__(self) -> None:
        self.waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._limits = TimeLimits[asyncio.Future[None]]()

    def fire(self, name: str) -> None:
        """Wake all that wait for `name`; each looks for itself what is left."""
        if self.waiting:
            for waiter in self.waiting.pop(name, ()):
                if not waiter.done():
                    waiter.set_result(None)

    def fire_all(self) -> None:
        for name in tuple(self.waiting):
            self.fire(name)

    async def wait(self, names: Collection[str], wait_s: float) -> None:
        """Return when one of `names` fires, at the latest after `wait_s`."""
        waiter = asyncio.get_running_loop().create_future()
        self._limits.add(waiter, wait_s, _resolve)
        for name in names:
            self.waiting.setdefault(name, []).append(waiter)
        try:
            await waiter
        finally:
            self._limits.remove(waiter)
            for name in names:
                if name in self.waiting:  # it did not fire, or there are new ones
                    self._forget(name, waiter)

    def _forget(self, name: str, waiter: asyncio.Future[None]) -> None:
        waiters = self.waiting[name]
        if waiter in waiters:
            waiters.remove(waiter)
            if not waiters:
                del self.waiting[name]


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
