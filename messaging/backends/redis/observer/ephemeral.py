"""Ephemeral topics: bounded, expiring, without groups."""

import asyncio
from collections.abc import Sequence

import hiredis

from messaging.backends.redis.connection.error_replies import code_of
from messaging.backends.redis.connection.pipeline import ConnectionLostError, pack_script
from messaging.backends.redis.entries import pack_entry
from messaging.backends.redis.server import Server
from messaging.process.logs import get_logger
from messaging.wire.envelope import Envelope

log = get_logger()


async def open_topic(server: Server, topic: str, ttl_s: float, max_entries: int) -> None:
    keys = (server.keys.stream(topic), server.keys.ephemeral(topic))
    await server.run(server.scripts.open_ephemeral, keys, int(ttl_s * 1000), max_entries)


async def close_topic(server: Server, topic: str) -> None:
    await server.connection.call("DEL", server.keys.stream(topic), server.keys.ephemeral(topic))


async def emit(server: Server, envelopes: Sequence[Envelope]) -> None:
    """Append at most once: what the server does not answer for is not sent again."""
    limit = server.options.max_envelope_bytes
    by_topic: dict[str, list[bytes]] = {}
    for envelope in envelopes:
        by_topic.setdefault(envelope.topic, []).extend(pack_entry(envelope, limit))
    pipeline = server.connection.current()
    if pipeline is None:
        return
    replies = [
        pipeline.send(
            pack_script(
                server.scripts.emit,
                (server.keys.stream(topic), server.keys.ephemeral(topic)),
                (server.keys.channel(topic), *parts),
            )
        )
        for topic, parts in by_topic.items()
    ]
    for outcome in await asyncio.gather(*replies, return_exceptions=True):
        if isinstance(outcome, hiredis.ReplyError) and code_of(outcome) == "NOSCRIPT":
            await server.connection.call("SCRIPT", "LOAD", server.scripts.emit.text)
        elif isinstance(outcome, hiredis.ReplyError | ConnectionLostError):
            log.debug("bus.emit_dropped", reason=str(outcome))
        elif isinstance(outcome, BaseException):
            raise outcome
