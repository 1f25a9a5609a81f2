"""The calls by which a server lends to a consumer again, or says what it has lent."""

import asyncio
from collections.abc import Sequence
from typing import Any

from messaging.backend import NEVER_ALONE, Delivery
from messaging.backends.redis.connection.error_replies import code_of
from messaging.backends.redis.connection.pipeline import Argument, ConnectionLostError
from messaging.backends.redis.consumer.interest import Interest
from messaging.backends.redis.consumer.session import ConsumerSession
from messaging.backends.redis.entries import unpack_delivery
from messaging.backends.redis.scripts import Script
from messaging.errors import BackendError

TOPICS_AT_ONCE = 64
PENDING_AT_ONCE = 1_000


class PendingEntries:
    """What one incarnation asks for; all but `pending` raise FencedError if it was taken over."""

    def __init__(self, session: ConsumerSession, interest: Interest) -> None:
        self._server = session.server
        self._interest = interest
        self._group = session.group
        self._members = session.members
        self._beats = session.beats
        self._incarnation = session.incarnation
        self._fence = session.fence

    async def claim(
        self, incarnation: str, max_count: int, alone_from: int = NEVER_ALONE
    ) -> list[Delivery]:
        """What was lent to another incarnation, or to `RETURNED`."""
        script, own = self._server.scripts.claim, (self._members, self._beats)
        return await self._claim_by(script, own, (incarnation, alone_from), max_count)

    async def inherit(self, max_count: int) -> list[Delivery]:
        """What was lent to consumers that are not registered any more, the oldest first."""
        return await self._claim_by(self._server.scripts.inherit, (self._members,), (), max_count)

    async def pending(self, topics: Sequence[str]) -> Sequence[list[Any]]:
        """By topic what is lent to this incarnation, as XPENDING shows it."""
        return await asyncio.gather(*[self._pending_of(topic) for topic in topics])

    async def reclaim(self, topic: str, position: bytes, lent: int) -> list[Delivery]:
        """The one that is lent at `position`, without counting that again; [] if it is gone."""
        answer = await self._server.run(
            self._server.scripts.reclaim,
            (self._members, self._server.keys.stream(topic)),
            self._group,
            self._incarnation,
            position,
            lent,
        )
        if answer == 0:
            raise self._fence.hit()
        if answer == 1:
            self._announce_gone(1)
            return []
        limit_bytes = self._server.options.max_envelope_bytes
        return [unpack_delivery(position, answer, topic, max(0, lent - 1), limit_bytes=limit_bytes)]

    async def relend(self, topic: str, positions: Sequence[str], generation: int) -> None:
        """Have what of these is lent to no consumer lent again, over that connection only."""
        keys = (self._members, self._server.keys.stream(topic))
        who = (self._group, self._incarnation)
        try:
            count = await self._server.run(
                self._server.scripts.relend, keys, *who, *positions, only_in=generation
            )
        except ConnectionLostError:
            return  # and the server may be another one, which has lent this to somebody else
        if count < 0:
            raise self._fence.hit()
        if count:
            self._server.announce(
                "bus.lending_lost",
                f"{count} messages of {topic} had been taken out of the hands of {self._group} by "
                "somebody else (XGROUP DELCONSUMER, XACK); they are lent to it again",
            )

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
                raise self._fence.hit()
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

    async def _pending_of(self, topic: str) -> list[Any]:
        found: list[Any] = []
        start = "-"
        try:
            while True:
                page = await self._server.connection.call(
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

    def _announce_gone(self, count: int) -> None:
        if count:
            self._server.announce(
                "bus.entries_lost",
                f"{count} messages that {self._group} was still handling had been deleted from "
                "their stream by somebody else; they cannot be handed out again",
            )
