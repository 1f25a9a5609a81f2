"""Runs the shop in a process of its own: `python -m tests.approvals.worker URL [WHERE WHICH]`.

At its arrival number WHICH at the hold point WHERE it says so and stands still, to be killed.
"""

import asyncio
import sys

from agents.llm.bus.approving import ApproveByMessages
from guild import Guild
from messaging.backends.redis import RedisBackend
from tests.approvals.shop import Spender, crashing_shop
from tests.reliability.workers.hold_points import HoldPoints, say, watch
from tests.reliability.workers.orders import READY, Orders


async def main(url: str, where: str = "", which: str = "1") -> None:
    async with Guild.launch(crashing_shop(), bus=url) as guild:
        Spender.asks = ApproveByMessages(guild.client)
        backend = guild.client.bus.backend
        assert isinstance(backend, RedisBackend)
        assert backend._parts is not None
        orders = Orders(url=url, guild_id="shop", hold_at=where, hold_on=int(which))
        watch(HoldPoints(orders), backend._parts.server)
        say(READY)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
