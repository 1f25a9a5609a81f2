"""Following a conversation by the id of its request, from any process and also afterwards.

A request under an id of the caller's own choice is answered on a topic of that name. It is opened
before the request is published, together with the topic of what is emitted, and both are kept for a
while: so that every caller who asks under that id, or follows it, reads them from their start.

The answer to any other request goes to the process that asked, which may be gone. Whoever follows
one says so on the control topic, again and again; agents then send a copy of the answer to the
topic of that id. What was answered before they heard of it is not to be had any more.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress

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
from messaging.errors import BackendUnavailableError, MessagingError
from messaging.process.logs import get_logger
from messaging.wire.decoding import Decoder
from messaging.wire.topic import emit_topic_of, is_reply_topic, reply_topic_of

log = get_logger()

KEPT_UNANSWERED_S = 86_400.0
"""As long as the id of a message is remembered."""
KEPT_ANSWERED_S = 600.0
"""From when the last caller got the answer."""


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

    @asynccontextmanager
    async def attached(
        self, message_id: str, conversation: str, waiting: Waiting, *, is_following: bool
    ) -> AsyncIterator[None]:
        """A block in which `waiting` gets what is kept of a conversation, and what comes.

        Raises:
            BackendUnavailableError: the store is away.
        """
        topics = (emit_topic_of(conversation), reply_topic_of(message_id))
        await self._open(topics, KEPT_UNANSWERED_S)
        self._attached.setdefault(message_id, []).append(waiting)
        followed = message_id if is_following else ""
        if followed:
            await self._followers.announce(followed)
        reading = asyncio.create_task(self._read(topics, message_id, followed, waiting))
        try:
            yield
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            self._detach(message_id, waiting)
            if waiting.is_settled:
                with suppress(MessagingError, TimeoutError):  # then it is kept for longer
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

    async def _read(
        self, topics: tuple[str, str], message_id: str, followed: str, waiting: Waiting
    ) -> None:
        wanted = topics if isinstance(waiting, Stream) else topics[1:]
        positions = dict.fromkeys(wanted, FROM_START)
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
