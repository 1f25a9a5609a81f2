"""What an input may have a handler do to its own process."""

import asyncio
import os
import resource
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from messaging.handling.context import Context
from tests.reliability.workers.hold_points import say
from tests.reliability.workers.orders import COUNTED, ENDLESS, STARVED, TOTAL, Total

STARVES_S = 3.0
SPARE_BYTES = 8 << 20
STANDARD_STREAMS = 3

HandlerFault = Callable[[Context], Awaitable[None]]


async def dally(context: Context) -> None:
    """Take so long that much is lent and waits."""
    await asyncio.sleep(0.05)


async def use_up_memory(context: Context) -> None:
    """Leave this process no memory for a while; the next attempt is modest."""
    if context.attempt > 1:
        return
    resource.setrlimit(resource.RLIMIT_AS, (_size_bytes() + SPARE_BYTES, resource.RLIM_INFINITY))
    hoard: list[bytes] = []
    try:
        for size_bytes in (1 << 20, 1 << 17):  # not enough is left to receive by
            with suppress(MemoryError):
                while True:
                    hoard.append(bytes(size_bytes))
        say(STARVED)
        await asyncio.sleep(STARVES_S)
    finally:
        hoard.clear()
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    raise MemoryError("this handler wanted more than there is")


async def use_up_descriptors(context: Context) -> None:
    """Leave this process no descriptor for a while, then answer as if nothing had been."""
    if context.attempt > 1:
        return
    _, most = limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (STANDARD_STREAMS, most))
    say(STARVED)
    await asyncio.sleep(STARVES_S)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def _size_bytes() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
    return int(pages) * resource.getpagesize()


async def never_end(context: Context) -> None:
    """Wait until somebody cancels this."""
    say(ENDLESS)
    await asyncio.Event().wait()


async def die(context: Context) -> None:
    """Take the process along."""
    os.kill(os.getpid(), signal.SIGKILL)


async def stall(context: Context) -> None:
    """Come to no end; the next attempt does."""
    if context.attempt == 1:
        await never_end(context)


async def count(context: Context) -> None:
    """Add one to a total that all inputs share."""
    total = await context.state.load(TOTAL, Total) or Total()
    say(COUNTED)
    await asyncio.sleep(0)
    context.state.save(TOTAL, Total(number=total.number + 1))


HANDLER_FAULTS: dict[str, HandlerFault] = {
    "dally": dally,
    "use up memory": use_up_memory,
    "use up descriptors": use_up_descriptors,
    "never end": never_end,
    "die": die,
    "stall": stall,
    "count": count,
}
