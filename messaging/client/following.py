"""Following a conversation by the id of its request, from any process and also afterwards.

A request under an id of the caller's own choice is answered on a topic of that name. It is opened
before the request is published, together with the topic of what is emitted, and both are kept for a
while: so that every caller who asks under that id, or follows it, reads them from their start.

The answer to any other request goes to the process that asked, which may be gone. A follower says
so on the control topic, again and again; agents then send a copy of the answer to the topic of that
id. An answer that was sent before they heard of it cannot be had any more.

A caller that comes back names the position behind which it wants to go on: of an item, or of the
answer, which is that of the item before it and a mark. The entry at the position is read again, and
its absence tells that the topic may have dropped others behind it.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from pydantic import BaseModel

from messaging.backend import FROM_START, Backend, Entry
from messaging.client.waiting import Stream, Waiting, answer_in
from messaging.control.followers import Followers
from messaging.control.outages import Outages
from messaging.control.tail import (
    FAREWELL_S,
    MOST_AT_ONCE,
    MOST_ENTRIES,
    RECOVERY_S,
    REOPEN_EVERY_S,
    WAIT_S,
)
from messaging.errors import BackendUnavailableError, MessagingError, PositionLostError
from messaging.process.logs import get_logger
from messaging.wire.decoding import Decoder
from messaging.wire.topic import emit_topic_of, is_reply_topic, reply_topic_of

log = get_logger()

KEPT_UNANSWERED_S = 86_400.0
"""As long as the id of a message is remembered."""
KEPT_ANSWERED_S = 600.0
"""From when the last caller got the answer."""
ANSWERED = "!"
"""Ends the position of an answer: nothing comes behind it."""


class Followed(NamedTuple):
    """Something that was followed.

    Attributes:
        position: behind which to go on, see `after` of `Bus.follow`. One line of printable ASCII,
            and nothing else is to be made of it.
        message: an emitted item, or the answer.
        is_answer: whether it is the answer, behind which nothing comes.
    """

    position: str
    message: BaseModel
    is_answer: bool


class Attachments:
    """The callers of this process that wait where others may wait as well."""

    def __init__(
        self, backend: Backend, decoder: Decoder, followers: Followers, outages: Outages
    ) -> None:
        self._backend = backend
        self._outages = outages
        self._decoder = decoder
        self._followers = followers
        self._attached: dict[str, list[Waiting]] = {}

    def waiting_for(self, message_id: str) -> Sequence[Waiting]:
        return self._attached.get(message_id, ())

    def everybody(self) -> Sequence[tuple[str, Waiting]]:
        return [(name, one) for name, several in self._attached.items() for one in several]

    def check(self, position: str) -> None:
        """Raise ValueError for what is no position."""
        if position:
            self._backend.just_before(position)

    async def open(self, message_id: str, conversation: str) -> None:
        """Keep what is emitted for a request from now on, and its answer, until somebody asks."""
        await self._open(
            (emit_topic_of(conversation), reply_topic_of(message_id)), KEPT_UNANSWERED_S
        )

    @asynccontextmanager
    async def attached(
        self,
        message_id: str,
        conversation: str,
        waiting: Waiting,
        *,
        is_following: bool,
        after: str = FROM_START,
    ) -> AsyncIterator[None]:
        """A block in which `waiting` gets what is kept of a conversation, and what comes.

        Args:
            message_id: of the request.
            conversation: that it was made in.
            waiting: gets it.
            is_following: whether the answer has to be asked for.
            after: the position of an emitted item, behind which to begin.

        Raises:
            ValueError: `after` is no position.
            PositionLostError: it is not kept any more.
            BackendUnavailableError: the store is away.
        """
        topics = (emit_topic_of(conversation), reply_topic_of(message_id))
        if after:
            after = await self._catch_up(topics[0], message_id, after, waiting)
        await self._open(topics, KEPT_UNANSWERED_S)
        followed = message_id if is_following else ""
        self._attached.setdefault(message_id, []).append(waiting)
        try:
            if followed:
                await self._followers.announce(followed)
            reading = asyncio.create_task(self._read(topics, message_id, followed, waiting, after))
            try:
                yield
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
        finally:
            self._detach(message_id, waiting)
            if waiting.is_settled:
                await self._say_farewell(topics)

    async def _say_farewell(self, topics: Iterable[str]) -> None:
        """Keep what was answered for a while only; for longer, if the store is away."""
        with suppress(MessagingError, TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await self._open(topics, KEPT_ANSWERED_S)

    async def _open(self, topics: Iterable[str], ttl_s: float) -> None:
        opening = (
            self._backend.open_ephemeral(topic, ttl_s=ttl_s, max_entries=MOST_ENTRIES)
            for topic in topics
        )
        await asyncio.gather(*opening)

    def _detach(self, message_id: str, waiting: Waiting) -> None:
        attached = self._attached[message_id]
        attached.remove(waiting)
        if not attached:
            del self._attached[message_id]

    async def _catch_up(self, topic: str, message_id: str, after: str, waiting: Waiting) -> str:
        """Give `waiting` what comes at once behind `after`, and return the position of the last.

        The entry at `after` is read along: as it is there, nothing behind it was dropped.
        """
        before = self._backend.just_before(after)
        entries = await self._backend.tail({topic: before}, max_count=MOST_AT_ONCE, wait_s=0.0)
        if not entries or entries[0].position != after:
            raise PositionLostError(after, message_id)
        for entry in entries[1:]:
            waiting.receive(entry)
        return entries[-1].position

    async def _read(
        self,
        topics: tuple[str, str],
        message_id: str,
        followed: str,
        waiting: Waiting,
        after: str,
    ) -> None:
        wanted = topics if isinstance(waiting, Stream) else topics[1:]
        positions = dict.fromkeys(wanted, FROM_START)
        if after:
            positions[topics[0]] = after
        loop = asyncio.get_running_loop()
        opens_at = loop.time() + REOPEN_EVERY_S
        while True:
            try:
                if loop.time() >= opens_at:
                    opens_at = loop.time() + REOPEN_EVERY_S
                    await self._keep_alive(topics, followed)
                entries = await self._backend.tail(positions, max_count=MOST_AT_ONCE, wait_s=WAIT_S)
            except BackendUnavailableError as error:
                self._outages.warn("tail.unavailable", error)
                await asyncio.sleep(RECOVERY_S)
            except Exception:  # whatever it was, without this task no answer would ever arrive
                log.exception("tail.failed")
                await asyncio.sleep(RECOVERY_S)
            else:
                self._take(entries, positions, message_id, waiting)

    async def _keep_alive(self, topics: Iterable[str], followed: str) -> None:
        await self._open(topics, KEPT_UNANSWERED_S)
        if followed:
            await self._followers.announce(followed)

    def _take(
        self, entries: Sequence[Entry], positions: dict[str, str], message_id: str, waiting: Waiting
    ) -> None:
        answers = []
        for position, envelope in entries:
            positions[envelope.topic] = position
            if not is_reply_topic(envelope.topic):
                waiting.receive(Entry(position, envelope))
            elif envelope.cause == message_id:
                answers.append(answer_in(self._decoder, envelope, waiting.asked_type))
        # What failed, was requeued, and is answered by now has not failed to a late reader.
        for answer in sorted(answers, key=lambda answer: isinstance(answer, Exception)):
            waiting.settle(answer)
        # An answer ends its stream only once everything emitted before it was read.
        if waiting.answer.done() and len(entries) < MOST_AT_ONCE:
            waiting.end()
