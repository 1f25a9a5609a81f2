"""A relay in a process of its own: takes what is for the guild `other` there, until it is killed.

python -m tests.messaging.client.relay_worker URL GUILD URL_OF_THE_OTHER
"""

import asyncio
import sys

from messaging.backends.urls import open_backend
from messaging.bus import Bus


async def main(url: str, guild_id: str, other: str) -> None:
    async with Bus(open_backend(url, guild_id), guild_id=guild_id) as bus:
        await (await bus.relay("other", other, lease_s=1.0)).wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
