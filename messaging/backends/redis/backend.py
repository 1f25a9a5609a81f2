"""The Redis backend: a facade that hands each promise to the file that keeps it."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from messaging.backend import (
    FROM_START,
    Consumer,
    DeadLetter,
    Entry,
    Incident,
    StateKey,
    StateValue,
    TopicInfo,
)
from messaging.backends.redis import upkeep
from messaging.backends.redis.admin import dead_letters
from messaging.backends.redis.admin.server_checks import check_server, recheck_durable
from messaging.backends.redis.connection.connection import Address, Connection
from messaging.backends.redis.connection.endpoint import EmbeddedAddress
from messaging.backends.redis.connection.notifications import Notifications
from messaging.backends.redis.connection.replication import Replication
from messaging.backends.redis.consumer.beats import Beats
from messaging.backends.redis.consumer.patrol import Patrol
from messaging.backends.redis.observer import ephemeral, positions
from messaging.backends.redis.observer.tails import Tails
from messaging.backends.redis.observer.topic_info import topic_infos
from messaging.backends.redis.producer.producer import Append, Producer
from messaging.backends.redis.registry.membership import Membership
from messaging.backends.redis.registry.registry import TopicRegistry
from messaging.backends.redis.server import Options, Server
from messaging.errors import BackendError, BusClosedError, BusForkedError
from messaging.process.clock import SYSTEM, Clock
from messaging.process.forks import keep_from_children
from messaging.process.logs import get_logger
from messaging.wire.envelope import Envelope

log = get_logger()


class RedisBackend:
    """See `messaging.backend.Backend`. Two connections, however many topics and consumers.

    Attributes:
        append: the producer's own while this is open: every message comes this way.
    """

    def __init__(self, address: Address, guild_id: str, options: Options) -> None:
        self._address = address
        self._guild_id = guild_id
        self._options = options
        self._listeners: list[Callable[[Incident], None]] = []
        self._parts: _Parts | None = None
        self._parents: _Parts | None = None
        self._is_forked = False
        self.append: Append = self._append_unopened

    @property
    def profile(self) -> str:
        return self._open().profile

    @property
    def by_reference(self) -> bool:
        return False

    @property
    def clock(self) -> Clock:
        return SYSTEM

    @property
    def max_value_bytes(self) -> int:
        return self._options.max_envelope_bytes

    async def open(self) -> None:
        if self._is_forked:
            raise BusForkedError
        parts = _Parts(self._address, self._guild_id, self._options, self._listeners)
        try:
            await parts.open()
        except BaseException:
            await parts.close()
            raise
        self._parts, self.append = parts, parts.producer.append
        keep_from_children(self)

    def forked(self) -> None:
        """Called in a child: the connections are the parent's, and nothing here may close them."""
        self._parents, self._parts, self._is_forked = self._parts, None, True
        self.append = self._append_unopened

    async def close(self) -> None:
        parts, self._parts = self._parts, None
        self.append = self._append_unopened
        if parts is not None:
            await parts.close()

    def listen(self, listener: Callable[[Incident], None]) -> None:
        self._listeners.append(listener)

    async def subscribe(self, group: str, patterns: Sequence[str]) -> None:
        await self._open().registry.subscribe(group, patterns)

    async def unsubscribe(self, group: str) -> None:
        await self._open().registry.unsubscribe(group)
        await self.set_paused(group, False)

    async def groups(self) -> Mapping[str, Sequence[str]]:
        registry = self._open().registry
        await registry.refresh()
        return dict(registry.groups)

    async def append_once(self, envelope: Envelope) -> None:
        parts = self._open()
        await parts.producer.append_once(envelope)
        if parts.server.replication is not None:
            await parts.server.replication.require()

    async def set_paused(self, group: str, is_paused: bool) -> None:
        await self._open().registry.set_paused(group, is_paused)

    async def paused(self) -> Sequence[str]:
        return await self._open().registry.paused()

    async def join(self, group: str, partition: int | None = None) -> Consumer:
        # A process that only publishes or looks on needs none of what reads and commits.
        from messaging.backends.redis.consumer.consumer import RedisConsumer  # noqa: PLC0415 - see above

        parts, membership = self._open(), Membership(group, partition)
        consumer = RedisConsumer(
            parts.server,
            parts.registry,
            parts.notifications,
            patrol=parts.patrol,
            beats=parts.beats,
            membership=membership,
        )
        await consumer.join()
        return consumer

    async def release_due(self, max_count: int = 256) -> float | None:
        parts = self._open()
        return await upkeep.release_due(parts.server, parts.registry, max_count)

    async def trim(self) -> int:
        parts = self._open()
        return await upkeep.trim_all(parts.server, parts.registry)

    async def open_ephemeral(self, topic: str, *, ttl_s: float, max_entries: int) -> None:
        await ephemeral.open_topic(self._open().server, topic, ttl_s, max_entries)

    async def close_ephemeral(self, topic: str) -> None:
        parts = self._open()
        parts.tails.forget(topic)
        await ephemeral.close_topic(parts.server, topic)

    async def emit(self, envelopes: Sequence[Envelope]) -> None:
        await ephemeral.emit(self._open().server, envelopes)

    async def tail(self, after: Mapping[str, str], *, max_count: int, wait_s: float) -> list[Entry]:
        return await self._open().tails.tail(after, max_count, wait_s)

    async def time(self) -> float:
        return await positions.time_of(self._open().server)

    async def positions_at(self, topics: Collection[str], at: float) -> Mapping[str, str]:
        return await positions.positions_at(self._open().server, topics, at)

    def just_before(self, position: str) -> str:
        return positions.just_before(position)

    async def topics(self) -> list[TopicInfo]:
        parts = self._open()
        await parts.registry.refresh()
        return await topic_infos(parts.server, sorted(parts.registry.topics))

    async def consumers(self, group: str) -> Mapping[str, int]:
        server = self._open().server
        flat = await server.connection.call("HGETALL", server.keys.beats(group))
        names = (name.decode() for name in flat[::2])
        return dict(zip(names, map(int, flat[1::2]), strict=True))

    async def load_state(self, group: str, key: str) -> StateValue | None:
        server = self._open().server
        stored = await server.connection.call("HGET", server.keys.state(group), key)
        if stored is None:
            return None
        version, _, value = stored.partition(b":")
        return StateValue(value, int(version))

    async def state_keys(
        self, group: str, *, after: str = FROM_START, max_count: int = 100
    ) -> tuple[list[StateKey], str]:
        server = self._open().server
        cursor, found = await server.run(
            server.scripts.state_keys, (server.keys.state(group),), after or "0", max_count
        )
        keys = [StateKey(key.decode(), int(version), size) for key, version, size in found]
        return keys, FROM_START if cursor == b"0" else cursor.decode()

    async def dead_letters(
        self, *, group: str | None = None, after: str = FROM_START, max_count: int = 100
    ) -> list[DeadLetter]:
        return await dead_letters.list_letters(self._open().server, group, after, max_count)

    async def count_dead_letters(self) -> int:
        return await dead_letters.count_letters(self._open().server)

    async def dead_letter(self, dead_letter_id: str) -> DeadLetter | None:
        return await dead_letters.find_letter(self._open().server, dead_letter_id)

    async def requeue(
        self, dead_letter_id: str, envelope: Envelope, *, history: bytes = b""
    ) -> bool:
        server = self._open().server
        was_there = await dead_letters.requeue(server, dead_letter_id, envelope, history)
        if server.replication is not None:
            await server.replication.report()
        return was_there

    async def drop(self, dead_letter_id: str) -> bool:
        return await dead_letters.drop(self._open().server, dead_letter_id)

    def _append_unopened(self, envelopes: Sequence[Envelope]) -> Awaitable[None]:
        return self._open().producer.append(envelopes)

    def _open(self) -> "_Parts":
        if self._parts is None:
            if self._is_forked:
                raise BusForkedError
            raise BusClosedError("the bus is not open")
        return self._parts


