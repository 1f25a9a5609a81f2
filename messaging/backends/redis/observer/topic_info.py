"""How much lies in a topic, without trusting the server's own `lag`, which may be unknown."""

from typing import Any

from messaging.backend import TopicInfo
from messaging.backends.redis.keys import RETURNED
from messaging.backends.redis.server import Server
from messaging.errors import BackendError

PAGE = 1_000


async def topic_info(server: Server, topic: str) -> TopicInfo:
    """Entries of `topic`, and by group how many wait and how many are lent."""
    stream = server.keys.stream(topic)
    entries = int(await server.connection.call("XLEN", stream))
    waiting: dict[str, int] = {}
    pending: dict[str, int] = {}
    for flat in await _groups(server, stream):
        info: dict[bytes, Any] = dict(zip(flat[::2], flat[1::2], strict=True))
        name = info[b"name"].decode()
        returned = await _returned(server, stream, name) if info[b"pending"] else 0
        pending[name] = info[b"pending"] - returned
        lag = info.get(b"lag")
        behind = (
            lag if lag is not None else await _count(server, stream, info[b"last-delivered-id"])
        )
        waiting[name] = behind + returned
    return TopicInfo(topic, entries, waiting, pending)


async def _groups(server: Server, stream: bytes) -> list[Any]:
    try:
        return list(await server.connection.call("XINFO", "GROUPS", stream))
    except BackendError as error:
        if "no such key" in str(error):
            return []
        raise


async def _returned(server: Server, stream: bytes, group: str) -> int:
    """Entries that whoever left has given back; the server counts them as lent."""
    summary = await server.connection.call("XPENDING", stream, group)
    return sum(int(count) for name, count in summary[3] or () if name == RETURNED.encode())


async def _count(server: Server, stream: bytes, after: bytes) -> int:
    """Entries behind a position, page by page."""
    count, start = 0, b"(" + after
    while page := await server.connection.call("XRANGE", stream, start, "+", "COUNT", PAGE):
        count += len(page)
        start = b"(" + page[-1][0]
    return count
