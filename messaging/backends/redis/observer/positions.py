"""Where in a stream a moment lies: a position is a time of the server in ms, and a count."""

import asyncio
import re
from collections.abc import Collection, Mapping

from messaging.backend import FROM_START
from messaging.backends.redis.entries import position_key
from messaging.backends.redis.server import Server
from messaging.errors import BackendError

_POSITION = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
_MOST = 2**64 - 1


async def time_of(server: Server) -> float:
    """Unix seconds by the server's clock."""
    seconds, microseconds = await server.connection.call("TIME")
    return int(seconds) + int(microseconds) / 1e6


async def positions_at(server: Server, topics: Collection[str], at: float) -> Mapping[str, str]:
    """See `Backend.positions_at`.

    A stream goes on behind its last entry whatever happens to the clock. So that is the position
    where it comes first: a clock that is set back later hides nothing.
    """
    moment = _in_front_of(int(at * 1000))
    lasts = await asyncio.gather(*[last_position(server, topic) for topic in topics])
    return {
        topic: FROM_START if last is None else min(moment, last, key=position_key)
        for topic, last in zip(topics, lasts, strict=True)
    }


async def last_position(server: Server, topic: str) -> str | None:
    """The last position that a stream gave; None when it is not there."""
    try:
        flat = await server.connection.call("XINFO", "STREAM", server.keys.stream(topic))
    except BackendError as error:
        if "no such key" in str(error):
            return None
        raise
    info = dict(zip(flat[::2], flat[1::2], strict=True))
    return str(info[b"last-generated-id"].decode())


def just_before(position: str) -> str:
    """See `Backend.just_before`."""
    if _POSITION.fullmatch(position):
        milliseconds, count = position_key(position)
        if (milliseconds, count) != (0, 0) and max(milliseconds, count) <= _MOST:
            return f"{milliseconds}-{count - 1}" if count else _in_front_of(milliseconds)
    raise ValueError(f"{position!r} is no position of an entry on a server")


def _in_front_of(milliseconds: int) -> str:
    return f"{min(milliseconds - 1, _MOST)}-{_MOST}" if milliseconds > 0 else "0-0"
