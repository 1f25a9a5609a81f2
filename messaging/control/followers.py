"""Which requests are followed: their answers are copied to the topic of their id."""

import time
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress

from messaging.backend import Backend, Entry
from messaging.control.tail import Tail
from messaging.errors import MessagingError
from messaging.wire.decoding import Decoder
from messaging.wire.envelope import Envelope, seal
from messaging.wire.message import Message, MessageRegistry
from messaging.wire.topic import CONTROL_TOPIC, is_reply_topic, reply_topic_of

FOLLOWED_S = 30.0
MOST_FOLLOWED = 10_000


class FollowRequested(Message, wire_name="bus.follow"):
    """Send a copy of the answer to this message to the topic of its id, for a while."""

    message_id: str


class Followers:
    """Which requests are followed, as every process of the guild knows it."""

    def __init__(self, backend: Backend, tail: Tail) -> None:
        self._backend = backend
        self._decoder = Decoder(MessageRegistry(FollowRequested))
        self._until: OrderedDict[str, float] = OrderedDict()
        tail.listen(CONTROL_TOPIC, self._receive)

    async def announce(self, message_id: str) -> None:
        """Tell every process, this one first, that `message_id` is followed at this moment."""
        request = FollowRequested(message_id=message_id)
        self._apply(request)
        by_reference = self._backend.by_reference
        await self._backend.emit([seal(request, CONTROL_TOPIC, by_reference=by_reference)])

    def with_copies(self, outbox: tuple[Envelope, ...]) -> tuple[Envelope, ...]:
        """`outbox`, and a copy of each answer in it that is followed."""
        if not self._until:
            return outbox
        self._forget_old()
        return (*outbox, *self._copies(outbox))

    def _copies(self, outbox: Iterable[Envelope]) -> Iterable[Envelope]:
        for envelope in outbox:
            if envelope.cause in self._until and is_reply_topic(envelope.topic):
                topic = reply_topic_of(envelope.cause)
                if topic != envelope.topic:
                    yield envelope._replace(topic=topic)

    def _receive(self, entry: Entry) -> None:
        with suppress(MessagingError):  # whoever cancels reports it
            request = self._decoder.read(entry.envelope)
            if isinstance(request, FollowRequested):
                self._apply(request)

    def _apply(self, request: FollowRequested) -> None:
        self._until[request.message_id] = time.monotonic() + FOLLOWED_S
        self._until.move_to_end(request.message_id)
        self._forget_old()

    def _forget_old(self) -> None:
        now = time.monotonic()
        while self._until and (
            len(self._until) > MOST_FOLLOWED or next(iter(self._until.values())) < now
        ):
            self._until.popitem(last=False)
