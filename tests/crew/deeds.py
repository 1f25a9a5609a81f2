"""What an input may have a handler do to its own process."""

import asyncio
from collections.abc import Awaitable, Callable

from messaging.context import Context

Deed = Callable[[Context], Awaitable[None]]


async def dally(context: Context) -> None:
    """Take so long that much is lent and waits."""
    await asyncio.sleep(0.05)


async def never_end(context: Context) -> None:
    """Wait until somebody cancels this."""
    await asyncio.Event().wait()


DEEDS: dict[str, Deed] = {"dally": dally, "never end": never_end}
