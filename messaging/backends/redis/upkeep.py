"""What has to be done now and then: release what is due, trim what is settled."""

import asyncio

from messaging.backends.redis.registry import Registry
from messaging.backends.redis.server import Server


async def trim_topic(server: Server, topic: str) -> int:
    """Drop what every group of `topic` has settled; how many entries that were."""
    dropped = await server.run(
        server.scripts.trim, (server.keys.stream(topic),), server.options.keep_unclaimed
    )
    return int(dropped)


async def trim_all(server: Server, registry: Registry) -> int:
    await registry.refresh()
    return sum(await asyncio.gather(*[trim_topic(server, topic) for topic in registry.topics]))


async def release_due(server: Server, registry: Registry, max_count: int) -> float | None:
    """See `Backend.release_due`. A topic that has gone meanwhile is made again first."""
    keys = server.keys
    while True:
        wait_ms, missing = await server.run(
            server.scripts.release,
            (keys.delays, keys.delayed_bodies, keys.topics),
            max_count,
            keys.stream(""),
            keys.channel(""),
        )
        for topic in {name.decode() for name in missing}:
            await registry.ensure(topic)
        if not missing:
            return None if wait_ms < 0 else wait_ms / 1000
