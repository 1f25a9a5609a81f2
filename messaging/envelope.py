"""The envelope: what the bus knows of a message without parsing it.

On the wire an entry is two fields, the binary header made here and the payload. Optional parts
cost nothing when they are absent: a bit in `flags` says which are there.

header = version u8, flags u16, attempt u8, message version u16, id 16 bytes
         [hops u8] [priority i8] [deadline f64]
         type, then the strings that flags announce, joined by NUL
"""

import os
import struct
import time
from typing import Any, NamedTuple

from pydantic import BaseModel

from messaging.errors import WireError

HEADER_VERSION = 1
ID_BYTES = 16
_FIXED = struct.Struct(">BHBH16s")
_HOPS, _PRIORITY, _DEADLINE = 1, 2, 4
_STRINGS = ("sender", "cause", "conversation", "reply_to", "key", "tags", "trace", "origin")
_STRING_BITS = {name: 8 << index for index, name in enumerate(_STRINGS)}
_KNOWN_BITS = 7 | sum(_STRING_BITS.values())


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
        deadline: unix seconds after which handling is pointless; 0.0 is never.
        attempt: 1 at first, counted up by each retry.
        hops: how many handlings lie between the first message and this one.
        key: orders handling among equal keys where the agent asks for it.
        tags: ids of the agents addressed, joined by commas.
        origin: the topic it was first published to, once a retry has moved it; "" before.
        delay_s: how long the backend holds it back from the moment it is stored; not on the wire.
        message: the model itself, on backends that hand frozen models over by reference.
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
    deadline: float = 0.0
    attempt: int = 1
    hops: int = 0
    priority: int = 0
    delay_s: float = 0.0
    message: BaseModel | None = None

    @property
    def published_to(self) -> str:
        """The topic a user would recognise, also after a retry has moved the envelope."""
        return self.origin or self.topic

    @property
    def conversation_id(self) -> str:
        return self.conversation or self.id


def new_id() -> str:
    """A UUID version 7 as 32 hex digits: 48 bits of milliseconds, then randomness."""
    random = int.from_bytes(os.urandom(10), "big")
    value = (time.time_ns() // 1_000_000) << 80 | random
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return f"{value:032x}"


def encode_header(envelope: Envelope) -> bytes:
    """The header of `envelope`; topic and payload travel beside it.

    Raises:
        WireError: a field does not fit: a NUL or lone surrogate in a string, a number out of
            range, an id that is not 32 lower-case hex digits.
    """
    try:
        return _encode(envelope)
    except (struct.error, ValueError) as error:
        raise WireError(
            f"the envelope of {envelope.type} {envelope.id} cannot travel: {error}"
        ) from error


def decode_header(header: bytes, topic: str, payload: bytes) -> Envelope:
    """The envelope that `encode_header` took apart.

    Raises:
        WireError: not a header of ours, one of a later version, or a damaged one.
    """
    try:
        return _decode(header, topic, payload)
    except (struct.error, UnicodeDecodeError, IndexError, ValueError) as error:
        raise WireError(
            f"an entry on {topic} has a damaged header ({len(header)} bytes)"
        ) from error


def _encode(envelope: Envelope) -> bytes:
    flags = 0
    numbers = b""
    if envelope.hops:
        flags |= _HOPS
        numbers += struct.pack(">B", min(envelope.hops, 255))
    if envelope.priority:
        flags |= _PRIORITY
        numbers += struct.pack(">b", envelope.priority)
    if envelope.deadline:
        flags |= _DEADLINE
        numbers += struct.pack(">d", envelope.deadline)
    strings = [envelope.type]
    for name, bit in _STRING_BITS.items():
        value = getattr(envelope, name)
        if value:
            flags |= bit
            strings.append(value)
    joined = "\0".join(strings)
    if joined.count("\0") >= len(strings):
        raise ValueError("a string field holds a NUL character")
    raw_id = bytes.fromhex(envelope.id)
    if raw_id.hex() != envelope.id or len(raw_id) != ID_BYTES:
        raise ValueError("its id is not 32 lower-case hex digits")
    fixed = _FIXED.pack(HEADER_VERSION, flags, envelope.attempt, envelope.version, raw_id)
    return fixed + numbers + joined.encode()


def _decode(header: bytes, topic: str, payload: bytes) -> Envelope:
    version, flags, attempt, message_version, raw_id = _FIXED.unpack_from(header)
    if version != HEADER_VERSION or flags & ~_KNOWN_BITS:
        raise WireError(f"an entry on {topic} has header version {version}, flags {flags:#x}")
    offset = _FIXED.size
    hops = priority = 0
    deadline = 0.0
    if flags & _HOPS:
        hops = header[offset]
        offset += 1
    if flags & _PRIORITY:
        (priority,) = struct.unpack_from(">b", header, offset)
        offset += 1
    if flags & _DEADLINE:
        (deadline,) = struct.unpack_from(">d", header, offset)
        offset += 8
    type_, *values = header[offset:].decode().split("\0")
    present = [name for name, bit in _STRING_BITS.items() if flags & bit]
    if len(values) != len(present):
        raise ValueError("the strings of the header do not fit its flags")
    envelope = Envelope(
        id=raw_id.hex(),
        type=type_,
        version=message_version,
        topic=topic,
        payload=payload,
        deadline=deadline,
        attempt=attempt,
        hops=hops,
        priority=priority,
    )
    strings: dict[str, Any] = dict(zip(present, values, strict=True))
    return envelope._replace(**strings) if strings else envelope
