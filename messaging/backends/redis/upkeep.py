"""What has to be done now and then: release what is due, trim what is settled."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from messaging.backends.redis.registry.registry import TopicRegistry
from messaging.backends.redis.server import Server

TOPICS_AT_ONCE = 64


class Trimmed(NamedTuple):
    """What trimming a topic came to: entries `dropped` and `left`; which group needs the oldest."""

    dropped: int
    left: int
    lagging: str


async def trim_topic(server: Server, topic: str, keep_settled_s: float = 0.0) -> Trimmed:
    """Drop what every group of `topic` has settled so long ago."""
    for trimmed in await _trim(server, [topic], keep_settled_s):
        return trimmed
    return Trimmed(0, 0, "")


async def trim_all(server: Server, registry: TopicRegistry) -> int:
    """See `Backend.trim`. A key that holds something else keeps no other topic from it.

    Raises:
        BackendSetupError: names that key; all others were trimmed.
    """
    await registry.refresh()
    topics, keep_s = list(registry.topics), server.options.keep_settled_s
    parts = [topics[at : at + TOPICS_AT_ONCE] for at in range(0, len(topics), TOPICS_AT_ONCE)]
    trims = await asyncio.gather(*[_trim(server, part, keep_s) for part in parts])
    return sum(trimmed.dropped for part in trims for trimmed in part)


async def _trim(server: Server, topics: Sequence[str], keep_settled_s: float) -> list[Trimmed]:
    found, odd = await server.run(
        server.scripts.trim,
        [*map(server.keys.stream, topics)],
        server.options.keep_unclaimed,
        int(1000 * keep_settled_s),
    )
    await server.connection.check_types({*odd})
    return [Trimmed(dropped, left, lagging.decode()) for dropped, left, lagging in found]


async def release_due(server: Server, registry: TopicRegistry, max_count: int) -> float | None:
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
        await server.connection.check_types({*odd})
        if not missing:
            return None if wait_ms < 0 else wait_ms / 1000
