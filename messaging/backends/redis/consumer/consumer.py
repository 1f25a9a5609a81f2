"""One incarnation of a replica, at a group or a partition: reads, commits, beats, leaves."""

import asyncio
from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from messaging.backend import NEVER_ALONE, Delivery, Settlement, StateWrite, Take
from messaging.backends.redis.connection.notifications import Notifications
from messaging.backends.redis.connection.pipeline import Argument
from messaging.backends.redis.consumer.beating import Beating
from messaging.backends.redis.consumer.beats import Beats
from messaging.backends.redis.consumer.commits import CommitQueue
from messaging.backends.redis.consumer.fetcher import Fetcher
from messaging.backends.redis.consumer.in_flight import InFlight
from messaging.backends.redis.consumer.interest import Interest
from messaging.backends.redis.consumer.patrol import Patrol
from messaging.backends.redis.consumer.pending_entries import TOPICS_AT_ONCE
from messaging.backends.redis.consumer.presence import Presence
from messaging.backends.redis.consumer.session import ConsumerSession
from messaging.backends.redis.registry.membership import Membership
from messaging.backends.redis.registry.registry import TopicRegistry
from messaging.backends.redis.server import Server
from messaging.errors import (
    BackendError,
    NobodyListensError,
    PayloadTooLargeError,
    StateConflictError,
)

_FENCED, _CONFLICT = -1, -2

T = TypeVar("T")


