"""Publishing: a message becomes an envelope, and an envelope is accepted."""

from collections.abc import Awaitable, Iterable, Sequence
from typing import Any

from pydantic import BaseModel

from messaging.backend import Backend
from messaging.envelope import Envelope
from messaging.listeners import Listeners
from messaging.outgoing import check_output_topic, check_priority, join_tags, seal, seal_all


class Publisher:
    """Publishes under one name."""

    def __init__(self, backend: Backend, listeners: Listeners, sender: str) -> None:
        self._backend = backend
        self._by_reference = backend.by_reference
        self._listeners = listeners
        self._sender = sender

    def seal(
        self,
        topic: str,
        message: BaseModel,
        *,
        tags: Sequence[str] = (),
        deadline_s: float | None = None,
        priority: int = 0,
        **header: Any,
    ) -> Envelope:
        """The envelope in which `message` goes to `topic`.

        Raises:
            TopicError: `topic` is not one to publish to.
            InvalidMessageError: it cannot be written as JSON, or would arrive as another message.
            ValueError: `priority` is out of range.
        """
        header = self._header(topic, tags, deadline_s, priority, header)
        return seal(message, topic, by_reference=self._by_reference, **header)

    def seal_all(
        self,
        topic: str,
        messages: Iterable[BaseModel],
        *,
        tags: Sequence[str] = (),
        deadline_s: float | None = None,
        priority: int = 0,
        **header: Any,
    ) -> list[Envelope]:
        """As `seal` does with one, but what they have in common is made ready once."""
        header = self._header(topic, tags, deadline_s, priority, header)
        return seal_all(messages, topic, by_reference=self._by_reference, **header)

    def _header(
        self,
        topic: str,
        tags: Sequence[str],
        deadline_s: float | None,
        priority: int,
        header: dict[str, Any],
    ) -> dict[str, Any]:
        check_output_topic(topic)
        if deadline_s is not None:
            header["deadline"] = self._backend.clock.time() + deadline_s
        if priority:
            header["priority"] = check_priority(priority)
        if tags:
            header["tags"] = join_tags(tags)
        header.setdefault("sender", self._sender)
        return header

    def append(self, envelopes: Sequence[Envelope], *, require_listener: bool) -> Awaitable[None]:
        """To be awaited: done once `envelopes`, all to one topic, are accepted."""
        if require_listener and envelopes and not self._listeners.surely_hear(envelopes[0].topic):
            return self._append_where_heard(envelopes)
        return self._backend.append(envelopes)

    async def append_once(self, envelopes: Sequence[Envelope], *, require_listener: bool) -> None:
        """Like `append`, but what was accepted under the same id within a day is not stored."""
        for envelope in envelopes:
            if require_listener:
                await self._listeners.require(envelope.topic)
            await self._backend.append_once(envelope)

    async def _append_where_heard(self, envelopes: Sequence[Envelope]) -> None:
        await self._listeners.require(envelopes[0].topic)
        await self._backend.append(envelopes)
