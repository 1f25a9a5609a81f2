"""Handing what a topic still holds to one group again, as new messages of its own."""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from datetime import datetime
from typing import NamedTuple, Self

from messaging.backend import FROM_START, Backend
from messaging.errors import NobodyListensError
from messaging.wire.envelope import Envelope, new_id
from messaging.wire.topic import check_topic, retry_topic_of

MOST_AT_ONCE = 500
_TELLS_TIME = "7"  # the version of a UUID that begins with when it was made


class Range(NamedTuple):
    """From when to when messages were made, the first included and the last not; None is open.

    An id that was made by another rule than `new_id` tells no time: there it counts when the
    message was accepted.
    """

    since: datetime | None = None
    until: datetime | None = None

    def holds(self, envelope: Envelope) -> bool:
        made_at_ms = int(envelope.id[:12], 16)  # a UUID of version 7
        return (self.since is None or made_at_ms >= self.since.timestamp() * 1000) and (
            self.until is None or made_at_ms < self.until.timestamp() * 1000
        )


class _Accepted(NamedTuple):
    """A `Range` as positions in one topic: behind the first, up to the last; None is open."""

    behind: str | None
    up_to: str | None

    @classmethod
    async def of(cls, backend: Backend, topic: str, wanted: Range) -> Self:
        found = [
            None
            if moment is None
            else (await backend.positions_at([topic], moment.timestamp()))[topic]
            for moment in wanted
        ]
        return cls(*found)

    def holds(self, position: str) -> bool:
        at = _order(position)
        return (self.behind is None or at > _order(self.behind)) and (
            self.up_to is None or at <= _order(self.up_to)
        )


class Replayed(NamedTuple):
    """What a replay found, by wire type: what it handed on, and what the group does not handle."""

    handed_on: Mapping[str, int]
    passed_over: Mapping[str, int]


async def replay(
    backend: Backend,
    topic: str,
    group: str,
    wanted: Range,
    *,
    types: Collection[str],
    really: bool,
) -> Replayed:
    """Hand what `topic` still holds of `wanted` to `group` alone, in order of acceptance.

    Each page is stored as a whole. To replay again after an error repeats the pages before it.

    Args:
        backend: an open one.
        topic: the one to replay; entries that were trimmed are gone.
        group: the one that handles them again, once each as new messages.
        wanted: from when to when they were made.
        types: the wire types that `group` handles; others are passed over.
        really: False only counts.

    Raises:
        TopicError: `topic` is not one of the users'.
        ValueError: a time has no time zone.
        NobodyListensError: `group` is not subscribed.
        BusFullError: the group has too much to do already; the pages before were handed on.
    """
    check_topic(topic)
    if group not in await backend.groups():
        raise NobodyListensError(f"{group} is not subscribed: nothing can be replayed to it")
    handed_on, passed_over = Counter[str](), Counter[str]()
    async for page in _entries_in(backend, topic, wanted):
        chosen = [envelope for envelope in page if envelope.type in types]
        if really and chosen:
            await backend.append([_again(envelope, group) for envelope in chosen])
        handed_on.update(envelope.type for envelope in chosen)
        passed_over.update(envelope.type for envelope in page if envelope.type not in types)
    return Replayed(dict(handed_on), dict(passed_over))


async def _entries_in(backend: Backend, topic: str, wanted: Range) -> AsyncIterator[list[Envelope]]:
    """What `topic` holds of `wanted` now, in order of acceptance, page by page."""
    for moment in wanted:
        if moment is not None and moment.tzinfo is None:
            raise ValueError(f"{moment.isoformat()} needs a time zone: it could be any")
    accepted = await _Accepted.of(backend, topic, wanted)
    # What comes meanwhile, such as answers to what is replayed, is not replayed.
    left = sum(info.entries for info in await backend.topics() if info.topic == topic)
    position = FROM_START
    while left > 0:
        page = await backend.tail({topic: position}, max_count=min(left, MOST_AT_ONCE), wait_s=0.0)
        if not page:
            return
        left, position = left - len(page), page[-1].position
        yield [
            entry.envelope
            for entry in page
            if (
                wanted.holds(entry.envelope)
                if entry.envelope.id[12] == _TELLS_TIME
                else accepted.holds(entry.position)
            )
        ]


def _order(position: str) -> tuple[int, ...]:
    return tuple(map(int, position.split("-"))) if position else ()


def _again(envelope: Envelope, group: str) -> Envelope:
    """`envelope` as a new message for `group` alone, caused by the one it repeats.

    Without a requester and a deadline, as if it were published now and addressed to the group.
    """
    return envelope._replace(
        id=new_id(),
        topic=retry_topic_of(group),
        origin=envelope.published_to,
        cause=envelope.id,
        conversation=envelope.conversation_id,
        reply_to="",
        waiter="",
        tags=group,
        deadline=0.0,
        delay_s=0.0,
        attempt=1,
        hops=0,
    )
