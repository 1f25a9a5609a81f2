"""Questions and their answers: one at the end, or a stream of items before it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any

from pydantic import BaseModel

from messaging.backend import FROM_START, Entry
from messaging.client.following import ANSWERED, Attachments, Followed
from messaging.client.publisher import Publisher
from messaging.client.waiting import Stream, Waiting, answer_in
from messaging.control.outages import Outages
from messaging.control.tail import Tail
from messaging.errors import BusClosedError, RequestCancelledError, RequestTimeoutError
from messaging.process.time_limits import TimeLimits, check_finite
from messaging.wire.decoding import Decoder
from messaging.wire.envelope import Envelope, check_id, fits_header, new_id
from messaging.wire.topic import emit_topic_of, reply_topic_of

Late = Callable[[], RequestTimeoutError]
Show = Callable[[BaseModel], None]
"""Called with each emitted item, which is then not yielded."""


class Requests:
    """Waits for the answers to what one bus asked.

    A request under an id of the caller's choice (`message_id`) is accepted once, and all who ask
    under that id wait at the topic of its name; all others share the reply topic of the bus.
    """

    def __init__(
        self,
        publisher: Publisher,
        tail: Tail,
        decoder: Decoder,
        attachments: Attachments,
        outages: Outages,
    ) -> None:
        self._publisher = publisher
        self._outages = outages
        self._tail = tail
        self._decoder = decoder
        self._attachments = attachments
        self._waiting: dict[str, Waiting] = {}
        self._ending: list[Waiting] = []
        self._limits = TimeLimits[Waiting]()
        tail.listen(tail.reply_topic, self._receive)
        tail.listen_to_rounds(self._end_streams)

    async def request(
        self,
        topic: str,
        message: BaseModel,
        *,
        timeout_s: float,
        require_listener: bool = True,
        message_id: str = "",
        **header: Any,
    ) -> BaseModel:
        """The answer to `message`; see `Bus.request`."""
        check_finite(timeout_s=timeout_s)
        if message_id:
            return await self._request_by_name(
                topic, message, timeout_s, require_listener, {**header, "id": message_id}
            )
        envelope = self._seal(topic, message, self._tail.reply_topic, {**header, "id": new_id()})
        waiting = Waiting(envelope.type)
        self._limits.add(waiting, timeout_s, partial(self._give_up_on, envelope, timeout_s))
        self._waiting[envelope.id] = waiting
        try:
            stored = asyncio.ensure_future(
                self._publisher.append((envelope,), require_listener=require_listener)
            )
            if stored.done():  # in memory it is, and a callback would cost a turn of the loop
                waiting.fail_with(stored)
            else:
                stored.add_done_callback(waiting.fail_with)
            try:
                return await waiting.answer
            finally:
                stored.cancel()
        finally:
            self._limits.remove(waiting)
            del self._waiting[envelope.id]

    async def stream(
        self,
        topic: str,
        message: BaseModel,
        *,
        timeout_s: float,
        require_listener: bool = True,
        whole_conversation: bool = False,
        show: Show | None = None,
        message_id: str = "",
        **header: Any,
    ) -> AsyncGenerator[BaseModel, None]:
        """What is emitted for `message`, then its answer; see `Bus.stream`."""
        check_finite(timeout_s=timeout_s)
        reply_topic = reply_topic_of(check_id(message_id)) if message_id else self._tail.reply_topic
        header["id"] = message_id or new_id()
        envelope = self._seal(topic, message, reply_topic, header)
        waiting = Stream(envelope.type, "" if whole_conversation else envelope.id)
        asking = self._asking_by_name if message_id else self._asking
        late = partial(self._too_late, envelope, timeout_s)
        ends_at = asyncio.get_running_loop().time() + timeout_s
        async with asking(envelope, waiting, require_listener=require_listener):
            async for item in self._items(waiting, ends_at, late):
                if show is None or item.is_answer:
                    yield item.message
                else:
                    show(item.message)

    async def begin(
        self,
        topic: str,
        message: BaseModel,
        *,
        message_id: str,
        require_listener: bool = True,
        **header: Any,
    ) -> None:
        """Have `message` accepted as a request, and wait for nothing; see `Bus.begin_request`."""
        reply_topic = reply_topic_of(check_id(message_id))
        envelope = self._seal(topic, message, reply_topic, {**header, "id": message_id})
        await self._attachments.open(envelope.id, envelope.conversation_id)
        await self._publisher.append_once((envelope,), require_listener=require_listener)

    async def follow(
        self, message_id: str, *, show: Show | None = None, **options: Any
    ) -> AsyncGenerator[BaseModel, None]:
        """The messages of `follow_with_positions`; see `Bus.follow`."""
        async with aclosing(self.follow_with_positions(message_id, **options)) as items:
            async for item in items:
                if show is None or item.is_answer:
                    yield item.message
                else:
                    show(item.message)

    async def follow_with_positions(
        self,
        message_id: str,
        *,
        timeout_s: float,
        conversation: str = "",
        whole_conversation: bool = False,
        after: str = FROM_START,
    ) -> AsyncGenerator[Followed, None]:
        """What is emitted for a request of somebody else, then its answer; see `Bus.follow`."""
        check_id(message_id)
        check_finite(timeout_s=timeout_s)
        if not isinstance(conversation, str) or not fits_header(conversation):
            raise ValueError(f"no message can belong to a conversation {conversation!r}")
        if after.endswith(ANSWERED):
            self._attachments.check(after.removesuffix(ANSWERED))
            return
        waiting = Stream("", "" if whole_conversation else message_id)
        late = partial(self._no_answer_to, message_id, "the request", "", timeout_s)
        ends_at = asyncio.get_running_loop().time() + timeout_s
        async with self._attachments.attached(
            message_id, conversation or message_id, waiting, is_following=True, after=after
        ):
            async for item in self._items(waiting, ends_at, late, after):
                yield item

    def cancelled(self, message_id: str, reason: str) -> None:
        """Tell the callers that wait for the answer to `message_id` that none will come."""
        waiting = self._waiting.get(message_id)
        several = self._attachments.waiting_for(message_id)
        for one in (waiting, *several) if waiting else tuple(several):
            one.end_with(RequestCancelledError(message_id, reason))

    def close(self) -> None:
        """Tell every caller that still waits that the bus was closed."""
        for message_id, waiting in (*self._waiting.items(), *self._attachments.everybody()):
            error = BusClosedError(f"the bus was closed before {message_id} was answered")
            waiting.end_with(error)

    async def _request_by_name(
        self,
        topic: str,
        message: BaseModel,
        timeout_s: float,
        require_listener: bool,
        header: dict[str, Any],
    ) -> BaseModel:
        envelope = self._seal(topic, message, reply_topic_of(check_id(header["id"])), header)
        waiting = Waiting(envelope.type)
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._asking_by_name(envelope, waiting, require_listener=require_listener),
            ):
                return await waiting.answer
        except TimeoutError:
            raise self._too_late(envelope, timeout_s) from None

    @asynccontextmanager
    async def _asking_by_name(
        self, envelope: Envelope, waiting: Waiting, *, require_listener: bool
    ) -> AsyncIterator[None]:
        """A block in which `waiting` waits beside all others who ask under this id."""
        async with self._attachments.attached(
            envelope.id, envelope.conversation_id, waiting, is_following=False
        ):
            stored = asyncio.ensure_future(
                self._publisher.append_once((envelope,), require_listener=require_listener)
            )
            stored.add_done_callback(waiting.fail_with)
            try:
                yield
            finally:
                stored.cancel()

    @asynccontextmanager
    async def _asking(
        self, envelope: Envelope, waiting: Stream, *, require_listener: bool
    ) -> AsyncIterator[None]:
        """A block in which `waiting` waits, the request being its own."""
        followed = emit_topic_of(envelope.conversation_id)
        await self._tail.follow(followed, waiting.receive)
        self._waiting[envelope.id] = waiting
        try:
            await self._publisher.append((envelope,), require_listener=require_listener)
            yield
        finally:
            del self._waiting[envelope.id]
            # Others may follow a conversation that did not begin here.
            await self._tail.unfollow(followed, waiting.receive, close=not envelope.conversation)

    async def _items(
        self, waiting: Stream, ends_at: float, late: Late, position: str = FROM_START
    ) -> AsyncGenerator[Followed, None]:
        while (item := await _next(waiting, ends_at, late)) is not None:
            position = item.position
            yield Followed(position, self._decoder.read(item.envelope), is_answer=False)
        yield Followed(position + ANSWERED, waiting.answer.result(), is_answer=True)

    def _give_up_on(self, envelope: Envelope, after_s: float, waiting: Waiting) -> None:
        waiting.settle(self._too_late(envelope, after_s))

    def _too_late(self, envelope: Envelope, timeout_s: float) -> RequestTimeoutError:
        return self._no_answer_to(envelope.id, envelope.type, envelope.topic, timeout_s)

    def _no_answer_to(
        self, message_id: str, type_: str, topic: str, timeout_s: float
    ) -> RequestTimeoutError:
        meanwhile = self._outages.during(timeout_s)
        return RequestTimeoutError(message_id, type_, topic, timeout_s, meanwhile)

    def _seal(
        self, topic: str, message: BaseModel, reply_topic: str, header: dict[str, Any]
    ) -> Envelope:
        return self._publisher.seal(topic, message, reply_to=reply_topic, **header)

    def _receive(self, entry: Entry) -> None:
        waiting = self._waiting.get(entry.envelope.cause)
        if waiting is not None:
            waiting.settle(answer_in(self._decoder, entry.envelope, waiting.asked_type))
            self._ending.append(waiting)

    def _end_streams(self, may_be_more: bool) -> None:
        # An answer ends its stream only once everything emitted before it was read.
        if not may_be_more:
            for waiting in self._ending:
                waiting.end()
            self._ending.clear()


async def _next(waiting: Stream, ends_at: float, late: Late) -> Entry | None:
    try:
        async with asyncio.timeout_at(ends_at):
            return await waiting.next_item()
    except TimeoutError:
        raise late() from None
