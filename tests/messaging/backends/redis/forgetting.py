"""A server that comes back with an older copy of its data; it has to have `appendfsync always`."""

import asyncio
from pathlib import Path

from tests.servers import RedisServer


def log_bytes(server: RedisServer) -> int:
    return _log_of(server).stat().st_size


async def forget(server: RedisServer, kept_bytes: int) -> None:
    """Kill it, and bring it back with no more than the first bytes of its file."""
    server.kill()
    with _log_of(server).open("r+b") as log:
        log.truncate(kept_bytes)
    await asyncio.to_thread(server.start)


def _log_of(server: RedisServer) -> Path:
    (log,) = server.folder.glob("appendonlydir/*.incr.aof")
    return log
