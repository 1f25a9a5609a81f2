"""Entries of a stream: two fields, the header and the payload or its length, in this order."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from messaging.backend import Delivery
from messaging.backends.redis.claim_check import ClaimCheck, is_claimed
from messaging.errors import PayloadTooLargeError, WireError
from messaging.state.timers import is_timer
from messaging.wire.codec import decode_header, encode_header
from messaging.wire.envelope import Envelope

_MOVED_BYTES = 36  # what a header grows by at most when the bus moves it, without its texts
MOST_SHOWN_BYTES = 10_000  # of each field of a stranger's entry
_MOST_DIGITS = 15  # of a length; Python refuses to make a number of some thousand


def pack_entry(envelope: Envelope, limit_bytes: int | None) -> tuple[bytes, bytes]:
    """Header and payload of `envelope`.

    Raises:
        PayloadTooLargeError: together they are longer than `limit_bytes`; what the bus itself moves
            may have grown by that, or it could never be tried again, requeued or replayed.
    """
    header, payload = encode_header(envelope), envelope.payload
    size_bytes = len(header) + len(payload)
    if limit_bytes is not None and size_bytes > limit_bytes:
        size_bytes -= _grown_by(envelope)
        if size_bytes > limit_bytes:
            raise PayloadTooLargeError(envelope.type, size_bytes, limit_bytes)
    return header, payload


def _grown_by(envelope: Envelope) -> int:
    """How much the bus has added to a header since that was published: where it came from, which
    attempt it is, which group a replay is for.
    """
    if not envelope.origin:
        return 0
    origin_bytes = len(envelope.origin.encode()) + 1
    if is_timer(envelope):  # not stored before, and sent on without what names it
        return origin_bytes
    return origin_bytes + len(envelope.tags.encode()) + 1 + _MOVED_BYTES


def unpack_entry(fields: Sequence[Any], topic: str) -> Envelope:
    """The envelope in an entry.

    Raises:
        WireError: somebody else wrote the entry, or its header is damaged.
    """
    if len(fields) == 4 and fields[0] == b"h":  # noqa: PLR2004 - two pairs
        if fields[2] == b"p":
            return decode_header(fields[1], topic, fields[3])
        if fields[2] == b"c" and fields[3].isdigit() and len(fields[3]) <= _MOST_DIGITS:
            return decode_header(fields[1], topic, ClaimCheck(fields[3]))
    raise WireError(
        f"an entry on {topic} was not written by guildbus: it lacks the fields h and p; find out "
        "what else writes to that stream"
    )


def unpack_deliveries(
    entries: Sequence[tuple[bytes, Sequence[Any]]], topic: str, *, limit_bytes: int
) -> tuple[list[Delivery], bool]:
    """What a read brought of one topic, and whether all of it has its payload.

    Nearly every entry is as `pack_entry` wrote it: header and payload, together short enough. Such
    a one takes one call, the others are looked at with care.
    """
    deliveries, are_whole = list[Delivery](), True
    for position, fields in entries:
        if (
            len(fields) == 4  # noqa: PLR2004 - two pairs
            and fields[0] == b"h"
            and fields[2] == b"p"
            and len(fields[1]) + len(fields[3]) <= limit_bytes
        ):
            try:
                envelope = decode_header(fields[1], topic, fields[3])
            except WireError:
                pass
            else:
                lent = (envelope, (topic, position.decode()), 0, "")
                # Half the time of calling the class.
                deliveries.append(tuple.__new__(Delivery, lent))
                continue
        delivery = unpack_delivery(position, fields, topic, limit_bytes=limit_bytes)
        are_whole = are_whole and not is_claimed(delivery.envelope)
        deliveries.append(delivery)
    return deliveries, are_whole


def unpack_delivery(
    position: bytes,
    fields: Sequence[Any],
    topic: str,
    redelivery_count: int = 0,
    *,
    limit_bytes: int,
) -> Delivery:
    """A delivery that is whole and not past `limit_bytes`, or says in `fault` why not."""
    try:
        envelope = unpack_entry(fields, topic)
        payload = envelope.payload
        payload_bytes = payload.size_bytes if isinstance(payload, ClaimCheck) else len(payload)
        size_bytes = len(fields[1]) + payload_bytes
        if size_bytes <= limit_bytes or size_bytes - _grown_by(envelope) <= limit_bytes:
            return Delivery(envelope, (topic, position.decode()), redelivery_count)
        too_large = PayloadTooLargeError(envelope.type, size_bytes, limit_bytes)
        if isinstance(payload, ClaimCheck):
            envelope = envelope._replace(payload=b"")
        return Delivery(envelope, (topic, position.decode()), redelivery_count, str(too_large))
    except WireError as error:
        left = unreadable_envelope(topic, position, left_in(fields))
        return Delivery(left, (topic, position.decode()), redelivery_count, str(error))


def unreadable_envelope(topic: str, position: bytes, payload: bytes) -> Envelope:
    """A stand-in with an id that stays the same each time the entry is read."""
    stable_id = hashlib.sha256(topic.encode() + position).hexdigest()[:32]
    return Envelope(id=stable_id, type="", version=1, topic=topic, payload=payload)


def left_in(fields: Sequence[Any]) -> bytes:
    """What a stranger's entry holds, to be shown later: our field, or all as JSON."""
    pairs = dict(zip(fields[::2], fields[1::2], strict=False))
    if b"p" in pairs:
        return bytes(pairs[b"p"])
    texts = {name.decode(errors="replace"): _shown(value) for name, value in pairs.items()}
    return json.dumps(texts, ensure_ascii=False).encode()


def _shown(value: bytes) -> str:
    return value[:MOST_SHOWN_BYTES].decode(errors="replace")


def position_key(position: str) -> tuple[int, int]:
    """Orders positions of one stream, `milliseconds-count`."""
    milliseconds, _, count = position.partition("-")
    return int(milliseconds), int(count or 0)
