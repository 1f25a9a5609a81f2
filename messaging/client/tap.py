"""Watching topics without owing anything for what is seen."""

import math
import time
from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple

from pydantic import BaseModel

from messaging.backend import FROM_START, Backend
from messaging.errors import MessagingError
from messaging.wire.decoding import Decoder
from messaging.wire.envelope import Envelope, new_id
from messaging.wire.topic import check_pattern, is_pattern, matches

WAIT_S = 0.5
MOST_AT_ONCE = 512


class Tapped(NamedTuple):
    """A message seen on its way; `message` is None when it cannot be decoded."""

    topic: str
    envelope: Envelope
    message: BaseModel | None


def tap(
    backend: Backend, decoder: Decoder, patterns: Sequence[str], *, from_start: bool, follow: bool
) -> AsyncGenerator[Tapped, None]:
    """What is published to topics that fit `patterns`; see `Bus.tap`."""
    for pattern in patterns:
        if not pattern.startswith("_"):
            check_pattern(pattern)
    if not follow:
        return _read_out(backend, decoder, patterns)
    # A position "now" would move between two reads and lose what comes in between. So each topic
    # is read from its start, and what is older than the tap is passed over until it caught up.
    return _watch(backend, decoder, patterns, "" if from_start else _milliseconds_of(new_id()))


async def _watch(
    backend: Backend, decoder: Decoder, patterns: Sequence[str], oldest: str
) -> AsyncGenerator[Tapped, None]:
    positions: dict[str, str] = {p: FROM_START for p in patterns if not is_pattern(p)}
    behind = set(positions)
    while True:
        for topic in await _topics(backend, patterns):
            if topic not in positions:
                positions[topic] = FROM_START
                behind.add(topic)
        entries = await _tail(backend, positions)
        for position, envelope in entries:
            positions[envelope.topic] = position
            if envelope.topic not in behind or _milliseconds_of(envelope.id) >= oldest:
                yield Tapped(envelope.topic, envelope, _message_of(decoder, envelope))
        if len(entries) < MOST_AT_ONCE:
            behind.clear()


async def _read_out(
    backend: Backend, decoder: Decoder, patterns: Sequence[str]
) -> AsyncGenerator[Tapped, None]:
    """What the topics hold now; what is published meanwhile does not keep it from ending."""
    held: dict[str, float] = {p: math.inf for p in patterns if not is_pattern(p)}
    for info in await backend.topics():
        if any(matches(pattern, info.topic) for pattern in patterns):
            held[info.topic] = info.entries
    positions = dict.fromkeys(held, FROM_START)
    while positions:
        entries = await backend.tail(positions, max_count=MOST_AT_ONCE, wait_s=0.0)
        if not entries:  # some went away meanwhile, or cannot be read
            return
        for position, envelope in entries:
            topic = envelope.topic
            positions[topic] = position
            held[topic] -= 1
            if held[topic] >= 0:
                yield Tapped(topic, envelope, _message_of(decoder, envelope))
        positions = {topic: each for topic, each in positions.items() if held[topic] > 0}


async def _topics(backend: Backend, patterns: Sequence[str]) -> list[str]:
    if not any(is_pattern(pattern) for pattern in patterns):
        return []
    names = [info.topic for info in await backend.topics()]
    return [name for name in names if any(matches(pattern, name) for pattern in patterns)]


async def _tail(backend: Backend, positions: dict[str, str]) -> Sequence[tuple[str, Envelope]]:
    ends_at = time.monotonic() + WAIT_S
    while True:
        wait_s = max(0.0, ends_at - time.monotonic())
        entries = await backend.tail(positions, max_count=MOST_AT_ONCE, wait_s=wait_s)
        if entries or wait_s == 0.0:
            return entries


def _milliseconds_of(message_id: str) -> str:
    return message_id[:12]


def _message_of(decoder: Decoder, envelope: Envelope) -> BaseModel | None:
    try:
        return decoder.read(envelope)
    except MessagingError:
        return None
