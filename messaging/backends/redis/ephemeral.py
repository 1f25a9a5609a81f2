"""Ephemeral topics, bounded and expiring, and looking at any topic without owing anything."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import hiredis
import structlog

from messaging.backend import FROM_NOW, FROM_START, Entry
from messaging.backends.redis.claims import redeem_entry
from messaging.backends.redis.connection import ConnectionLostError
from messaging.backends.redis.entries import pack_entry, position_key, unpack_entry
from messaging.backends.redis.replies import code_of
from messaging.backends.redis.server import Server, pack_script
from messaging.backends.redis.wakes import Wakes
from messaging.envelope import Envelope
from messaging.errors import BackendError, WireError

WATCHED_S = 60.0

log = structlog.get_logger(__name__)


async def open_topic(server: Server, topic: str, ttl_s: float, max_entries: int) -> None:
    keys = (server.keys.stream(topic), server.keys.ephemeral(topic))
    await server.run(server.scripts.open_ephemeral, keys, int(ttl_s * 1000), max_entries)


async def close_topic(server: Server, topic: str) -> None:
    await server.link.call("DEL", server.keys.stream(topic), server.keys.ephemeral(topic))


async def emit(server: Server, envelopes: Sequence[Envelope]) -> None:
    """Append at most once: what the server does not answer for is not sent again."""
    limit = server.options.max_envelope_bytes
    by_topic: dict[str, list[bytes]] = {}
    for envelope in envelopes:
        by_topic.setdefault(envelope.topic, []).extend(pack_entry(envelope, limit))
    pipeline = server.link.current()
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
            await server.link.call("SCRIPT", "LOAD", server.scripts.emit.text)
        elif isinstance(outcome, hiredis.ReplyError | ConnectionLostError):
            log.debug("bus.emit_dropped", reason=str(outcome))
        elif isinstance(outcome, BaseException):
            raise outcome


class Tails:
    """Observers of topics. A topic stays watched for a while after it was last tailed."""

    def __init__(self, server: Server, wakes: Wakes) -> None:
        self._server = server
        self._wakes = wakes
        self._watched: dict[str, _Watched] = {}

    async def tail(self, after: Mapping[str, str], max_count: int, wait_s: float) -> list[Entry]:
        """See `Backend.tail`."""
        give_up_at = asyncio.get_running_loop().time() + wait_s
        woken = asyncio.Event()
        positions = {topic: await self._resolve(topic, at) for topic, at in after.items()}
        watched = await self._watch(after)
        for topic in watched:
            topic.waiting.add(woken)
        try:
            while True:
                woken.clear()
                if entries := await self._look(positions, max_count):
                    return entries
                async with asyncio.timeout_at(give_up_at):
                    await woken.wait()
        except TimeoutError:
            return await self._look(positions, max_count)
        finally:
            for topic in watched:
                topic.waiting.discard(woken)

    def forget(self, topic: str) -> None:
        if watched := self._watched.pop(topic, None):
            self._wakes.unwatch({self._server.keys.channel(topic): watched.wake})

    async def _watch(self, topics: Iterable[str]) -> list["_Watched"]:
        now = asyncio.get_running_loop().time()
        fresh: dict[bytes, Callable[[], None]] = {}
        for topic in topics:
            if topic not in self._watched:
                watched = self._watched[topic] = _Watched()
                fresh[self._server.keys.channel(topic)] = watched.wake
            self._watched[topic].used_at = now
        if fresh:
            self._forget_unused(now)
            await self._wakes.watch(fresh)
        return [self._watched[topic] for topic in topics]

    def _forget_unused(self, now: float) -> None:
        for topic, watched in list(self._watched.items()):
            if not watched.waiting and now - watched.used_at > WATCHED_S:
                self.forget(topic)

    async def _resolve(self, topic: str, position: str) -> str:
        if position == FROM_START:
            return "0-0"
        if position != FROM_NOW:
            return position
        try:
            flat = await self._server.link.call("XINFO", "STREAM", self._server.keys.stream(topic))
        except BackendError as error:
            if "no such key" in str(error):
                return "0-0"
            raise
        info = dict(zip(flat[::2], flat[1::2], strict=True))
        return str(info[b"last-generated-id"].decode())

    async def _look(self, positions: dict[str, str], max_count: int) -> list[Entry]:
        keys, entries = self._server.keys, list[Entry]()
        streams = [keys.stream(topic) for topic in positions]
        while not entries:  # entries that cannot be read are passed over, however many there are
            reply = await self._server.link.call(
                "XREAD", "COUNT", max_count, "STREAMS", *streams, *positions.values()
            )
            if not reply:
                return []
            for stream, found in reply:
                topic = keys.topic_of(stream)
                unpacked = [_entry(position, fields, topic) for position, fields in found]
                entries += [entry for entry in unpacked if entry is not None]
                positions[topic] = found[-1][0].decode()
            if len(positions) > 1:
                entries.sort(key=lambda entry: position_key(entry.position))
            whole = [await redeem_entry(self._server, entry) for entry in entries[:max_count]]
            entries = [entry for entry in whole if entry is not None]
        return entries


class _Watched:
    """A topic that somebody tails, or did a moment ago."""

    def __init__(self) -> None:
        self.waiting: set[asyncio.Event] = set()
        self.used_at = 0.0

    def wake(self) -> None:
        for event in self.waiting:
            event.set()


def _entry(position: bytes, fields: Sequence[Any], topic: str) -> Entry | None:
    try:
        return Entry(position.decode(), unpack_entry(fields, topic))
    except WireError as error:
        log.warning("bus.unreadable_entry", topic=topic, reason=str(error))
        return None
