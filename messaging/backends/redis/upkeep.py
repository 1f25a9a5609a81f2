"""What has to be done now and then: release what is due, trim what is settled."""

import asyncio
from typing import NamedTuple

from messaging.backends.redis.registry import Registry
from messaging.backends.redis.server import Server


class Trimmed(NamedTuple):
    """What trimming a topic came to: entries `dropped` and `left`, and who needs the oldest."""

    dropped: int
    left: int
    lagging: str


async def trim_topic(server: Server, topic: str, keep_settled_s: float = 0.0) -> Trimmed:
    """Drop what every group of `topic` has settled so long ago."""
    dropped, left, lagging = await server.run(
        server.scripts.trim,
        (server.keys.stream(topic),),
        server.options.keep_unclaimed,
        int(1000 * keep_settled_s),
    )
    return Trimmed(dropped, left, lagging.decode())


async def trim_all(server: Server, registry: Registry) -> int:
    await registry.refresh()
    keep_s = server.options.keep_settled_s
    trims = [trim_topic(server, topic, keep_s) for topic in registry.topics]
    return sum(trimmed.dropped for trimmed in await asyncio.gather(*trims))


async def release_due(server: Server, registry: Registry, max_count: int) -> float | None:
    """See `Backend.release_due`. A topic that has gone meanwhile is made again first.

    Raises:
        BackendSetupError: a topic's key holds something else; what is for others was released.
    """
    keys = server.keys
    while True:
        wait_ms, missing, odd = await server.run(
            server.scripts.release,
            (keys.delays, keys.delayed_bodies, keys.topics),
            max_count,
            keys.stream(""),
            keys.channel(""),
        )
        topics = {name.decode() for name in missing}
        await asyncio.gather(*map(registry.ensure, topics))
        await server.link.check_types({*odd})
        if not missing:
            return None if wait_ms < 0 else wait_ms / 1000
