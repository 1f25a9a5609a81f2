"""Puts a message into its envelope."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from messaging.envelope import Envelope, new_id
from messaging.errors import InvalidMessageError
from messaging.message import encode, wire_type_of
from messaging.topic import check_topic

PRIORITIES = range(-128, 128)

check_output_topic = lru_cache(maxsize=4096)(check_topic)


def seal(message: BaseModel, topic: str, *, by_reference: bool, **header: Any) -> Envelope:
    """`message` in an envelope of its own, with `header` as further fields.

    Raises:
        InvalidMessageError: it cannot be written as JSON.
    """
    wire_type = wire_type_of(type(message))
    header.setdefault("id", new_id())
    if by_reference and message.model_config.get("frozen"):
        return Envelope(
            type=wire_type.name,
            version=wire_type.version,
            topic=topic,
            payload=b"",
            message=message,
            **header,
        )
    return Envelope(
        type=wire_type.name,
        version=wire_type.version,
        topic=topic,
        payload=_payload_of(message),
        **header,
    )


def check_priority(priority: int) -> int:
    """Return `priority` if an envelope can carry it; raises ValueError if not."""
    if priority not in PRIORITIES:
        raise ValueError(f"a priority is a whole number from -128 to 127, not {priority!r}")
    return priority


def payload_of(envelope: Envelope) -> bytes:
    """The JSON in `envelope`, also when the message travels by reference."""
    return _payload_of(envelope.message) if envelope.message is not None else envelope.payload


def join_tags(tags: Iterable[str] | str) -> str:
    """Agent ids as an envelope carries them."""
    return tags if isinstance(tags, str) else ",".join(tags)


def split_tags(tags: str) -> Sequence[str]:
    return tags.split(",") if tags else ()


def _payload_of(message: BaseModel) -> bytes:
    try:
        return encode(message)
    except (PydanticSerializationError, UnicodeEncodeError) as error:
        wire_type = str(wire_type_of(type(message)))
        raise InvalidMessageError(wire_type, (f"cannot be written as JSON: {error}",)) from error
