"""Publishing: a message becomes an envelope, and an envelope is accepted."""

from collections.abc import Awaitable, Iterable, Sequence
from typing import Any

from pydantic import BaseModel

from messaging.backend import Backend
from messaging.client.subscribers import SubscriberCache
from messaging.wire.envelope import Envelope
from messaging.wire.sealing import check_output_topic, check_priority, join_tags, seal, seal_like


class Publisher:
    """Publishes under one name."""

    def __init__(self, backend: Backend, subscribers: SubscriberCache, sender: str) -> None:
        self._backend = backend
        self._by_reference = backend.by_reference
        self._subscribers = subscribers
        self._sender = sender

    def seal(
        self,
        topic: str,
        message: BaseModel,
        *,
        id: str = "",  # noqa: A002 - the field's name
        sender: str = "",
        cause: str = "",
        conversation: str = "",
        reply_to: str = "",
        key: str = "",
        tags: Sequence[str] = (),
        trace: str = "",
        deadline_s: float | None = None,
        hops: int = 0,
        priority: int = 0,
        delay_s: float = 0.0,
    ) -> Envelope:
        """The envelope in which `message` goes to `topic`.

        Raises:
            TopicError: `topic` is not one to publish to.
            InvalidMessageError: it cannot be written as JSON, or would arrive as another message.
            ValueError: `priority` is out of range.
        """
        # Each by its name: passed on in a dict they cost 1 µs more.
        return seal(
            message,
            check_output_topic(topic),
            by_reference=self._by_reference,
            id=id,
            sender=sender or self._sender,
            cause=cause,
            conversation=conversation,
            reply_to=reply_to,
            key=key,
            tags=join_tags(tags) if tags else "",
            trace=trace,
            deadline=0.0 if deadline_s is None else self._backend.clock.time() + deadline_s,
            hops=hops,
            priority=check_priority(priority) if priority else 0,
            delay_s=delay_s,
        )

    def seal_all(
        self, topic: str, messages: Iterable[BaseModel], **header: Any
    ) -> Sequence[Envelope]:
        """As `seal` does with one, but what they have in common is made ready once."""
        messages = tuple(messages)
        if not messages:
            check_output_topic(topic)
            return ()
        first = self.seal(topic, messages[0], **header)
        return [first, *seal_like(first, messages[1:], by_reference=self._by_reference)]

    def append(self, envelopes: Sequence[Envelope], *, require_listener: bool) -> Awaitable[None]:
        """To be awaited: done once `envelopes`, all to one topic, are accepted."""
        if require_listener and envelopes and not self._subscribers.surely_hear(envelopes[0].topic):
            return self._append_where_heard(envelopes)
        return self._backend.append(envelopes)

    async def append_once(self, envelopes: Sequence[Envelope], *, require_listener: bool) -> None:
        """Like `append`, but what was accepted under the same id within a day is not stored."""
        for envelope in envelopes:
            if require_listener:
                await self._subscribers.require(envelope.topic)
            await self._backend.append_once(envelope)

    async def _append_where_heard(self, envelopes: Sequence[Envelope]) -> None:
        await self._subscribers.require(envelopes[0].topic)
        await self._backend.append(envelopes)
