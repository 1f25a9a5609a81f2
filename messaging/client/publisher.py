"""Publishing: a message becomes an envelope, and an envelope is accepted."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from pydantic import BaseModel

from messaging.backend import Backend
from messaging.client.subscribers import SubscriberCache
from messaging.observing import Observers
from messaging.process.time_limits import check_finite
from messaging.state.timers import delay_of
from messaging.wire.envelope import (
    Envelope,
    check_id,
    check_output_topic,
    check_priority,
    check_texts,
    join_tags,
    seal,
    seal_like,
)


class Publisher:
    """Publishes under one name.

    Args:
        check_open: says why it is not open.

    Attributes:
        is_open: whether its bus is.
    """

    def __init__(
        self,
        backend: Backend,
        subscribers: SubscriberCache,
        sender: str,
        observers: Observers,
        *,
        check_open: Callable[[], None],
    ) -> None:
        self.is_open = False
        self._check_open = check_open
        self._backend = backend
        self._traced = observers.tracer
        self._by_reference = backend.by_reference
        self._clock = backend.clock
        self._subscribers = subscribers
        self._sender = sender

    def publish(
        self,
        topic: str,
        messages: Sequence[BaseModel],
        *,
        conversation: str = "",
        reply_to: str = "",
        tags: Sequence[str] = (),
        key: str = "",
        priority: int = 0,
        deadline_s: float | None = None,
        delay_s: float = 0.0,
        at: datetime | None = None,
        message_id: str = "",
        require_listener: bool = False,
    ) -> tuple[Sequence[Envelope], Awaitable[None]]:
        """The envelopes of `messages`, and what is to be awaited until they are accepted.

        What the options mean is said in `PublishOptions`. An id is for a single message.
        """
        if not self.is_open:
            self._check_open()
        delay_s = delay_of(delay_s, at, self._clock) if delay_s or at is not None else 0.0
        if deadline_s is not None:
            check_finite(deadline_s=deadline_s)
        joined_tags = join_tags(tags) if tags else ""
        if conversation or reply_to or key or joined_tags:
            check_texts(conversation=conversation, reply_to=reply_to, key=key, tags=joined_tags)
        if not messages:
            check_output_topic(topic)
            check_priority(priority)
            return (), self._backend.append(())
        first = seal(
            messages[0],
            check_output_topic(topic),
            by_reference=self._by_reference,
            id=check_id(message_id) if message_id else "",
            sender=self._sender,
            conversation=conversation,
            reply_to=reply_to,
            key=key,
            tags=joined_tags,
            deadline=0.0 if deadline_s is None else self._clock.time() + deadline_s,
            priority=check_priority(priority) if priority else 0,
            delay_s=delay_s,
        )
        envelopes: Sequence[Envelope]
        traced = self._traced
        if len(messages) == 1:
            envelopes = (first if traced is None else traced(first),)
        else:
            others = seal_like(first, messages[1:], by_reference=self._by_reference)
            envelopes = (first, *others)
            if traced is not None:
                envelopes = tuple(map(traced, envelopes))
        if message_id:
            return envelopes, self.append_once(envelopes, require_listener=require_listener)
        if require_listener:
            return envelopes, self.append(envelopes, require_listener=True)
        return envelopes, self._backend.append(envelopes)

    # What Python calls it where an option is none: people call it on a bus, or on a client.
    publish.__qualname__ = "publish"

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
        tags: Sequence[str] = (),
        trace: str = "",
        deadline_s: float | None = None,
        hops: int = 0,
        priority: int = 0,
    ) -> Envelope:
        """The envelope of a request, which has to be known before it is published.

        A handler that asks says who it is, and what its question follows from.

        Raises:
            TopicError: `topic` is not one to publish to.
            InvalidMessageError: it cannot be written as JSON, or would arrive as another message.
            WireError: `conversation` or a tag holds what cannot travel.
        """
        joined_tags = join_tags(tags) if tags else ""
        if conversation or joined_tags:
            check_texts(conversation=conversation, tags=joined_tags)
        envelope = seal(
            message,
            check_output_topic(topic),
            by_reference=self._by_reference,
            id=id,
            sender=sender or self._sender,
            cause=cause,
            conversation=conversation,
            reply_to=reply_to,
            tags=joined_tags,
            trace=trace,
            deadline=0.0 if deadline_s is None else self._clock.time() + deadline_s,
            hops=hops,
            priority=check_priority(priority) if priority else 0,
        )
        return envelope if self._traced is None else self._traced(envelope)

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