class RedisConsumer:
    """See `messaging.backend.Consumer`."""

    def __init__(
        self,
        server: Server,
        registry: TopicRegistry,
        notifications: Notifications,
        *,
        patrol: Patrol,
        beats: Beats,
        membership: Membership,
    ) -> None:
        self._session = session = ConsumerSession(server, registry, membership)
        self.group = session.group
        self.incarnation = session.incarnation
        self._loop = asyncio.get_running_loop()
        self._server = server
        self._registry = registry
        self._patrol = patrol
        self._interest = Interest(session, notifications)
        self._in_flight = InFlight(server.connection)
        self._fetcher = Fetcher(session, self._interest, self._in_flight)
        self._commit_queue = CommitQueue(session, self._in_flight)
        self._presence = Presence(session)
        self._beating = Beating(
            session,
            beats,
            interest=self._interest,
            fetcher=self._fetcher,
            in_flight=self._in_flight,
            commit_queue=self._commit_queue,
            presence=self._presence,
        )
        self._is_roused = False
        self._fence = session.fence
        self._fence.on_fenced += [self._presence.fenced, self._interest.stop]

    async def join(self) -> None:
        try:
            await self._join()
        except BaseException:
            self._interest.stop()  # or what it watches would be kept for good
            raise

    async def _join(self) -> None:
        keys = self._server.keys
        await self._registry.refresh()  # after a fence by a loss of data, it joins in the repair
        if self._session.membership.partition is not None:
            with suppress(NobodyListensError):  # joining says so
                await self._registry.ensure(self._session.membership.own_topic)
        joined = await self._server.run(
            self._server.scripts.join,
            (keys.groups, self._session.members, self._session.beats, keys.joined),
            self.group,
            self.incarnation,
        )
        if not joined:
            raise BackendError(f"{self.group} is not subscribed; subscribe it before it joins")
        self._presence.joined()
        await self._interest.follow()
        self._patrol.add(self._interest)

    async def read(self, max_count: int, wait_s: float, take: Take | None = None) -> list[Delivery]:
        in_flight, fetcher = self._in_flight, self._fetcher
        give_up_at = self._loop.time() + wait_s
        last_looks: int | None = None
        while True:
            if in_flight.ready:
                return in_flight.hand_on(max_count)
            if last_looks is not None or not fetcher.is_routine:
                await _to_its_end(self._bring(max_count))
                if in_flight.ready or self._fence.is_fenced or fetcher.is_elsewhere:
                    continue  # there is something, or to be looked at again since that was begun
            nap = None if self._is_roused else self._interest.nap(give_up_at, max_count, take)
            if nap is not None and await nap:
                self._is_roused = False
                return []  # it was handed to `take`
            if self._is_roused:
                return await self._at_once(max_count)
            if self._loop.time() < give_up_at:
                continue
            if last_looks is None:  # an empty answer says that there was nothing anywhere
                self._interest.wake_all()
                last_looks = -(-len(self._interest.topics) // min(max_count, TOPICS_AT_ONCE))
            if last_looks == 0:
                return []
            last_looks -= 1

    def rouse(self) -> None:
        self._is_roused = True
        self._interest.rouse()

    def commit(self, settlements: Sequence[Settlement]) -> Awaitable[list[int]]:
        return self._commit_queue.commit(settlements)

    async def journal(self, write: StateWrite) -> int:
        self._fence.check()
        limit_bytes = self._server.options.max_envelope_bytes
        value, keys = write.value or b"", self._server.keys
        if len(value) > limit_bytes:
            raise PayloadTooLargeError(f"{self.group}'s {write.key}", len(value), limit_bytes)
        version = await self._server.run(
            self._server.scripts.journal,
            (self._session.members, keys.state(self.group), keys.floors),
            self.group,
            self.incarnation,
            write.key,
            write.expected_version,
            "delete" if write.value is None else "set",
            value,
        )
        if version == _FENCED:
            raise self._fence.hit()
        if version == _CONFLICT:
            raise StateConflictError(f"{write.key} of {self.group} was written by somebody else")
        if self._server.replication is not None:
            await self._server.replication.report()
        return int(version)

    async def take_turn(self, message_id: str, keys: Sequence[str]) -> bool:
        self._fence.check()
        return await self._at_turns("take", message_id, keys) == 1

    async def end_turn(self, message_id: str, keys: Sequence[str]) -> None:
        self._fence.check()
        await self._at_turns("end", message_id, keys)

    async def _at_turns(self, action: str, message_id: str, keys: Sequence[str]) -> int:
        answer: int = await self._server.run(
            self._server.scripts.turn,
            (self._session.members, self._server.keys.turns(self.group)),
            self._session.membership.name,
            self.incarnation,
            self._server.keys.prefix,
            action,
            message_id,
            *keys,
        )
        if answer == _FENCED:
            raise self._fence.hit()
        return answer

    def beat(self) -> Awaitable[Mapping[str, int]]:
        return self._beating.beat()

    async def take_over(
        self, incarnation: str, max_count: int, *, alone_from: int = NEVER_ALONE
    ) -> list[Delivery]:
        await self._interest.follow_anew()
        return await self._lend_at_last(self._fetcher.take_over(incarnation, max_count, alone_from))

    async def lead(self) -> bool:
        answer = await self._server.run(
            self._server.scripts.lead,
            (self._session.members, self._server.keys.leader(self._session.membership.name)),
            self.incarnation,
        )
        if answer == 0:
            raise self._fence.hit()
        self._fetcher.is_in_order = bool(answer == 2)  # noqa: PLR2004 - as the script says
        return self._fetcher.is_in_order

    async def inherit(self, max_count: int) -> list[Delivery]:
        await self._interest.follow_anew()
        return await self._lend_at_last(self._fetcher.inherit(max_count))

    def abandon(self) -> None:
        self._interest.stop()

    async def leave(self, unhandled: Sequence[Delivery]) -> None:
        keys, topics = self._server.keys, self._interest.topics
        numbers = {topic: number for number, topic in enumerate(topics, 1)}
        back: list[Argument] = []
        for delivery in (*unhandled, *self._in_flight.take_buffer()):
            number = numbers.get(delivery.envelope.topic)
            if number is not None:
                back += (number, delivery.position, delivery.redelivery_count)
        self._interest.stop()
        self._presence.leaves()
        await self._server.run(
            self._server.scripts.leave,
            (self._session.members, self._session.beats, keys.joined, *map(keys.stream, topics)),
            self.group,
            self.incarnation,
            keys.channel(self._session.membership.own_topic),
            *back,
        )
        self._fence.hit()

    async def _bring(self, max_count: int) -> None:
        self._fence.check()
        if self._interest.needs_care:
            self._interest.needs_care = False
            await self._interest.drop_settled_end_offsets()
            self._interest.wake_all()
        await self._interest.follow()
        await self._fetcher.bring(max_count)

    async def _at_once(self, max_count: int) -> list[Delivery]:
        """What has come or is on its way: somebody wants the reader back."""
        self._is_roused = False
        await self._fetcher.landed()
        return self._in_flight.hand_on(max_count)

    async def _lend_at_last(self, fetcher: Coroutine[Any, Any, list[Delivery]]) -> list[Delivery]:
        taking = asyncio.create_task(fetcher)
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            taking.add_done_callback(self._keep)
            raise

    def _keep(self, taking: asyncio.Task[list[Delivery]]) -> None:
        """The caller went away while this was taken over: the next read hands it on."""
        if not taking.cancelled() and taking.exception() is None:
            self._in_flight.put_back(taking.result())


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Wait for `work`, which goes on to its end even if the caller is cancelled."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_look_at)
        raise


def _look_at(task: asyncio.Task[Any]) -> None:
    """Ignore its error: its waiter has left, and it shows again in the next call."""
    if not task.cancelled():
        task.exception()
