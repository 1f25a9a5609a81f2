"""How much lies in a topic, without trusting the server's own `lag`, which may be unknown."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from messaging.backend import TopicInfo
from messaging.backends.redis.entries import position_key
from messaging.backends.redis.keys import RETURNED
from messaging.backends.redis.observer.positions import time_of
from messaging.backends.redis.server import Server
from messaging.errors import BackendError

PAGE = 1_000


class _Owed(NamedTuple):
    """What a group has not settled; `oldest` is a position, "" when there is nothing."""

    group: str
    waiting: int
    pending: int
    oldest: str


async def topic_infos(server: Server, topics: Sequence[str]) -> list[TopicInfo]:
    """Of each topic its entries, and by group how many wait and are lent, and since when."""
    now = await time_of(server)
    return list(await asyncio.gather(*[_topic_info(server, topic, now) for topic in topics]))


async def _topic_info(server: Server, topic: str, now: float) -> TopicInfo:
    stream = server.keys.stream(topic)
    entries, groups = await asyncio.gather(
        server.connection.call("XLEN", stream), _groups(server, stream)
    )
    owed = await asyncio.gather(
        *[_owed(server, stream, dict(zip(flat[::2], flat[1::2], strict=True))) for flat in groups]
    )
    return TopicInfo(
        topic,
        int(entries),
        {each.group: each.waiting for each in owed},
        {each.group: each.pending for each in owed},
        {each.group: _age(each.oldest, now) for each in owed if each.oldest},
    )


async def _groups(server: Server, stream: bytes) -> list[Any]:
    try:
        return list(await server.connection.call("XINFO", "GROUPS", stream))
    except BackendError as error:
        if "no such key" in str(error):
            return []
        raise


async def _owed(server: Server, stream: bytes, info: dict[bytes, Any]) -> _Owed:
    group, returned, oldest = info[b"name"].decode(), 0, ""
    if info[b"pending"]:
        returned, oldest = await _lent(server, stream, group)
    after, behind = info[b"last-delivered-id"], info.get(b"lag")
    if behind is None:
        behind = await _count(server, stream, after)
    if behind and not oldest:  # what was lent lies in front of all that was not
        oldest = await _first_behind(server, stream, after)
    return _Owed(group, behind + returned, info[b"pending"] - returned, oldest)


async def _lent(server: Server, stream: bytes, group: str) -> tuple[int, str]:
    """How much was given back, which the server counts as lent; and the oldest that is lent."""
    _, oldest, _, counts = await server.connection.call("XPENDING", stream, group)
    returned = sum(int(count) for name, count in counts or () if name == RETURNED.encode())
    return returned, oldest.decode() if oldest else ""


async def _first_behind(server: Server, stream: bytes, after: bytes) -> str:
    found = await _behind(server, stream, after, 1)
    return str(found[0][0].decode()) if found else ""


async def _count(server: Server, stream: bytes, after: bytes) -> int:
    """Entries behind a position, page by page."""
    count = 0
    while page := await _behind(server, stream, after, PAGE):
        count += len(page)
        after = page[-1][0]
    return count


async def _behind(server: Server, stream: bytes, after: bytes, max_count: int) -> list[Any]:
    found = await server.connection.call("XRANGE", stream, b"(" + after, "+", "COUNT", max_count)
    return list(found or ())


def _age(position: str, now: float) -> float:
    return max(0.0, now - position_key(position)[0] / 1000)
