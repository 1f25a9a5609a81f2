"""Questions and their answers: one at the end, or a stream of items before it."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any

from pydantic import BaseModel

from messaging.backend import Entry
from messaging.envelope import Envelope, new_id
from messaging.errors import (
    BusClosedError,
    MessagingError,
    RequestCancelledError,
    RequestFailedError,
    RequestTimeoutError,
)
from messaging.failure import Cancelled, RequestFailed
from messaging.outages import Outages
from messaging.publishing import Publisher
from messaging.reading import Decoder
from messaging.tail import Tail
from messaging.topic import emit_topic_of

MOST_ITEMS = 10_000


class Requests:
    """Waits for the answers to what one bus asked."""

    def __init__(
        self, publisher: Publisher, tail: Tail, decoder: Decoder, outages: Outages
    ) -> None:
        self._publisher = publisher
        self._outages = outages
        self._tail = tail
        self._decoder = decoder
        self._waiting: dict[str, _Waiting] = {}
        self._ending: list[_Waiting] = []
        tail.listen(tail.reply_topic, self._receive)
        tail.listen_to_rounds(self._end_streams)

    async def request(
        self,
        topic: str,
        message: BaseModel,
        *,
        timeout_s: float,
        require_listener: bool = True,
        **header: Any,
    ) -> BaseModel:
        """The answer to `message`; see `Bus.request`."""
        envelope = self._seal(topic, message, header)
        stored = asyncio.ensure_future(
            self._publisher.append((envelope,), require_listener=require_listener)
        )
        waiting = self._waiting[envelope.id] = _Waiting(envelope.type)
        stored.add_done_callback(waiting.fail_with)
        # A timer costs a third of a timeout, and one wait half of two.
        timer = asyncio.get_running_loop().call_later(
            timeout_s, self._give_up_on, waiting, envelope, timeout_s
        )
        try:
            return await waiting.answer
        finally:
            timer.cancel()
            stored.cancel()
            del self._waiting[envelope.id]

    async def stream(
        self,
        topic: str,
        message: BaseModel,
        *,
        timeout_s: float,
        require_listener: bool = True,
        whole_conversation: bool = False,
        **header: Any,
    ) -> AsyncGenerator[BaseModel, None]:
        """What is emitted for `message`, then its answer; see `Bus.stream`."""
        envelope = self._seal(topic, message, header)
        waiting = _Stream(envelope.type, "" if whole_conversation else envelope.id)
        followed = emit_topic_of(envelope.conversation_id)
        ends_at = asyncio.get_running_loop().time() + timeout_s
        await self._tail.follow(followed, waiting.receive)
        self._waiting[envelope.id] = waiting
        try:
            await self._publisher.append((envelope,), require_listener=require_listener)
            while (item := await self._next(waiting, envelope, ends_at, timeout_s)) is not None:
                yield self._decoder.read(item)
            yield waiting.answer.result()
        finally:
            del self._waiting[envelope.id]
            # Others may follow a conversation that did not begin here.
            await self._tail.unfollow(followed, waiting.receive, close=not envelope.conversation)

    def cancelled(self, message_id: str, reason: str) -> None:
        """Tell whoever waits for the answer to `message_id` that none will come."""
        if message_id in self._waiting:
            waiting = self._waiting[message_id]
            waiting.settle(RequestCancelledError(message_id, reason))
            waiting.end()

    def close(self) -> None:
        """Tell everybody who still waits that the bus was closed."""
        for message_id, waiting in self._waiting.items():
            waiting.settle(BusClosedError(f"the bus was closed before {message_id} was answered"))
            waiting.end()

    async def _next(
        self, waiting: "_Stream", envelope: Envelope, ends_at: float, timeout_s: float
    ) -> Envelope | None:
        try:
            async with asyncio.timeout_at(ends_at):
                return await waiting.next_item()
        except TimeoutError:
            raise self._too_late(envelope, timeout_s) from None

    def _give_up_on(self, waiting: "_Waiting", envelope: Envelope, after_s: float) -> None:
        waiting.settle(self._too_late(envelope, after_s))

    def _too_late(self, envelope: Envelope, timeout_s: float) -> RequestTimeoutError:
        meanwhile = self._outages.during(timeout_s)
        return RequestTimeoutError(envelope.id, envelope.type, envelope.topic, timeout_s, meanwhile)

    def _seal(self, topic: str, message: BaseModel, header: dict[str, Any]) -> Envelope:
        message_id = header.pop("message_id", "") or new_id()
        header["reply_to"] = self._tail.reply_topic
        return self._publisher.seal(topic, message, id=message_id, **header)

    def _receive(self, entry: Entry) -> None:
        waiting = self._waiting.get(entry.envelope.cause)
        if waiting is not None:
            waiting.settle(self._read(entry.envelope, waiting.asked_type))
            self._ending.append(waiting)

    def _read(self, envelope: Envelope, asked_type: str) -> BaseModel | Exception:
        try:
            message = self._decoder.read(envelope)
        except MessagingError as error:
            return error
        if isinstance(message, RequestFailed):
            return RequestFailedError(
                message.error_type,
                message.text,
                agent=message.agent,
                dead_letter_id=message.message_id,
                message_type=envelope.tags,
                asked_id=envelope.cause,
                asked_type=asked_type,
                conversation=envelope.conversation_id,
            )
        if isinstance(message, Cancelled):
            return RequestCancelledError(
                message.message_id, message.reason, asked_id=envelope.cause
            )
        return message

    def _end_streams(self, may_be_more: bool) -> None:
        # An answer ends its stream only once everything emitted before it was read.
        if not may_be_more:
            for waiting in self._ending:
                waiting.end()
            self._ending.clear()


class _Waiting:
    """Somebody who waits for one answer."""

    def __init__(self, asked_type: str) -> None:
        self.asked_type = asked_type
        self.answer: asyncio.Future[BaseModel] = asyncio.get_running_loop().create_future()

    def settle(self, answer: BaseModel | Exception) -> None:
        """Take the first answer; later ones are ignored."""
        if self.answer.done():
            return
        if isinstance(answer, Exception):
            self.answer.set_exception(answer)
            self.answer.exception()  # seen: whoever waits may have left already
        else:
            self.answer.set_result(answer)

    def fail_with(self, stored: "asyncio.Future[None]") -> None:
        """Take note of why the request was not stored, if it was not."""
        if not stored.cancelled() and isinstance(error := stored.exception(), Exception):
            self.settle(error)

    def end(self) -> None:
        """Nothing more will come."""


class _Stream(_Waiting):
    """Somebody who takes items until the answer comes; too slow, and the oldest are lost."""

    def __init__(self, asked_type: str, cause: str) -> None:
        super().__init__(asked_type)
        self._cause = cause
        self._items: deque[Envelope] = deque(maxlen=MOST_ITEMS)
        self._changed = asyncio.Event()
        self._has_ended = False

    def receive(self, entry: Entry) -> None:
        if not self._cause or entry.envelope.cause == self._cause:
            self._items.append(entry.envelope)
            self._changed.set()

    def end(self) -> None:
        self._has_ended = True
        self._changed.set()

    async def next_item(self) -> Envelope | None:
        """The next emitted item; None once the answer is there and nothing came before it."""
        while not self._items:
            if self._has_ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._items.popleft()
