"""What the server has lent to one consumer, and the ways in which it comes to lend more.

Every step that makes the server lend something runs to its end even if its caller is cancelled,
one at a time: what it brings is kept for the next read. After a reconnection the server is asked
what it has lent, because an answer may have been lost with the connection.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import islice
from typing import Any

import hiredis

from messaging.backend import Delivery, Settlement
from messaging.backends.redis.claim_check import is_claimed, redeem_all, redeem_first, whole
from messaging.backends.redis.connection.connection import FIRST_PAUSE_S
from messaging.backends.redis.connection.error_replies import code_of
from messaging.backends.redis.connection.pipeline import Answers, Argument, Pipeline, pack
from messaging.backends.redis.consumer.in_flight import InFlight
from messaging.backends.redis.consumer.interest import Interest
from messaging.backends.redis.consumer.pending_entries import TOPICS_AT_ONCE, PendingEntries
from messaging.backends.redis.entries import position_key, unpack_delivery
from messaging.backends.redis.keys import RETURNED
from messaging.backends.redis.registry.membership import Membership
from messaging.backends.redis.registry.registry import TopicRegistry
from messaging.backends.redis.server import Server, pack_script
from messaging.errors import FencedError


class Fetcher:
    """Deliveries of one incarnation: `buffer` has come and was not handed on yet.

    With `is_in_order` set, the server refuses to lend to a consumer that is fenced. Without, what
    a zombie reads is found later, behind what others have read since.
    """

    def __init__(
        self,
        server: Server,
        registry: TopicRegistry,
        interest: Interest,
        *,
        membership: Membership,
        incarnation: str,
        fenced: Callable[[], FencedError],
    ) -> None:
        self.buffer: list[Delivery] = []
        self.is_in_order = False
        self._server = server
        self._registry = registry
        self._interest = interest
        self._membership = membership
        self._group = membership.group
        self._members = server.keys.members(membership.name)
        self._incarnation = incarnation
        self._fenced = fenced
        self._in_flight = InFlight(server.connection.generation)
        self._pending_entries = PendingEntries(
            server, interest, membership=membership, incarnation=incarnation, fenced=fenced
        )
        self._generation = server.connection.generation
        self._one_at_a_time = asyncio.Lock()
        self._reading: asyncio.Future[None] | None = None
        self._has_stumbled = False
        self._late: list[tuple[Any, int]] = []

    @property
    def is_routine(self) -> bool:
        """Whether nothing but to read is to be done, so that `begin` will do instead of `bring`."""
        return not (
            self.buffer
            or self._has_stumbled
            or self._in_flight.unverified
            or self._interest.is_returned_work_likely
            or self._one_at_a_time.locked()
        ) and (self._generation == self._in_flight.lent_in == self._server.connection.generation)

    @property
    def is_elsewhere(self) -> bool:
        """Whether the connection is another one by now, so that answers may have been lost."""
        return self._generation != self._server.connection.generation

    def begin(self, max_count: int) -> bool:
        """Send for what is in ready topics, at once; whether something has been sent for.

        It is in the buffer the moment it comes, whoever waits for it or was cancelled meanwhile,
        and then the interest is roused. If anything else comes of it, `bring` sees to that.
        """
        if self._reading is None:
            pipeline = self._server.connection.current()
            if pipeline is None:  # `bring` waits for the next one
                self._has_stumbled = True
                return False
            topics = self._interest.take_ready(min(max_count, TOPICS_AT_ONCE))
            if not topics:
                return False
            count = max_count // len(topics)
            land = partial(self._land, topics, count)
            self._ask(pipeline, topics, count, Answers(2, land))
            self._reading = asyncio.get_running_loop().create_future()
        return True

    async def bring(self, max_count: int) -> None:
        """Put up to `max_count` deliveries into the buffer if there are any, without waiting."""
        async with self._alone():
            self._has_stumbled = False
            await self._take_in_late()
            if self._generation != self._server.connection.generation:
                await self._find_lost_answers()
            if not self.buffer and self._interest.is_returned_work_likely:
                self._interest.is_returned_work_likely = False
                self.buffer += await self._pending_entries.claim(RETURNED, max_count)
                self._interest.is_returned_work_likely |= bool(self.buffer)
            if not self.buffer:
                await self._fetch(max_count)
            self.buffer = await redeem_first(self._server, self.buffer)

    @property
    def is_ready(self) -> bool:
        """Whether there is something to hand on."""
        return bool(self.buffer) and not is_claimed(self.buffer[0].envelope)

    def hand_on(self, max_count: int) -> list[Delivery]:
        """What comes first in the buffer and has its payload; it is held from now on."""
        lent = list(islice(whole(self.buffer), max_count))
        self.buffer = self.buffer[len(lent) :]
        self._in_flight.take(lent)
        return lent

    async def landed(self) -> None:
        """Wait for what `begin` has sent for."""
        if self._reading is not None:
            await asyncio.wait([self._reading])

    async def take_over(self, incarnation: str, max_count: int, alone_from: int) -> list[Delivery]:
        """See `Consumer.take_over`. Where the caller does not wait for it, the buffer gets it."""
        async with self._alone():
            deliveries = await self._pending_entries.claim(incarnation, max_count, alone_from)
            deliveries = await redeem_all(self._server, deliveries)
            self._in_flight.take(deliveries)
            return deliveries

    async def inherit(self, max_count: int) -> list[Delivery]:
        """See `Consumer.inherit`."""
        async with self._alone():
            if not self.buffer:
                self.buffer += await self._pending_entries.inherit(max_count)
            if self._generation != self._server.connection.generation:
                await self._find_lost_answers()
                self.buffer.sort(key=lambda delivery: position_key(delivery.position))
            self.buffer = await redeem_first(self._server, self.buffer)
            return self.hand_on(max_count)

    def begin_to_settle(self, settlements: Sequence[Settlement]) -> bool:
        """Whether each delivery is held here, and settled only once."""
        return self._in_flight.begin_to_settle(settlements)

    def surely_lent_in(self, settlements: Sequence[Settlement]) -> int:
        """The connection by which all of it was lent; -1 when some came by an earlier one."""
        self._mark_unverified()
        return self._in_flight.lent_in if self._in_flight.are_sure(settlements) else -1

    def let_go(self, settlements: Iterable[Settlement]) -> None:
        self._in_flight.let_go(settlements)

    def surely_lent(self) -> Counter[str]:
        """How much of each topic the server must say that it lends to us, if it is asked now."""
        self._mark_unverified()
        return Counter(topic for topic, _ in self._in_flight.surely_lent(self.buffer))

    async def lend_again(self, topic: str) -> None:
        """Have what a stranger took out of our hands lent to us again.

        Nobody may commit meanwhile: what is settled must not be lent again.
        """
        self._mark_unverified()
        sure = self._in_flight.surely_lent(self.buffer)
        positions = [position for place, position in sure if place == topic]
        await self._pending_entries.relend(topic, positions, self._in_flight.lent_in)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        async with self._one_at_a_time:
            await self.landed()
            yield

    def _land(self, topics: Sequence[str], count: int, answers: list[Any]) -> None:
        """What `begin` has sent for is there."""
        assert self._reading is not None
        if not self._reading.done():
            self._reading.set_result(None)
        self._reading = None
        found, is_member = answers
        if is_member == 0:
            self._fenced()
        elif isinstance(found, Exception) or isinstance(is_member, Exception):
            self._has_stumbled = True
            self._interest.wake(topics)
        elif self._interest.is_bounded:
            self._has_stumbled = True
            self._late.append((found, count))
        else:
            for _, deliveries in self._unpack(found, count):
                self.buffer += deliveries
        self._interest.rouse()

    async def _take_in_late(self) -> None:
        late, self._late = self._late, []
        for found, count in late:
            await self._take_in(found, count)

    async def _fetch(self, max_count: int) -> None:
        """Read some ready topics, and make sure that this consumer still counts."""
        connection, give_up_at = self._server.connection, self._server.connection.deadline()
        pipeline = await connection.connected(give_up_at)
        topics = self._interest.take_ready(min(max_count, TOPICS_AT_ONCE))
        if not topics:
            return
        self._mark_unverified()
        count = max_count // len(topics)
        answered: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._ask(pipeline, topics, count, Answers(2, partial(_answer, answered)))
        found, is_member = await answered
        if is_member == 0:
            raise self._fenced()
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

    def _ask(self, pipeline: Pipeline, topics: Sequence[str], count: int, answers: Answers) -> None:
        """Read, and ask whether this consumer still counts."""
        reading = self._read_command(topics, count)
        asking = pack(("HEXISTS", self._members, self._incarnation))
        pipeline.send_for(answers, reading)
        pipeline.send_for(answers, asking)
        pipeline.flush()

    def _read_command(self, topics: Sequence[str], count: int) -> bytes:
        keys, group, me = self._server.keys, self._group, self._incarnation
        streams = [*map(keys.stream, topics)]
        if self.is_in_order:
            script = self._server.scripts.read
            return pack_script(script, (self._members, *streams), (group, me, count))
        command: list[Argument] = ["XREADGROUP", "GROUP", group, me, "COUNT", count, "STREAMS"]
        return pack([*command, *streams, *[">"] * len(topics)])

    async def _take_in(self, found: Any, count: int) -> None:
        for topic, deliveries in self._unpack(found, count):
            # What was unverified and comes again is lent to us again: it is here, and sure now.
            again = self._in_flight.unverified.intersection([d.place for d in deliveries])
            self._in_flight.unverified -= again
            new = [d for d in deliveries if d.place not in again] if again else deliveries
            self.buffer += await self._interest.still_owed(topic, new)

    def _unpack(self, found: Any, count: int) -> Iterator[tuple[str, list[Delivery]]]:
        limit_bytes = self._server.options.max_envelope_bytes
        for stream, entries in found or ():
            topic = self._server.keys.topic_of(stream)
            yield (
                topic,
                [
                    unpack_delivery(position, fields, topic, limit_bytes=limit_bytes)
                    for position, fields in entries
                ],
            )
            if len(entries) == count:  # not before they are in the buffer: it may begin to read
                self._interest.wake((topic,))

    def _mark_unverified(self) -> None:
        self._in_flight.mark_unverified(self._server.connection.generation, self.buffer)

    async def _repair(self) -> None:
        """The group is missing: it left a topic and we did not hear of it, or it was deleted."""
        await self._interest.follow_anew()
        await self._registry.repair(self._group, self._interest.unbounded_topics())

    async def _find_lost_answers(self) -> None:
        """Put into the buffer what the server has lent to us in answers that never came."""
        self._generation = self._server.connection.generation
        self._interest.wake_all()
        self._mark_unverified()
        known, topics = self._in_flight.places_with(self.buffer), self._interest.topics
        for topic, pending in zip(topics, await self._pending_entries.pending(topics), strict=True):
            for position, _, _, lent in pending:
                place = (topic, position.decode())
                self._in_flight.unverified.discard(place)
                if place not in known:
                    self.buffer += await self._pending_entries.reclaim(topic, position, lent)


def _answer(caller: asyncio.Future[list[Any]], answers: list[Any]) -> None:
    if not caller.done():  # whoever ends the loop cancels every task
        caller.set_result(answers)
