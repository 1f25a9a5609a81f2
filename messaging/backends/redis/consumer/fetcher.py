"""The ways in which the server comes to lend something to one consumer.

Every step that makes the server lend something runs to its end even if its caller is cancelled,
one at a time: what it brings is kept for the next read. After a reconnection the server is asked
what it has lent, because an answer may have been lost with the connection.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import hiredis

from messaging.backend import Delivery
from messaging.backends.redis.claim_check import redeem_all, redeem_first
from messaging.backends.redis.connection.connection import FIRST_PAUSE_S
from messaging.backends.redis.connection.error_replies import code_of
from messaging.backends.redis.connection.pipeline import (
    Pipeline,
    RepliesReceiver,
    pack,
    pack_script,
)
from messaging.backends.redis.consumer.in_flight import InFlight
from messaging.backends.redis.consumer.interest import Interest
from messaging.backends.redis.consumer.pending_entries import TOPICS_AT_ONCE, PendingEntries
from messaging.backends.redis.consumer.session import ConsumerSession
from messaging.backends.redis.entries import unpack_deliveries
from messaging.backends.redis.keys import RETURNED


class Fetcher:
    """Brings what `InFlight` keeps.

    With `is_in_order` set, the server refuses to lend to a consumer that is fenced. Without, what
    a zombie reads is found later, behind what others have read since.
    """

    def __init__(self, session: ConsumerSession, interest: Interest, in_flight: InFlight) -> None:
        self.is_in_order = False
        self._server = session.server
        self._connection = session.server.connection
        self._registry = session.registry
        self._interest = interest
        self._in_flight = in_flight
        self._pending_entries = PendingEntries(session, interest)
        self._group = session.group
        self._members = session.members
        self._incarnation = session.incarnation
        self._fence = session.fence
        self._read = ("XREADGROUP", "GROUP", session.group, session.incarnation, "COUNT")
        self._ask_membership = pack(("HEXISTS", session.members, session.incarnation))
        self._limit_bytes = session.server.options.max_envelope_bytes
        self._generation = self._connection.generation
        self._one_at_a_time = asyncio.Lock()
        self._is_reading = False
        self._landed: asyncio.Future[None] | None = None
        self._has_stumbled = False
        self._late: list[tuple[Any, int]] = []
        interest.begin = self.begin

    @property
    def is_routine(self) -> bool:
        """Whether nothing but to read is to be done, so that `begin` will do instead of `bring`."""
        interest, in_flight = self._interest, self._in_flight
        return not (
            in_flight.buffer
            or in_flight.unverified
            or interest.needs_care
            or interest.is_returned_work_likely
            or self._has_stumbled
            or self._fence.is_fenced
            or self._one_at_a_time.locked()
        ) and (
            self._generation == in_flight.lent_in == self._connection.generation
            and interest.is_up_to_date
        )

    @property
    def is_elsewhere(self) -> bool:
        """Whether the connection is another one by now, so that answers may have been lost."""
        return self._generation != self._connection.generation

    def begin(self, max_count: int) -> bool:
        """Send for what is in ready topics, at once; whether something has been sent for.

        It is in the buffer the moment it comes, also if a caller was cancelled meanwhile, and then
        the interest is roused. If anything else comes of it, `bring` sees to that.
        """
        if not self.is_routine:
            return False
        if not self._is_reading:
            pipeline = self._connection.current()
            if pipeline is None:  # `bring` waits for the next one
                self._has_stumbled = True
                return False
            topics = self._interest.take_ready(min(max_count, TOPICS_AT_ONCE))
            if not topics:
                return False
            count = max_count // len(topics)
            self._is_reading = True
            self._ask(pipeline, topics, count, partial(self._land, topics, count))
        return True

    async def bring(self, max_count: int) -> None:
        """Put up to `max_count` deliveries into the buffer if there are any, without waiting."""
        async with self._alone():
            self._has_stumbled = False
            await self._take_in_late()
            if self.is_elsewhere:
                await self._find_lost_answers()
            if not self._in_flight.buffer and self._interest.is_returned_work_likely:
                self._interest.is_returned_work_likely = False
                self._in_flight.add(await self._pending_entries.claim(RETURNED, max_count))
                self._interest.is_returned_work_likely |= bool(self._in_flight.buffer)
            if not self._in_flight.buffer:
                await self._fetch(max_count)
            await self._redeem()

    async def landed(self) -> None:
        """Wait for what `begin` has sent for."""
        if self._is_reading:
            if self._landed is None:
                self._landed = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._landed])

    async def take_over(self, incarnation: str, max_count: int, alone_from: int) -> list[Delivery]:
        """See `Consumer.take_over`. What its caller does not wait for is to be put back."""
        async with self._alone():
            deliveries = await self._pending_entries.claim(incarnation, max_count, alone_from)
            deliveries = await redeem_all(self._server, deliveries)
            self._in_flight.hold(deliveries)
            return deliveries

    async def inherit(self, max_count: int) -> list[Delivery]:
        """See `Consumer.inherit`. What its caller does not wait for is to be put back."""
        async with self._alone():
            if not self._in_flight.buffer:
                self._in_flight.add(await self._pending_entries.inherit(max_count))
            if self.is_elsewhere:
                await self._find_lost_answers()
                self._in_flight.sort()
            await self._redeem()
            return self._in_flight.hand_on(max_count)

    async def lend_again(self, topic: str) -> None:
        """Have what a stranger took out of our hands lent to us again.

        There must be no commit meanwhile: what is settled must not be lent again.
        """
        sure = self._in_flight.surely_lent()
        positions = [position for place, position in sure if place == topic]
        await self._pending_entries.relend(topic, positions, self._in_flight.lent_in)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        async with self._one_at_a_time:
            await self.landed()
            yield

    def _land(self, topics: Sequence[str], count: int, answers: list[Any]) -> None:
        """What `begin` has sent for is there."""
        self._is_reading = False
        if self._landed is not None:
            landed, self._landed = self._landed, None
            if not landed.done():
                landed.set_result(None)
        found, is_member = answers
        if is_member == 0:
            self._fence.hit()
        elif isinstance(found, Exception) or isinstance(is_member, Exception):
            self._has_stumbled = True
            self._interest.wake(topics)
        elif self._interest.end_offsets:
            self._has_stumbled = True
            self._late.append((found, count))
        else:
            for stream, entries in found or ():
                topic = self._server.keys.topic_of(stream)
                lent, are_whole = unpack_deliveries(entries, topic, limit_bytes=self._limit_bytes)
                self._in_flight.add(lent, are_whole=are_whole)
                if len(entries) == count:  # there may be more
                    self._interest.wake((topic,))
                else:
                    self._interest.has_seen(topic, entries[-1][0])
        self._interest.rouse_to(self._in_flight)

    async def _take_in_late(self) -> None:
        late, self._late = self._late, []
        for found, count in late:
            await self._take_in(found, count)

    async def _take_in(self, found: Any, count: int) -> None:
        """As `_land` does, where some of it may be here already, or not be owed any more."""
        for stream, entries in found or ():
            topic = self._server.keys.topic_of(stream)
            lent, are_whole = unpack_deliveries(entries, topic, limit_bytes=self._limit_bytes)
            owed = await self._interest.still_owed(topic, self._in_flight.verify(lent))
            self._in_flight.add(owed, are_whole=are_whole)
            if len(entries) == count:
                self._interest.wake((topic,))

    async def _redeem(self) -> None:
        """Fetch the first payloads that are missing in the buffer."""
        buffer = self._in_flight.buffer
        if self._in_flight.ready < len(buffer):
            self._in_flight.redeemed(await redeem_first(self._server, buffer))

    async def _fetch(self, max_count: int) -> None:
        """Read some ready topics, and make sure that this consumer still counts."""
        connection, give_up_at = self._connection, self._connection.deadline()
        pipeline = await connection.connected(give_up_at)
        topics = self._interest.take_ready(min(max_count, TOPICS_AT_ONCE))
        if not topics:
            return
        self._in_flight.mark_unverified()
        count = max_count // len(topics)
        answered: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._ask(pipeline, topics, count, partial(_answer, answered))
        found, is_member = await answered
        if is_member == 0:
            raise self._fence.hit()
        failure = next((o for o in (found, is_member) if isinstance(o, Exception)), None)
        if failure is None:
            await self._take_in(found, count)
            return
        self._interest.wake(topics)
        if not isinstance(failure, hiredis.ReplyError):
            return  # the connection was lost; the next step waits for the new one
        if code_of(failure) == "NOGROUP":
            await self._repair()
        elif code_of(failure) == "NOSCRIPT":
            await connection.call("SCRIPT", "LOAD", self._server.scripts.read.text)
        else:
            streams = [*map(self._server.keys.stream, topics), self._members]
            await connection.wait_out(failure, FIRST_PAUSE_S, give_up_at, pipeline, streams)

    def _ask(
        self, pipeline: Pipeline, topics: Sequence[str], count: int, then: RepliesReceiver
    ) -> None:
        """Read, and ask whether this consumer still counts."""
        streams = map(self._server.keys.stream, topics)
        if self.is_in_order:
            script, who = self._server.scripts.read, (self._group, self._incarnation)
            reading = pack_script(script, (self._members, *streams), (*who, count))
        else:
            reading = pack((*self._read, count, "STREAMS", *streams, *[">"] * len(topics)))
        pipeline.send_now([reading, self._ask_membership], then)

    async def _repair(self) -> None:
        """The group is missing: it left a topic and we did not hear of it, or it was deleted."""
        await self._interest.follow_anew()
        await self._registry.repair(self._group, self._interest.unbounded_topics())

    async def _find_lost_answers(self) -> None:
        """Put into the buffer what the server has lent to us in answers that never came."""
        self._generation = self._connection.generation
        self._interest.wake_all()
        self._in_flight.mark_unverified()
        known, topics = self._in_flight.places(), self._interest.topics
        for topic, pending in zip(topics, await self._pending_entries.pending(topics), strict=True):
            for position, _, _, lent in pending:
                place = (topic, position.decode())
                self._in_flight.unverified.discard(place)
                if place not in known:
                    self._in_flight.add(await self._pending_entries.reclaim(topic, position, lent))


def _answer(caller: asyncio.Future[list[Any]], answers: list[Any]) -> None:
    if not caller.done():  # a loop that is ended cancels every task
        caller.set_result(answers)
