"""A worker process for `test_killed_process`: tells what it is asked, until somebody kills it."""

import asyncio
import sys

from messaging.backends.urls import open_backend
from messaging.bus import Bus
from messaging.handling.context import Context
from tests.messaging.buses import Ask, Told, listening


async def tell(ask: Ask, context: Context) -> None:
    await asyncio.sleep(0.001)  # work, so that a kill finds some of it unfinished
    context.send(Told(text=ask.text), "told")


async def main(url: str, guild_id: str) -> None:
    async with Bus(open_backend(url, guild_id)) as bus:
        await bus.run(listening("team", tell, lease_s=1.0, concurrency=8))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
