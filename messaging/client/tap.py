"""Watching topics as an observer, which settles nothing."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from pydantic import BaseModel

from messaging.backend import FROM_START, Backend
from messaging.errors import MessagingError
from messaging.wire.decoding import Decoder
from messaging.wire.envelope import Envelope
from messaging.wire.topic import check_pattern, is_pattern, matches

NOWHERE: Mapping[str, str] = MappingProxyType({})
WAIT_S = 0.5
MOST_AT_ONCE = 512
PROBES = 3
DRIFT = 1.001
"""By how much the clocks of two machines differ in speed at most."""


class Tapped(NamedTuple):
    """A message seen on its way; `message` is None when it cannot be decoded.

    Attributes:
        position: in its topic, behind which to go on.
    """

    topic: str
    envelope: Envelope
    message: BaseModel | None
    position: str = ""


def tap(
    backend: Backend,
    decoder: Decoder | None,
    patterns: Sequence[str],
    *,
    from_start: bool,
    follow: bool,
    since: datetime | None = None,
    after: Mapping[str, str] = NOWHERE,
    rest_s: float = 0.0,
) -> AsyncGenerator[Tapped, None]:
    """What is published to topics that fit `patterns`; see `Bus.tap`."""
    for pattern in patterns:
        if not pattern.startswith("_"):
            check_pattern(pattern)
    if since is not None:
        if from_start:
            raise ValueError("a tap begins at the start of its topics or since a time, not at both")
        if since.tzinfo is None:
            raise ValueError(f"{since.isoformat()} needs a time zone: it could be any")
    for position in after.values():
        backend.just_before(position)
    if not follow:
        return _read_out(backend, decoder, patterns, since)
    if from_start:
        return _watch(backend, decoder, patterns, None, after=after, rest_s=rest_s)
    begin = time.monotonic() if since is None else since
    return _watch(backend, decoder, patterns, begin, after=after, rest_s=rest_s)


async def _watch(
    backend: Backend,
    decoder: Decoder | None,
    patterns: Sequence[str],
    since: datetime | float | None,
    *,
    after: Mapping[str, str],
    rest_s: float,
) -> AsyncGenerator[Tapped, None]:
    """What comes to the topics from `since` on.

    Args:
        backend: an open one.
        decoder: reads the messages; None where they are not to be read.
        patterns: which topics.
        since: a time, or when the tap was asked for by `time.monotonic`; None for their start.
        after: positions in some of them, which count instead.
        rest_s: between two looks, unless there is more to read than one takes.
    """
    positions: dict[str, str] = {p: FROM_START for p in patterns if not is_pattern(p)}
    if since is not None:
        if isinstance(since, datetime):
            at = since.timestamp()
        else:
            at = await _moment_of(backend, since)
        # What comes into being later is read from its start, also if a clock is set back meanwhile.
        topics = {*positions, *await _topics(backend, patterns)}
        positions.update(await backend.positions_at(topics, at))
    positions.update(after)
    looks_at = -math.inf
    while True:
        if time.monotonic() >= looks_at:
            for topic in await _topics(backend, patterns):
                positions.setdefault(topic, FROM_START)
            looks_at = time.monotonic() + WAIT_S
        entries = await _tail(backend, positions)
        for position, envelope in entries:
            positions[envelope.topic] = position
            yield Tapped(envelope.topic, envelope, message_in(decoder, envelope), position)
        if rest_s and len(entries) < MOST_AT_ONCE:
            await asyncio.sleep(rest_s)


async def _moment_of(backend: Backend, asked_at: float) -> float:
    """By the store's clock, when it was `asked_at` here, or a moment before.

    How long ago that was, any clock of this machine tells, however wrong it is. The way of the
    store's answer counts as if it belonged to that, so that nothing is lost; the quickest of a few
    answers makes that short.
    """
    moments = []
    for _ in range(PROBES):
        now = await backend.time()
        moments.append(now - (time.monotonic() - asked_at) * DRIFT)
    return max(moments)


async def _read_out(
    backend: Backend, decoder: Decoder | None, patterns: Sequence[str], since: datetime | None
) -> AsyncGenerator[Tapped, None]:
    """What the topics hold now; what is published meanwhile does not keep it from ending."""
    held: dict[str, float] = {p: math.inf for p in patterns if not is_pattern(p)}
    for info in await backend.topics():
        if any(matches(pattern, info.topic) for pattern in patterns):
            held[info.topic] = info.entries
    positions = dict.fromkeys(held, FROM_START)
    if since is not None:
        positions.update(await backend.positions_at(held, since.timestamp()))
    while positions:
        entries = await backend.tail(positions, max_count=MOST_AT_ONCE, wait_s=0.0)
        if not entries:  # some went away meanwhile, or cannot be read
            return
        for position, envelope in entries:
            topic = envelope.topic
            positions[topic] = position
            held[topic] -= 1
            if held[topic] >= 0:
                yield Tapped(topic, envelope, message_in(decoder, envelope), position)
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


def message_in(decoder: Decoder | None, envelope: Envelope) -> BaseModel | None:
    """None when it cannot be decoded, or is not to be."""
    try:
        return None if decoder is None else decoder.read(envelope)
    except MessagingError:
        return None
