"""What passes: messages, and the events of the guild."""

from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, TypeVar

from pydantic import AwareDatetime, Field
from starlette.types import ASGIApp

from guild.gateway.batches import Batch, in_batches
from guild.gateway.endpoint import Call
from guild.gateway.routes.shapes import Count, Given
from guild.gateway.streams import Event, event
from guild.operations.passing import EventSeen, MessageSeen, seen
from guild.operations.view import View
from messaging.client.tap import Tapped
from messaging.wire.envelope import Envelope
from messaging.wire.sealing import payload_of

T = TypeVar("T")

Takes = Callable[[str, Envelope], bool]

EVERYTHING = ">"
MOST_BYTES = 1024 * 1024

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
        held = _last(_passing(call, wanted.since, follow=False), wanted.count)
        return _rows(await call.unless_gone(held))

    async def batches(_: str) -> AsyncGenerator[Event, None]:
        async with aclosing(in_batches(_passing(call, wanted.since))) as told:
            async for batch in told:
                yield event("rows", _rows(batch))

    return call.stream(batches)


async def watch_events(call: Call[None, WantedEvents]) -> Events | ASGIApp:
    """Each event as it happens, or once those that are still kept."""
    wanted = call.query
    if not wanted.follow:
        held = _last(call.client.events(since=wanted.since, follow=False), wanted.count)
        told = await call.unless_gone(held)
        return Events(events=tuple(told.items), left_off=told.left_off)

    async def happening(_: str) -> AsyncGenerator[Event, None]:
        async with aclosing(call.client.events(since=wanted.since)) as events:
            async for each in events:
                yield event("event", each)

    return call.stream(happening)


async def watch_live(call: Call[None, None]) -> ASGIApp:
    """A snapshot, then what changes, a few times a second."""

    async def changing(_: str) -> AsyncGenerator[Event, None]:
        async with aclosing(call.services.live.changes()) as changes:
            async for name, delta in changes:
                yield event(name, delta)

    return call.stream(changing)


async def _last(passing: AsyncGenerator[T, None], most: int) -> Batch[T]:
    """The last of what passes, however much that is: no more of it is kept in memory."""
    kept, came = deque[T](maxlen=most), 0
    async with aclosing(passing) as items:
        async for item in items:
            kept.append(item)
            came += 1
    return Batch(list(kept), came - len(kept))


async def _passing(
    call: Call[None, Wanted], since: datetime | None, *, follow: bool = True
) -> AsyncGenerator[Tapped, None]:
    wanted = call.query
    async with aclosing(call.bus.tap(wanted.patterns, since=since, follow=follow)) as tapped:
        async for each in tapped:
            if wanted.fits(each, call.client.takes):
                yield each


def _rows(batch: Batch[Tapped]) -> Rows:
    """The last of a batch that are not too much together; one at least, however large."""
    kept, size_bytes = deque[Tapped](), 0
    for tapped in reversed(batch.items):
        size_bytes += len(payload_of(tapped.envelope))
        if kept and size_bytes > MOST_BYTES:
            break
        kept.appendleft(tapped)
    left_off = batch.left_off + len(batch.items) - len(kept)
    return Rows(rows=tuple(map(seen, kept)), left_off=left_off)
