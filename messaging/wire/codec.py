"""Headers: an envelope on the wire, without its topic and payload, which travel beside it.

Optional parts cost nothing when they are absent: a bit in `flags` says which are there.

header = version u8, flags u16, id 16 bytes
         [hops u8] [attempt u8] [message version u16] [priority i8] [deadline f64]
         [cause 16 bytes] [conversation 16 bytes]   where they are ids, which they nearly always are
         strings joined by NUL: [cause] [conversation] [key] [trace]   which differ by message, then
         type [sender] [reply_to] [tags] [origin]   which repeat, so they are translated once

The waiter travels at the end of `trace`, behind a mark. Versions that do not know it pass `trace`
on as it is, to all that follows; a flag or a field of its own they would refuse.
"""

import struct
from functools import lru_cache

from messaging.errors import WireError
from messaging.wire.envelope import Envelope

HEADER_VERSION = 1
_FIXED = struct.Struct(">BH16s")
_ID_BYTES = 16
_ID_DIGITS = 2 * _ID_BYTES
_HOPS, _ATTEMPT, _VERSION, _PRIORITY, _DEADLINE = (1 << bit for bit in range(5))
_CAUSE_ID, _CONVERSATION_ID, _CAUSE, _CONVERSATION, _KEY, _TRACE = (
    1 << bit for bit in range(5, 11)
)
_SENDER, _REPLY_TO, _TAGS, _ORIGIN = (1 << bit for bit in range(11, 15))
_UNKNOWN_BITS = 1 << 15
_RARE = _ATTEMPT | _VERSION | _PRIORITY | _DEADLINE
_OWN_STRINGS = _CAUSE | _CONVERSATION | _KEY | _TRACE
_OWN = _CAUSE_ID | _CONVERSATION_ID | _OWN_STRINGS
_SHARED_STRINGS = _SENDER | _REPLY_TO | _TAGS | _ORIGIN
_WAITER = "\x01"
_MOST_REMEMBERED = 1_024
_LONGEST_REMEMBERED = 512


def encode_header(envelope: Envelope) -> bytes:
    """The header of `envelope`; topic and payload travel beside it.

    Raises:
        WireError: a field does not fit: a NUL or lone surrogate in a string, a number out of
            range, an id that is not 32 lower-case hex digits.
    """
    # Taken apart at once: nineteen attribute look-ups would cost as much as all that follows.
    (
        id_, type_, version, _, _, sender, cause, conversation, reply_to, key, tags, trace, origin,
        waiter, deadline, attempt, hops, priority, _, _,
    ) = envelope  # fmt: skip
    length = len(type_) + len(sender) + len(reply_to) + len(tags) + len(origin)
    encode = _remembered_bytes if length <= _LONGEST_REMEMBERED else _shared_bytes
    try:
        flags, shared = encode(type_, sender, reply_to, tags, origin)
        parts = b""
        if hops:
            flags |= _HOPS
            parts = bytes((min(hops, 255),))
        if attempt != 1 or version != 1 or priority or deadline:
            bits, numbers = _encode_rare(envelope)
            flags |= bits
            parts += numbers
        if waiter or (trace and _WAITER in trace):
            trace = _with_waiter(trace, waiter)
        if trace and not (cause or conversation or key):  # the first message of a trace
            flags |= _TRACE
            if "\0" in trace:
                raise ValueError("a string field holds a NUL character")  # noqa: TRY301 - as above
            parts += trace.encode() + b"\0"
        elif cause or conversation or key or trace:
            bits, own = _encode_own(cause, conversation, key, trace)
            flags |= bits
            parts += own
        if len(id_) != _ID_DIGITS or (raw_id := bytes.fromhex(id_)).hex() != id_:
            raise ValueError  # noqa: TRY301 - as `fromhex` does; said below
        return _FIXED.pack(HEADER_VERSION, flags, raw_id) + parts + shared
    except (struct.error, ValueError) as error:
        why = "its id is not 32 lower-case hex digits" if _raw_id(id_) is None else error
        raise WireError(
            f"the envelope of {envelope.type} {envelope.id} cannot travel: {why}"
        ) from error


def decode_header(header: bytes, topic: str, payload: bytes) -> Envelope:
    """The envelope that `encode_header` took apart.

    Raises:
        WireError: not a header of ours, one of a later version, or a damaged one.
    """
    try:
        header_version, flags, raw_id = _FIXED.unpack_from(header)
        if header_version != HEADER_VERSION or flags & _UNKNOWN_BITS:
            raise WireError(
                f"an entry on {topic} has header version {header_version}, flags {flags:#x}"
            )
        offset = _FIXED.size
        hops, attempt, version, priority, deadline = 0, 1, 1, 0, 0.0
        if flags & _HOPS:
            hops = header[offset]
            offset += 1
        if flags & _RARE:
            attempt, version, priority, deadline, offset = _decode_rare(header, flags, offset)
        cause = conversation = key = trace = waiter = ""
        if flags & _OWN == _TRACE:
            own, shared = header[offset:].split(b"\0", 1)
            trace = own.decode()
        elif flags & _OWN:
            cause, conversation, key, trace, shared = _decode_own(header, flags, offset)
        else:
            shared = header[offset:]
        if _WAITER in trace:
            trace, _, waiter = trace.rpartition(_WAITER)
        if len(shared) > _LONGEST_REMEMBERED:
            decode_shared = _remembered_strings.__wrapped__
        else:
            decode_shared = _remembered_strings
        type_, sender, reply_to, tags, origin = decode_shared(flags & _SHARED_STRINGS, shared)
    except (struct.error, UnicodeDecodeError, IndexError, ValueError) as error:
        raise WireError(
            f"an entry on {topic} has a damaged header ({len(header)} bytes)"
        ) from error
    fields = (
        raw_id.hex(), type_, version, topic, payload, sender, cause, conversation, reply_to, key,
        tags, trace, origin, waiter, deadline, attempt, hops, priority, 0.0, None,
    )  # fmt: skip
    return tuple.__new__(Envelope, fields)  # half the time of calling the class


