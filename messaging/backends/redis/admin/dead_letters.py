"""Dead letters: a stream of their own, listed, requeued and dropped by id."""

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from messaging.backend import FROM_START, DeadLetter, history_key
from messaging.backends.redis.entries import left_in, pack_entry, unreadable_envelope
from messaging.backends.redis.server import Server, to_json
from messaging.errors import NobodyListensError, WireError
from messaging.wire.codec import decode_header
from messaging.wire.envelope import Envelope, new_id
from messaging.wire.topic import retry_topic_of

FIRST_PAGE, LARGEST_PAGE = 25, 200
SMALL_BYTES = 1 << 20

_ID = re.compile(r"([0-9]{1,20})-([0-9]{1,20})")
_PAST_IDS = 1 << 64
_FAR = datetime(9999, 1, 1, tzinfo=UTC).timestamp()  # a day later is in no time zone's calendar


async def list_letters(
    server: Server, group: str | None, after: str, max_count: int
) -> list[DeadLetter]:
    """Those behind the id `after`, of one group or of all."""
    letters: list[DeadLetter] = []
    if _is_past_all(after):
        return letters
    start = "-" if after == FROM_START else f"({after}"
    count = min(FIRST_PAGE, max_count)
    while len(letters) < max_count:
        page = await server.connection.call("XRANGE", server.keys.dead, start, "+", "COUNT", count)
        found = [_letter(position, fields) for position, fields in page]
        letters += [letter for letter in found if group in (None, letter.group)]
        if len(page) < count:
            break
        start = f"({found[-1].id}"
        # Payloads lie in the letters: a page of long ones stays short.
        is_small = sum(len(letter.envelope.payload) for letter in found) < SMALL_BYTES
        count = min(2 * count, LARGEST_PAGE) if is_small else FIRST_PAGE
    return letters[:max_count]


async def count_letters(server: Server) -> int:
    return int(await server.connection.call("XLEN", server.keys.dead))


async def find_letter(server: Server, dead_letter_id: str) -> DeadLetter | None:
    if not _is_id(dead_letter_id):
        return None
    page = await server.connection.call("XRANGE", server.keys.dead, dead_letter_id, dead_letter_id)
    return _letter(*page[0]) if page else None


async def requeue(server: Server, dead_letter_id: str, envelope: Envelope, history: bytes) -> bool:
    """See `Backend.requeue`. The envelope travels on the retry topic of the letter's group."""
    letter = await find_letter(server, dead_letter_id)
    if letter is None:
        return False
    retry_topic = retry_topic_of(letter.group)
    if envelope.topic != retry_topic:
        envelope = envelope._replace(topic=retry_topic, origin=envelope.published_to)
    header, payload = pack_entry(envelope, server.options.max_envelope_bytes)
    answer = await server.run(
        server.scripts.requeue,
        (
            server.keys.dead,
            server.keys.stream(retry_topic),
            server.keys.state(letter.group),
            server.keys.floors,
            _mark(server),
        ),
        dead_letter_id,
        header,
        payload,
        server.keys.channel(retry_topic),
        letter.group,
        history_key(envelope.id),
        history,
    )
    if answer < 0:
        raise NobodyListensError(
            f"{letter.group}, which gave up on {dead_letter_id}, is no longer subscribed; "
            "start its agent first, or drop the letter"
        )
    return bool(answer)


async def drop(server: Server, dead_letter_id: str) -> bool:
    if not _is_id(dead_letter_id):
        return False
    keys = server.keys
    return bool(
        await server.run(
            server.scripts.drop,
            (keys.dead, keys.floors, _mark(server)),
            dead_letter_id,
            keys.state(""),
        )
    )


def _mark(server: Server) -> bytes:
    """A key by which the server knows a call again whose answer was lost."""
    return server.keys.producer(f"call.{new_id()}")


def _letter(position: bytes, fields: Sequence[Any]) -> DeadLetter:
    values = dict(zip(fields[::2], fields[1::2], strict=True))
    try:
        topic = values[b"t"].decode()
        return DeadLetter(
            envelope=decode_header(values[b"h"], topic, values[b"p"]),
            group=values[b"g"].decode(),
            reason=values[b"r"],
            at=_moment(position, float(values[b"at"])),
            id=position.decode(),
        )
    except (KeyError, ValueError, WireError) as error:
        return _unreadable(position, left_in(fields), error)


def _unreadable(position: bytes, payload: bytes, error: Exception) -> DeadLetter:
    """A stand-in for what somebody else put among the dead letters, to be seen and dropped."""
    what = f"it lacks the field {error.args[0].decode()}" if isinstance(error, KeyError) else error
    text = f"not written by guildbus, or damaged: {what}"
    reason = {"error_type": "WireError", "text": text, "traceback": "", "agent": "", "attempts": []}
    left = unreadable_envelope("", position, payload)
    at = _moment(position, math.nan)
    return DeadLetter(left, "", to_json(reason).encode(), at, position.decode())


def _moment(position: bytes, told: float) -> float:
    """When a letter was written; by its position, where what it tells is no time of a calendar."""
    if 0 <= told <= _FAR:
        return told
    return min(int(position.partition(b"-")[0]) / 1000, _FAR)


def _is_past_all(after: str) -> bool:
    """Whether it lies behind all ids that a server can give, which it does not take for one."""
    milliseconds = after.partition("-")[0]
    return milliseconds.isdecimal() and int(milliseconds) >= _PAST_IDS


def _is_id(text: str) -> bool:
    found = _ID.fullmatch(text)
    return found is not None and all(int(number) < _PAST_IDS for number in found.groups())
