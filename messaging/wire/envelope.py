"""The envelope: what the bus knows of a message without parsing it, and how it gets into one.

`codec` writes its header down.
"""

import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple, Self

from pydantic import BaseModel

from messaging.errors import NotAMessageError, WireError
from messaging.wire.fidelity import fidelity_of, may_share
from messaging.wire.message import encode, wire_type_of
from messaging.wire.topic import check_topic, is_partition, is_reply_topic

PRIORITIES = range(-128, 128)

_ID = re.compile(r"[0-9a-f]{32}")
_IDS_AT_ONCE = 256
_END_BYTES = 10  # of an id, behind its milliseconds
_AGAIN = "\x01"  # no topic holds one, nor does the name of a timer


class Envelope(NamedTuple):
    """One message on its way.

    Attributes:
        id: 32 hex digits, ordered by time of creation.
        type: wire name of the payload's class; `version` counts its shapes.
        topic: where it was published; carried by the stream, not by the header.
        payload: the message as JSON; empty while `message` travels by reference.
        cause: id of the message that this one answers or follows from.
        conversation: id of the first message of the chain; "" means this one is the first.
        reply_to: topic to which the answer goes.
        waiter: the caller up the chain that waits for an answer which depends on this message: its
            reply topic and the id of what it asked; "" without one, and where `reply_to` says it.
        deadline: unix seconds after which handling is pointless; 0.0 is never.
        attempt: 1 at first, counted up by each retry.
        hops: how many handlings lie between the first message and this one.
        key: orders handling among equal keys where the agent asks for it.
        tags: ids of the agents addressed, joined by commas; a notice that a message was given up
            names the wire type of that message here.
        trace: what an observer gave it, such as a `traceparent`; what follows from it has the same,
            unless the observer gives it another.
        origin: the topic it was first published to, once the bus has moved it; "" before.
        delay_s: how long the backend holds it back from the moment it is stored; not on the wire.
        message: the model itself, where the backend may hand it over; see `Backend.by_reference`.
    """

    id: str
    type: str
    version: int
    topic: str
    payload: bytes
    sender: str = ""
    cause: str = ""
    conversation: str = ""
    reply_to: str = ""
    key: str = ""
    tags: str = ""
    trace: str = ""
    origin: str = ""
    waiter: str = ""
    deadline: float = 0.0
    attempt: int = 1
    hops: int = 0
    priority: int = 0
    delay_s: float = 0.0
    message: BaseModel | None = None

    @property
    def published_to(self) -> str:
        """The topic a user would recognise, wherever the bus has moved the envelope."""
        return self.origin.removesuffix(_AGAIN) or self.topic

    @property
    def was_handled(self) -> bool:
        """Whether a handler may have begun on it before: a retry, requeued, or replayed."""
        if self.attempt > 1 or not self.origin:
            return self.attempt > 1
        return self.origin.endswith(_AGAIN) or not is_partition(self.topic)

    def moved_to_partition(self, topic: str, *, was_handled: bool) -> Self:
        """The envelope as it lies in a partition of its group, with where it came from."""
        origin = self.published_to
        return self._replace(topic=topic, origin=f"{origin}{_AGAIN}" if was_handled else origin)

    def with_trace(self, trace: str) -> Self:
        """The same under another trace; `_replace` takes six times as long."""
        return tuple.__new__(type(self), (*self[:_TRACE], trace, *self[_TRACE + 1 :]))

    @property
    def waiter_beyond(self) -> str:
        """The `waiter` of whatever follows from this message: the nearest one up the chain."""
        return f"{self.reply_to} {self.id}" if is_reply_topic(self.reply_to) else self.waiter

    @property
    def conversation_id(self) -> str:
        return self.conversation or self.id


_TRACE = Envelope._fields.index("trace")
_VERSION = bytes(0x70 | byte & 0x0F for byte in range(256))
_VARIANT = bytes(0x80 | byte & 0x3F for byte in range(256))

_random_ends: list[str] = []
os.register_at_fork(after_in_child=_random_ends.clear)  # or a child would repeat its parent's ids


