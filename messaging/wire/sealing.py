"""Puts a message into its envelope."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from pydantic import BaseModel

from messaging.errors import NotAMessageError
from messaging.wire.envelope import Envelope, new_id
from messaging.wire.fidelity import fidelity_of, may_share
from messaging.wire.message import encode, wire_type_of
from messaging.wire.topic import check_topic

PRIORITIES = range(-128, 128)
_ID = re.compile(r"[0-9a-f]{32}")

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
    if priority not in PRIORITIES:
        raise ValueError(f"a priority is a whole number from -128 to 127, not {priority!r}")
    return priority


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
