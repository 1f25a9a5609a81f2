"""What passes: messages, and the events of the guild."""

import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Self, TypeVar

from pydantic import AwareDatetime, Field
from starlette.types import ASGIApp

from guild.gateway.batches import MOST_BYTES, Batch, Last, in_batches, nothing
from guild.gateway.endpoint import Call
from guild.gateway.errors import InvalidParameterError
from guild.gateway.routes.shapes import Count, Given
from guild.gateway.streams import Event, event
from guild.operations.passing import EventSeen, MessageSeen, event_seen, seen
from guild.operations.view import View
from messaging.client.tap import DRIFT, Tapped
from messaging.wire.envelope import Envelope, payload_of
from messaging.wire.topic import EVENTS_TOPIC, matches

T = TypeVar("T")

Takes = Callable[[str, Envelope], bool]

EVERYTHING = ">"
REST_S = 0.1
"""Between two looks at what passes: a batch of it is told every 250 ms."""

MOST_OF_A_PLACE = 8192
_NO_PLACE = "Last-Event-ID: it is the id of no event"

Since = Annotated[
    AwareDatetime | None, Field(description="Begin with what was accepted then, with a time zone.")
]


class Wanted(Given):
    """Which messages: those that fit all that is said."""

    topic: Annotated[
        str, Field(max_length=1000, description="A topic or pattern; several joined by commas.")
    ] = EVERYTHING
    type: Annotated[str, Field(description="Wire name.")] = ""
    agent: Annotated[str, Field(description="Id of the agent that sent it, or takes it.")] = ""
    text: Annotated[str, Field(max_length=1000, description="Stands in its data.")] = ""
    since: Since = None
    follow: Annotated[bool, Field(description="False: only what the topics hold now.")] = True
    count: Count = 50

    @property
    def patterns(self) -> Sequence[str]:
        return [each.strip() for each in self.topic.split(",") if each.strip()] or [EVERYTHING]

    def fits(self, tapped: Tapped, takes: Takes) -> bool:
        envelope = tapped.envelope
        return (
            self.type in ("", envelope.type)
            and (self.agent in ("", envelope.sender) or takes(self.agent, envelope))
            and (not self.text or self.text.encode(errors="replace") in payload_of(envelope))
        )


class WantedEvents(Given):
    """Since when, and whether to go on with what comes."""

    since: Since = None
    follow: bool = True
    count: Count = 100


class Rows(View):
    """Messages that passed, in order; the last of them where there were more.

    Attributes:
        left_off: how many came before these and are not told.
    """

    rows: tuple[MessageSeen, ...]
    left_off: int


class Events(View):
    """What happened to the guild, in order.

    Attributes:
        left_off: how many came before these and are not told.
    """

    events: tuple[EventSeen, ...]
    left_off: int


async def watch_messages(call: Call[None, Wanted]) -> Rows | ASGIApp:
    """A few batches a second while the caller looks, or once what the topics hold now."""
    wanted = call.query
    if not wanted.follow:
        held = _last(_held(call), wanted.count, _size)
        return _rows(call, await call.unless_gone(held))

    async def batches(position: str) -> AsyncGenerator[Event, None]:
        place = await _place(call, position, wanted.since)
        passing = _passing(call, wanted.patterns, place)
        async with aclosing(in_batches(passing, size_of=_size)) as told:
            async for batch in told:
                yield event("rows", _rows(call, batch), str(place))

    return call.stream(batches)


async def watch_events(call: Call[None, WantedEvents]) -> Events | ASGIApp:
    """Each event as it happens, or once those that are still kept."""
    wanted = call.query
    if not wanted.follow:
        held = _last(call.client.events(since=wanted.since, follow=False), wanted.count)
        told = await call.unless_gone(held)
        return Events(events=tuple(told.items), left_off=told.left_off)

    async def happening(position: str) -> AsyncGenerator[Event, None]:
        place = await _place(call, position, wanted.since)
        async with aclosing(_behind(call, [EVENTS_TOPIC], place)) as events:
            async for each in events:
                yield event("event", event_seen(each), str(place))

    return call.stream(happening)


async def watch_live(call: Call[None, None]) -> ASGIApp:
    """A snapshot, then what changes, a few times a second."""

    async def changing(position: str) -> AsyncGenerator[Event, None]:
        after = position or call.headers.get("last-event-id", "")
        async with aclosing(call.services.live.changes(after)) as changes:
            async for name, delta, place in changes:
                yield event(name, delta, place)

    return call.stream(changing)