def _with_waiter(trace: str, waiter: str) -> str:
    if _WAITER in waiter:
        raise ValueError("its waiter holds the mark that ends a trace")
    return f"{trace}{_WAITER}{waiter}"


def _encode_rare(envelope: Envelope) -> tuple[int, bytes]:
    flags, numbers = 0, b""
    if envelope.attempt != 1:
        flags |= _ATTEMPT
        numbers += struct.pack(">B", envelope.attempt)
    if envelope.version != 1:
        flags |= _VERSION
        numbers += struct.pack(">H", envelope.version)
    if envelope.priority:
        flags |= _PRIORITY
        numbers += struct.pack(">b", envelope.priority)
    if envelope.deadline:
        flags |= _DEADLINE
        numbers += struct.pack(">d", envelope.deadline)
    return flags, numbers


def _encode_own(cause: str, conversation: str, key: str, trace: str) -> tuple[int, bytes]:
    """The ids that are ids, then the strings that nothing else shares, each ended by a NUL."""
    flags, ids, strings = 0, b"", list[str]()
    for text, id_bit, string_bit in (
        (cause, _CAUSE_ID, _CAUSE),
        (conversation, _CONVERSATION_ID, _CONVERSATION),
        (key, 0, _KEY),
        (trace, 0, _TRACE),
    ):
        if id_bit and text and (raw := _raw_id(text)) is not None:
            flags |= id_bit
            ids += raw
        elif text:
            flags |= string_bit
            strings.append(text)
    return flags, ids + _join(strings) + b"\0" if strings else ids


def _raw_id(text: str) -> bytes | None:
    """The bytes of an id as `new_id` writes it; None for any other text."""
    if len(text) != _ID_DIGITS:
        return None
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        return None
    return raw if raw.hex() == text else None


def _shared_bytes(type_: str, *others: str) -> tuple[int, bytes]:
    """`type_`, and what there is of sender, reply topic, tags and origin."""
    bits = zip((_SENDER, _REPLY_TO, _TAGS, _ORIGIN), others, strict=True)
    flags = sum(bit for bit, string in bits if string)
    return flags, _join([type_, *filter(None, others)])


_remembered_bytes = lru_cache(maxsize=_MOST_REMEMBERED)(_shared_bytes)


def _join(strings: list[str]) -> bytes:
    joined = "\0".join(strings)
    if joined.count("\0") >= max(1, len(strings)):
        raise ValueError("a string field holds a NUL character")
    return joined.encode()


def _decode_rare(header: bytes, flags: int, offset: int) -> tuple[int, int, int, float, int]:
    attempt, version, priority, deadline = 1, 1, 0, 0.0
    if flags & _ATTEMPT:
        attempt = header[offset]
        offset += 1
    if flags & _VERSION:
        (version,) = struct.unpack_from(">H", header, offset)
        offset += 2
    if flags & _PRIORITY:
        (priority,) = struct.unpack_from(">b", header, offset)
        offset += 1
    if flags & _DEADLINE:
        (deadline,) = struct.unpack_from(">d", header, offset)
        offset += 8
    return attempt, version, priority, deadline, offset


def _decode_own(header: bytes, flags: int, offset: int) -> tuple[str, str, str, str, bytes]:
    """Cause, conversation, key and trace, which differ by message, and what follows them."""
    cause = conversation = ""
    if flags & _CAUSE_ID:
        cause = header[offset : offset + _ID_BYTES].hex()
        offset += _ID_BYTES
    if flags & _CONVERSATION_ID:
        conversation = header[offset : offset + _ID_BYTES].hex()
        offset += _ID_BYTES
    if offset > len(header):
        raise ValueError("the header ends within an id")
    if not flags & _OWN_STRINGS:
        return cause, conversation, "", "", header[offset:]
    present = [bit for bit in (_CAUSE, _CONVERSATION, _KEY, _TRACE) if flags & bit]
    *strings, shared = header[offset:].split(b"\0", len(present))
    own = {bit: string.decode() for bit, string in zip(present, strings, strict=True)}
    cause, conversation = own.get(_CAUSE, cause), own.get(_CONVERSATION, conversation)
    return cause, conversation, own.get(_KEY, ""), own.get(_TRACE, ""), shared


@lru_cache(maxsize=_MOST_REMEMBERED)
def _remembered_strings(flags: int, strings: bytes) -> tuple[str, str, str, str, str]:
    type_, *values = strings.decode().split("\0")
    bits = [bit for bit in (_SENDER, _REPLY_TO, _TAGS, _ORIGIN) if flags & bit]
    present = dict(zip(bits, values, strict=True))
    return (
        type_,
        present.get(_SENDER, ""),
        present.get(_REPLY_TO, ""),
        present.get(_TAGS, ""),
        present.get(_ORIGIN, ""),
    )