def new_id() -> str:
    """A UUID version 7 as 32 hex digits: 48 bits of milliseconds, then randomness."""
    if not _random_ends:
        _random_ends.extend(_draw_ends())  # one call of the system for many ids
    return _digits_of(time.time_ns() // 1_000_000) + _random_ends.pop()


_digits_of = lru_cache(maxsize=1)("{:012x}".format)  # many ids are made within one millisecond


def _draw_ends() -> list[str]:
    drawn = bytearray(os.urandom(_END_BYTES * _IDS_AT_ONCE))
    drawn[0::_END_BYTES] = drawn[0::_END_BYTES].translate(_VERSION)
    drawn[2::_END_BYTES] = drawn[2::_END_BYTES].translate(_VARIANT)
    return drawn.hex(" ", _END_BYTES).split()


check_output_topic = lru_cache(maxsize=4096)(check_topic)


def seal(
    message: BaseModel,
    topic: str,
    *,
    by_reference: bool,
    id: str = "",  # noqa: A002 - the field's name
    sender: str = "",
    cause: str = "",
    conversation: str = "",
    reply_to: str = "",
    key: str = "",
    tags: str = "",
    trace: str = "",
    waiter: str = "",
    deadline: float = 0.0,
    hops: int = 0,
    priority: int = 0,
    delay_s: float = 0.0,
) -> Envelope:
    """`message` in an envelope of its own, under a new id unless `id` is one.

    Raises:
        NotAMessageError: it is no pydantic model.
        InvalidMessageError: it cannot be written as JSON, or would not arrive as it is.
        UnfitClassError: no message of its class could arrive.
    """
    type_, version, payload, carried = _content_of(message, by_reference)
    fields = (
        id or new_id(), type_, version, topic, payload, sender, cause, conversation, reply_to, key,
        tags, trace, "", waiter, deadline, 1, hops, priority, delay_s, carried,
    )  # fmt: skip
    return tuple.__new__(Envelope, fields)  # half the time of calling the class


def seal_like(
    first: Envelope, messages: Iterable[BaseModel], *, by_reference: bool
) -> Iterator[Envelope]:
    """Each of `messages` as `seal` does it, with the header of `first`, but an id of its own."""
    _, _, _, topic, _, *common, _ = first
    for message in messages:
        type_, version, payload, carried = _content_of(message, by_reference)
        fields = (new_id(), type_, version, topic, payload, *common, carried)
        yield tuple.__new__(Envelope, fields)


def _content_of(message: BaseModel, by_reference: bool) -> tuple[str, int, bytes, BaseModel | None]:
    """Wire name, version, and the message itself: as JSON, or as it is where it may be shared."""
    try:
        type_, version, is_shareable, models = _nature_of(type(message))
    except NotAMessageError:
        raise NotAMessageError(message) from None
    if by_reference and is_shareable and may_share(message, models):
        return type_, version, b"", message
    return type_, version, encode(message), None


def check_message(message: BaseModel) -> None:
    """Raise NotAMessageError if `message` is no message, whatever its annotation says."""
    try:
        _nature_of(type(message))
    except NotAMessageError:
        raise NotAMessageError(message) from None


def check_id(message_id: str) -> str:
    """Return `message_id` if an envelope can carry it; raises ValueError if not."""
    if not _ID.fullmatch(message_id):
        raise ValueError(
            f"a message id is 32 lower-case hex digits, as new_id() makes them, not {message_id!r}"
        )
    return message_id


def check_priority(priority: int) -> int:
    """Return `priority` if an envelope can carry it; raises ValueError if not."""
    if not isinstance(priority, int) or priority not in PRIORITIES:
        raise ValueError(f"a priority is a whole number from -128 to 127, not {priority!r}")
    return priority


def check_texts(**texts: object) -> None:
    """Refuse fields of an envelope that no header can carry, whatever the backend.

    Raises:
        WireError: one holds a NUL or a lone surrogate.
        TypeError: one is no text.
    """
    for name, text in texts.items():
        if not isinstance(text, str):
            raise TypeError(f"{name} must be text, not {text!r}")
        if not fits_header(text):
            raise WireError(f"{name} {text!r} cannot travel: it holds a NUL or a lone surrogate")


def fits_header(text: str) -> bool:
    """Whether a field of a header can hold it: without a NUL and a lone surrogate."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def payload_of(envelope: Envelope) -> bytes:
    """The JSON in `envelope`, also when the message travels by reference."""
    return encode(envelope.message) if envelope.message is not None else envelope.payload


def join_tags(tags: Iterable[str] | str) -> str:
    """Agent ids as an envelope carries them."""
    return tags if isinstance(tags, str) else ",".join(tags)


def split_tags(tags: str) -> Sequence[str]:
    return tags.split(",") if tags else ()


@lru_cache(maxsize=4096)
def _nature_of(message_class: type[BaseModel]) -> tuple[str, int, bool, Sequence[type]]:
    """Wire name, version, and how messages of a class may be shared: all in one look."""
    if not issubclass(message_class, BaseModel):
        raise NotAMessageError(message_class)
    fidelity = fidelity_of(message_class)
    return *wire_type_of(message_class), fidelity.is_shareable, fidelity.models