async def _last(
    passing: AsyncGenerator[T, None], most: int, size_of: Callable[[T], int] = nothing
) -> Batch[T]:
    """The last of what passes, however much that is: no more of it is kept in memory."""
    last = Last(most, size_of)
    async with aclosing(passing) as items:
        async for item in items:
            last.add(item)
    return last.take()


def _size(tapped: Tapped) -> int:
    """Of what a message takes in memory; one that travels by reference takes nothing more."""
    return len(tapped.envelope.payload)


async def _held(call: Call[None, Wanted]) -> AsyncGenerator[Tapped, None]:
    """What the topics hold, of what is wanted."""
    wanted = call.query
    tap = call.bus.tap(wanted.patterns, since=wanted.since, follow=False, decode=False)
    async with aclosing(tap) as tapped:
        async for each in tapped:
            if wanted.fits(each, call.client.takes):
                yield each


async def _passing(
    call: Call[None, Wanted], patterns: Sequence[str], place: "Place"
) -> AsyncGenerator[Tapped, None]:
    """What passes, of what is wanted."""
    behind = _behind(call, patterns, place, decode=False, rest_s=REST_S)
    async with aclosing(behind) as tapped:
        async for each in tapped:
            if call.query.fits(each, call.client.takes):
                yield each


async def _behind(
    call: Call[None, Any],
    patterns: Sequence[str],
    place: "Place",
    *,
    decode: bool = True,
    rest_s: float = 0.0,
) -> AsyncGenerator[Tapped, None]:
    """What passes behind a place, which goes along; see `Bus.tap`."""
    try:
        after = {
            topic: position
            for topic, position in place.after.items()
            if any(matches(pattern, topic) for pattern in patterns)
        }
        tap = call.bus.tap(patterns, since=place.since, after=after, decode=decode, rest_s=rest_s)
    except ValueError as error:
        raise InvalidParameterError((_NO_PLACE,)) from error
    async with aclosing(tap) as tapped:
        async for each in tapped:
            place.after[each.topic] = each.position
            yield each


@dataclass
class Place:
    """How far topics were read: of those that have moved, to a position; of the others, to a time.

    Attributes:
        since: by the store's clock, when the reading began.
        after: by topic, the position of what was read last.
    """

    since: datetime
    after: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """As an event's id; "" where too many topics have moved: then the last id stays in force,
        and what came behind it is told again.
        """
        moved = ",".join(f"{topic}={position}" for topic, position in self.after.items())
        told = f"{self.since.timestamp():.6f};{moved}"
        return told if len(told) <= MOST_OF_A_PLACE else ""

    @classmethod
    def of(cls, text: str) -> Self:
        """The place that an id tells.

        Raises:
            InvalidParameterError: no event of ours had that id.
        """
        since, mark, moved = text[: MOST_OF_A_PLACE + 1].partition(";")
        pairs = [each.partition("=") for each in moved.split(",") if each]
        try:
            place = cls(datetime.fromtimestamp(float(since), UTC))
        except (ValueError, OverflowError, OSError) as error:
            raise InvalidParameterError((_NO_PLACE,)) from error
        if not mark or len(text) > MOST_OF_A_PLACE:
            raise InvalidParameterError((_NO_PLACE,))
        place.after.update((topic, position) for topic, _, position in pairs)
        return place


async def _place(call: Call[None, Any], position: str, since: datetime | None) -> Place:
    """Where to begin: behind an event, at a time, or now."""
    if told := position or call.headers.get("last-event-id", ""):
        return Place.of(told)
    if since is not None:
        return Place(since)
    asked_at = time.monotonic()
    now = await call.bus.backend.time()
    return Place(datetime.fromtimestamp(now - (time.monotonic() - asked_at) * DRIFT, UTC))


def _rows(call: Call[None, Wanted], batch: Batch[Tapped]) -> Rows:
    """The last of a batch that are not too much together; one at least, however large.

    Only these are decoded, of all that passes.
    """
    kept, size_bytes = deque[Tapped](), 0
    for tapped in reversed(batch.items):
        size_bytes += len(payload_of(tapped.envelope))
        if kept and size_bytes > MOST_BYTES:
            break
        kept.appendleft(tapped)
    left_off = batch.left_off + len(batch.items) - len(kept)
    decoded = (each._replace(message=call.bus.message_in(each.envelope)) for each in kept)
    return Rows(rows=tuple(map(seen, decoded)), left_off=left_off)