class _Parts:
    """What exists between open and close."""

    def __init__(
        self,
        address: Address,
        guild_id: str,
        options: Options,
        listeners: list[Callable[[Incident], None]],
    ) -> None:
        self.profile = "ephemeral"
        self.server = Server(address, guild_id, options, listeners)
        self.notifications = Notifications(
            address,
            give_up_after_s=options.give_up_after_s,
            reply_timeout_s=options.reply_timeout_s,
            announce=self.server.announce,
        )
        self.registry = TopicRegistry(self.server)
        self.patrol = Patrol(self.server, self.registry)
        self.beats = Beats(self.server)
        self.producer = Producer(self.server, self.registry, partial(ephemeral.emit, self.server))
        self.tails = Tails(self.server, self.notifications)
        self._refreshing: asyncio.Task[Any] | None = None
        self._has_changed = False

    async def open(self) -> None:
        await self.server.connection.open()
        found = await check_server(self.server)
        self.profile = found.profile
        self._announce_truncation()
        await self.server.load_scripts(with_shebang=found.knows_shebang)
        if found.profile == "durable":
            await self._open_durable(found.replicas)
        await self.notifications.open()
        await self.registry.refresh()
        await self.notifications.watch({self.server.keys.registry_channel: self._refresh_soon})
        self.notifications.check()

    async def close(self) -> None:
        async with AsyncExitStack() as closing:  # from the last line to the first, whatever fails
            if isinstance(self.server.address, EmbeddedAddress):
                closing.push_async_callback(asyncio.to_thread, self.server.address.server.stop)
            closing.push_async_callback(self.server.close)
            if self.server.replication is not None:
                closing.push_async_callback(self.server.replication.close)
            closing.push_async_callback(self.notifications.close)
            closing.push_async_callback(self._end_refreshing)
            closing.push_async_callback(self.registry.close)
            closing.push_async_callback(self.producer.close)
            closing.push_async_callback(self.beats.close)
            closing.push_async_callback(self.patrol.close)

    async def _end_refreshing(self) -> None:
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)

    async def _open_durable(self, connected: int) -> None:
        server, options = self.server, self.server.options
        server.on_back.append(partial(recheck_durable, server))
        wanted = connected if options.replicas is None else options.replicas
        if not wanted:
            return
        wait_s = options.replication_timeout_s
        connection = Connection(
            server.address,
            give_up_after_s=options.give_up_after_s,
            reply_timeout_s=options.reply_timeout_s + wait_s,
        )
        replication = Replication(
            connection,
            server.keys.replicated,
            wanted=wanted,
            wait_s=wait_s,
            announce=server.announce,
        )
        await replication.open()
        server.replication = replication

    def _refresh_soon(self, _: bytes) -> None:
        self._has_changed = True
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.get_running_loop().create_task(self._refresh())

    async def _refresh(self) -> None:
        while self._has_changed:  # a change may come while the answer about an earlier one travels
            self._has_changed = False
            try:
                await self.registry.refresh()
            except BackendError as error:  # readers ask again by themselves, and are told
                log.warning("bus.registry_unknown", error=str(error))

    def _announce_truncation(self) -> None:
        address = self.server.address
        if isinstance(address, EmbeddedAddress) and address.server.lost_bytes_at_start():
            self.server.announce(
                "bus.truncated",
                f"the data in {address.server.folder} ended in the middle of a write; the server "
                "went on without that write: messages of the last moment may be missing",
            )
