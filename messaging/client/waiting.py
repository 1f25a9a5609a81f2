"""Callers that wait: for one answer, or for what is emitted until it comes."""

import asyncio
from collections import deque

from pydantic import BaseModel

from messaging.backend import Entry
from messaging.errors import MessagingError, RequestCancelledError, RequestFailedError
from messaging.wire.decoding import Decoder
from messaging.wire.envelope import Envelope
from messaging.wire.replies import Cancelled, RequestFailed

MOST_ITEMS = 10_000


class Waiting:
    """A caller that waits for one answer."""

    def __init__(self, asked_type: str) -> None:
        self.asked_type = asked_type
        self.answer: asyncio.Future[BaseModel] = asyncio.get_running_loop().create_future()

    def settle(self, answer: BaseModel | Exception) -> None:
        """Take the first answer; later ones are ignored."""
        if self.answer.done():
            return
        if isinstance(answer, Exception):
            self.answer.set_exception(answer)
            self.answer.exception()  # seen: the caller may have left already
        else:
            self.answer.set_result(answer)

    @property
    def is_settled(self) -> bool:
        """Whether an answer, or an error in its place, has come; not when the caller has left."""
        return self.answer.done() and not self.answer.cancelled()

    def end_with(self, error: Exception) -> None:
        """No answer will come, because of `error`; nor will anything else."""
        self.settle(error)
        self.end()

    def fail_with(self, stored: "asyncio.Future[None]") -> None:
        """Take note of why the request was not stored, if it was not."""
        if not stored.cancelled() and isinstance(error := stored.exception(), Exception):
            self.end_with(error)

    def receive(self, entry: Entry) -> None:
        """Take an emitted item, or not."""

    def end(self) -> None:
        """Nothing more will come."""


class Stream(Waiting):
    """A caller that takes items until the answer comes; when it is slow, the oldest are lost.

    Args:
        cause: id of the message whose items are wanted; "" for those of the whole conversation.
    """

    def __init__(self, asked_type: str, cause: str) -> None:
        super().__init__(asked_type)
        self._cause = cause
        self._items: deque[Entry] = deque(maxlen=MOST_ITEMS)
        self._changed = asyncio.Event()
        self._has_ended = False

    def receive(self, entry: Entry) -> None:
        if not self._cause or entry.envelope.cause == self._cause:
            self._items.append(entry)
            self._changed.set()

    def end(self) -> None:
        self._has_ended = True
        self._changed.set()

    async def next_item(self) -> Entry | None:
        """The next emitted item; None once the answer is there and nothing came before it."""
        while not self._items:
            if self._has_ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._items.popleft()


def answer_in(decoder: Decoder, envelope: Envelope, asked_type: str) -> BaseModel | Exception:
    """The answer in `envelope`, or the error that it stands for."""
    try:
        message = decoder.read(envelope)
    except MessagingError as error:
        return error
    if isinstance(message, RequestFailed):
        is_of_the_request = message.message_id == envelope.cause
        return RequestFailedError(
            message.error_type,
            message.text,
            agent=message.agent,
            dead_letter_id=message.message_id,
            message_type=envelope.tags,
            asked_id=envelope.cause,
            asked_type=asked_type or (envelope.tags if is_of_the_request else ""),
            conversation=envelope.conversation_id,
        )
    if isinstance(message, Cancelled):
        return RequestCancelledError(message.message_id, message.reason, asked_id=envelope.cause)
    return message
