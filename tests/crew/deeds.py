"""What an input may have a handler do to its own process."""

import asyncio
from collections.abc import Awaitable, Callable

from messaging.context import Context

Deed = Callable[[Context], Awaitable[None]]


async def rest(context: Context) -> None:
    """Take long."""
    await asyncio.sleep(3600)


DEEDS: dict[str, Deed] = {"rest": rest}
