"""Watches a guild in a process of its own; its argument is the bus."""

import asyncio
import sys

from guild.client import GuildClient
from guild.testing import guild_of
from tests.guild.samples import Echo


async def main(url: str) -> None:
    async with GuildClient.connect(guild_of(Echo), bus=url) as client:
        print("ready", flush=True)  # noqa: T201 - the test waits for this line
        async for _ in client.live():
            pass


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
