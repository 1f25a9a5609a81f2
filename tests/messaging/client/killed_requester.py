"""A process for `test_following` that asks under an id, until somebody kills it."""

import asyncio
import sys

from messaging.backends.urls import open_backend
from messaging.bus import Bus
from tests.messaging.buses import Ask


async def main(url: str, guild_id: str, message_id: str) -> None:
    async with Bus(open_backend(url, guild_id)) as bus:
        await bus.request("asks", Ask(text="once"), message_id=message_id)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
