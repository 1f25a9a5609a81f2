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
from itertools import islice, takewhile
from typing import Any

import hiredis

from messaging.backend import NEVER_ALONE, Delivery, Place, Settlement, place_of
from messaging.backends.redis.claims import is_claimed, redeem_all, redeem_first
from messaging.backends.redis.entries import position_key, unpack_delivery
from messaging.backends.redis.interest import Interest
from messaging.backends.redis.link import FIRST_PAUSE_S
from messaging.backends.redis.membership import Membership
from messaging.backends.redis.pipeline import Answers, Argument, ConnectionLostError, Pipeline, pack
from messaging.backends.redis.registry import Registry
from messaging.backends.redis.replies import code_of
from messaging.backends.redis.scripts import Script
from messaging.backends.redis.server import Server, pack_script
from messaging.errors import BackendError, FencedError

TOPICS_AT_ONCE = 64
PENDING_AT_ONCE = 1_000
RETURNED = "returned"


class Lending:
    """Deliveries of one incarnation: `stash` has come and was not handed on yet.

    With `is_in_order` set, the server refuses to lend to a consumer that is fenced. Without, what
    a zombie reads is found later, behind what others have read since.
    """

    def __init__(
        self,
        server: Server,
        registry: Registry,
        interest: Interest,
        *,
        membership: Membership,
        incarnation: str,
        fenced: Callable[[], FencedError],
    ) -> None:
        self.stash: list[Delivery] = []
        self.is_in_order = False
        self._server = server
        self._registry = registry
        self._interest = interest
        self._membership = membership
        self._group = membership.group
        self._members = server.keys.members(membership.name)
        self._incarnation = incarnation
        self._fenced = fenced
        self._held: set[Place] = set()
        self._perhaps_settled: set[Place] = set()
        self._generation = server.link.generation
        self._lent_in = server.link.generation
        self._doubted: set[Place] = set()
        self._one_at_a_time = asyncio.Lock()
        self._reading: asyncio.Future[None] | None = None
        self._has_stumbled = False
        self._late: list[tuple[Any, int]] = []

    @property
    def is_routine(self) -> bool:
        """Whether nothing but to read is to be done, so that `begin` will do instead of `bring`."""
        return not (
            self.stash
            or self._has_stumbled
            or self._doubted
            or self._interest.is_returned_work_likely
            or self._one_at_a_time.locked()
        ) and (self._generation == self._lent_in == self._server.link.generation)

    def begin(self, max_count: int) -> bool:
        """Send for what is in ready topics, at once; whether something has been sent for.

        It is in the stash the moment it comes, whoever waits for it or was cancelled meanwhile, and
        then the interest is roused. If anything else comes of it, `bring` sees to that.
        """
        if self._reading is None:
            pipeline = self._server.link.current()
            if pipeline is None:
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
        """Put up to `max_count` deliveries into the stash if there are any, without waiting."""
        async with self._alone():
            self._has_stumbled = False
            await self._take_in_late()
            if self._generation != self._server.link.generation:
                await self._find_lost_answers()
            if not self.stash and self._interest.is_returned_work_likely:
                self._interest.is_returned_work_likely = False
                self.stash += await self._claim(RETURNED, max_count)
                self._interest.is_returned_work_likely |= bool(self.stash)
            if not self.stash:
                await self._fetch(max_count)
            self.stash = await redeem_first(self._server, self.stash)

    @property
    def is_ready(self) -> bool:
        """Whether there is something to hand on."""
        return bool(self.stash) and not is_claimed(self.stash[0].envelope)

    def hand_on(self, max_count: int) -> list[Delivery]:
        """What comes first in the stash and has its payload; it is held from now on."""
        whole = takewhile(lambda delivery: not is_claimed(delivery.envelope), self.stash)
        lent = list(islice(whole, max_count))
        self.stash = self.stash[len(lent) :]
        self._hold(lent)
        return lent

    async def take_over(self, incarnation: str, max_count: int, alone_from: int) -> list[Delivery]:
        """See `Consumer.take_over`. Where the caller does not wait for it, the stash gets it."""
        async with self._alone():
            deliveries = await self._claim(incarnation, max_count, alone_from)
            deliveries = await redeem_all(self._server, deliveries)
            self._hold(deliveries)
            return deliveries

    async def inherit(self, max_count: int) -> list[Delivery]:
        """See `Consumer.inherit`."""
        async with self._alone():
            if not self.stash:
                script = self._server.scripts.inherit
                self.stash += await self._claim_by(script, (self._members,), (), max_count)
            if self._generation != self._server.link.generation:
                await self._find_lost_answers()
                self.stash.sort(key=lambda delivery: position_key(delivery.position))
            self.stash = await redeem_first(self._server, self.stash)
            return self.hand_on(max_count)

    def begin_to_settle(self, settlements: Sequence[Settlement]) -> bool:
        """Whether each delivery is held here, and settled only once."""
        settled = {place_of(settlement.delivery) for settlement in settlements}
        self._perhaps_settled = settled  # until an answer says so
        return len(settled) == len(settlements) and settled <= self._held

    def surely_lent_in(self, settlements: Sequence[Settlement]) -> int:
        """The connection by which all of it was lent; -1 when some came by an earlier one."""
        self._doubt()
        is_sure = not self._doubted or self._doubted.isdisjoint(
            place_of(settlement.delivery) for settlement in settlements
        )
        return self._lent_in if is_sure else -1

    def let_go(self, settlements: Iterable[Settlement]) -> None:
        settled = [place_of(settlement.delivery) for settlement in settlements]
        self._held.difference_update(settled)
        self._perhaps_settled.clear()
        if self._doubted:
            self._doubted.difference_update(settled)

    def surely_lent(self) -> Counter[str]:
        """How much of each topic the server must say that it lends to us, if it is asked now."""
        return Counter(topic for topic, _ in self._surely_lent())

    async def lend_again(self, topic: str) -> None:
        """Have what a stranger took out of our hands lent to us again.

        Nobody may commit meanwhile: what is settled must not be lent again.
        """
        positions = [position for place, position in self._surely_lent() if place == topic]
        keys = (self._members, self._server.keys.stream(topic))
        who = (self._group, self._incarnation)
        try:
            count = await self._server.run(
                self._server.scripts.relend, keys, *who, *positions, only_in=self._lent_in
            )
        except ConnectionLostError:
            return  # and the server may be another one, which has lent this to somebody else
        if count < 0:
            raise self._fenced()
        if count:
            self._server.announce(
                "bus.lending_lost",
                f"{count} messages of {topic} had been taken out of the hands of {self._group} by "
                "somebody else (XGROUP DELCONSUMER, XACK); they are lent to it again",
            )

    def _surely_lent(self) -> set[Place]:
        self._doubt()
        return self._known() - self._doubted - self._perhaps_settled

    def _hold(self, deliveries: Iterable[Delivery]) -> None:
        self._held.update([place_of(delivery) for delivery in deliveries])

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        async with self._one_at_a_time:
            if self._reading is not None:
                await self._reading
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
                self.stash += deliveries
        self._interest.rouse()

    async def _take_in_late(self) -> None:
        late, self._late = self._late, []
        for found, count in late:
            await self._take_in(found, count)

    async def _fetch(self, max_count: int) -> None:
        """Read some ready topics, and make sure that this consumer still counts."""
        link, give_up_at = self._server.link, self._server.link.deadline()
        pipeline = await link.connected(give_up_at)
        topics = self._interest.take_ready(min(max_count, TOPICS_AT_ONCE))
        if not topics:
            return
        self._doubt()
        count = max_count // len(topics)
        answered: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._ask(pipeline, topics, count, Answers(2, answered.set_result))
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
            await link.call("SCRIPT", "LOAD", self._server.scripts.read.text)
        else:
            streams = [*map(self._server.keys.stream, topics), self._members]
            await link.wait_out(failure, FIRST_PAUSE_S, give_up_at, pipeline, streams)

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
            # What was doubted and comes again is lent to us again: it is here, and sure now.
            again = self._doubted.intersection(map(place_of, deliveries))
            self._doubted -= again
            new = [d for d in deliveries if place_of(d) not in again] if again else deliveries
            self.stash += await self._interest.still_owed(topic, new)

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
            if len(entries) == count:  # not before they are in the stash: it may begin to read
                self._interest.wake((topic,))

    def _doubt(self) -> None:
        """After a reconnection: the server may be another one, behind the one that lent this."""
        if self._lent_in != self._server.link.generation:
            self._lent_in = self._server.link.generation
            self._doubted = self._known()

    def _known(self) -> set[Place]:
        return self._held.union(map(place_of, self.stash))

    async def _repair(self) -> None:
        """The group is missing: it left a topic and we did not hear of it, or it was deleted."""
        await self._interest.follow_anew()
        await self._registry.repair(self._group, self._registry.topics_of(self._membership))

    async def _claim(
        self, incarnation: str, max_count: int, alone_from: int = NEVER_ALONE
    ) -> list[Delivery]:
        own = (self._members, self._server.keys.beats(self._membership.name))
        script, arguments = self._server.scripts.claim, (incarnation, alone_from)
        return await self._claim_by(script, own, arguments, max_count)

    async def _claim_by(
        self, script: Script, own: Sequence[bytes], arguments: Sequence[Argument], max_count: int
    ) -> list[Delivery]:
        claimed, topics = list[Delivery](), self._interest.topics
        for start in range(0, len(topics), TOPICS_AT_ONCE):
            some = topics[start : start + TOPICS_AT_ONCE]
            answer = await self._server.run(
                script,
                (*own, *map(self._server.keys.stream, some)),
                self._group,
                self._incarnation,
                *arguments,
                max_count - len(claimed),
            )
            if answer == 0:
                raise self._fenced()
            entries, gone, has_stopped = answer
            claimed += [
                unpack_delivery(
                    position,
                    fields,
                    some[number - 1],
                    lent,
                    limit_bytes=self._server.options.max_envelope_bytes,
                )
                for number, position, lent, fields in entries
            ]
            self._announce_gone(gone)
            if has_stopped or len(claimed) >= max_count:
                break
        return claimed

    async def _find_lost_answers(self) -> None:
        """Put into the stash what the server has lent to us in answers that never came."""
        self._generation = self._server.link.generation
        self._interest.wake_all()
        self._doubt()
        known, topics = self._known(), self._interest.topics
        for topic, pending in zip(topics, await self._pending(topics), strict=True):
            for position, _, _, lent in pending:
                self._doubted.discard((topic, position.decode()))
                if (topic, position.decode()) not in known:
                    await self._reclaim(topic, position, lent)

    async def _pending(self, topics: Sequence[str]) -> Sequence[list[Any]]:
        return await asyncio.gather(*[self._pending_of(topic) for topic in topics])

    async def _pending_of(self, topic: str) -> list[Any]:
        found: list[Any] = []
        start = "-"
        try:
            while True:
                page = await self._server.link.call(
                    "XPENDING",
                    self._server.keys.stream(topic),
                    self._group,
                    start,
                    "+",
                    PENDING_AT_ONCE,
                    self._incarnation,
                )
                found += page
                if len(page) < PENDING_AT_ONCE:
                    return found
                start = f"({page[-1][0].decode()}"
        except BackendError as error:
            if isinstance(error.__cause__, Exception) and code_of(error.__cause__) == "NOGROUP":
                return []
            raise

    async def _reclaim(self, topic: str, position: bytes, lent: int) -> None:
        keys = self._server.keys
        answer = await self._server.run(
            self._server.scripts.reclaim,
            (self._members, keys.stream(topic)),
            self._group,
            self._incarnation,
            position,
            lent,
        )
        if answer == 0:
            raise self._fenced()
        if answer == 1:
            self._announce_gone(1)
        else:
            limit_bytes = self._server.options.max_envelope_bytes
            lent_before = max(0, lent - 1)
            self.stash.append(
                unpack_delivery(position, answer, topic, lent_before, limit_bytes=limit_bytes)
            )

    def _announce_gone(self, count: int) -> None:
        if count:
            self._server.announce(
                "bus.entries_lost",
                f"{count} messages that {self._group} was still handling had been deleted from "
                "their stream by somebody else; they cannot be handed out again",
            )
