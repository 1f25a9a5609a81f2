"""Messages on their way, as documents, and the events of a guild among them."""

from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeVar

from pydantic import BaseModel, SerializeAsAny

from guild.checking.parts import listens
from guild.live.messages import LiveHandlings, LiveSummary
from guild.live.watching import watch
from guild.operations.ground import Ground
from guild.operations.view import View
from guild.spec.spec import AgentSpec
from messaging.client.tap import Tapped
from messaging.wire.envelope import Envelope
from messaging.wire.message import wire_type_of
from messaging.wire.topic import EVENTS_TOPIC, owner_of

T = TypeVar("T")


class MessageSeen(View):
    """A message that passed.

    Attributes:
        at: when it was made, as its id tells; None where the id was made by another rule.
        cause: id of the message that it follows from; None for the first of its conversation.
        data: the message as JSON; None where it cannot be decoded.
    """

    topic: str
    id: str
    at: datetime | None
    type: str
    sender: str
    cause: str | None
    conversation: str
    attempt: int
    data: Any


class EventSeen(View):
    """Something that happened to the guild, as `guild.events` tells it.

    Attributes:
        type: wire name, of one of `guild.events.EVENTS` or of a later version's.
        event: the message itself; an `UnknownMessage` for a type of a later version.
    """

    id: str
    at: datetime | None
    type: str
    sender: str
    event: SerializeAsAny[BaseModel] | None


class Passing(Ground):
    """Watches messages without taking anything from the agents."""

    def messages(
        self,
        patterns: Sequence[str],
        *,
        from_start: bool = False,
        follow: bool = True,
        since: datetime | None = None,
    ) -> AsyncGenerator[MessageSeen, None]:
        """What passes on topics that fit `patterns` from this call on, as documents.

        See `Bus.tap` for what the options mean.

        Raises:
            TopicError: one of the patterns can never fit a topic.
            ValueError: `since` has no time zone, or comes with `from_start`.
        """
        return _each(
            seen, self.bus.tap(patterns, from_start=from_start, follow=follow, since=since)
        )

    def events(
        self, *, since: datetime | None = None, follow: bool = True
    ) -> AsyncGenerator[EventSeen, None]:
        """What happens to the guild: agents that crash, operators that act, dead letters.

        Args:
            since: begin with what happened then, as far as the topic still holds it; None for what
                happens from this call on, or, without `follow`, for all that it holds.
            follow: go on with what comes; otherwise end behind what the topic holds now.
        """
        return _each(event_seen, self.bus.tap([EVENTS_TOPIC], since=since, follow=follow))

    def takes(self, agent: str, envelope: Envelope) -> bool:
        """Whether `agent` handles this message, as its topics, contracts and the tags say."""
        spec = self._listening.get(agent)
        if spec is None:
            return False
        topic = envelope.published_to
        is_addressed = not envelope.tags or agent in envelope.tags.split(",")
        is_heard = listens(spec, topic) or owner_of(topic) == agent
        return is_addressed and is_heard and envelope.type in self._accepted[agent]

    @cached_property
    def _listening(self) -> Mapping[str, AgentSpec]:
        return {spec.id: spec for spec in self._plan.spec.agents}

    @cached_property
    def _accepted(self) -> Mapping[str, Collection[str]]:
        """By agent, the wire names of what it handles, whatever their version."""
        return {
            name: {wire_type_of(message).name for message in agent.accepted()}
            for name, agent in self._plan.agents.items()
        }

    def live(self) -> AsyncGenerator[LiveSummary | LiveHandlings, None]:
        """What the processes of the guild handle, told by each of them while the caller watches.

        A process tells a summary a second, and up to 200 handlings a second one by one. It begins
        within moments of the first `anext`, with what happens from then on, and ends with the
        generator (`contextlib.aclosing`). While the server is away nothing comes; it goes on when
        the server is back. Watch once for many readers: each watcher reads all of it.
        """
        return watch(self.bus)


async def _each(
    view_of: Callable[[Tapped], T], passing: AsyncGenerator[Tapped, None]
) -> AsyncGenerator[T, None]:
    async with aclosing(passing) as messages:
        async for message in messages:
            yield view_of(message)


def event_seen(tapped: Tapped) -> EventSeen:
    """The document of an event of the guild."""
    envelope = tapped.envelope
    return EventSeen(
        id=envelope.id,
        at=made_at(envelope.id),
        type=envelope.type,
        sender=envelope.sender,
        event=tapped.message,
    )


def seen(tapped: Tapped) -> MessageSeen:
    """The document of a message that passed."""
    envelope, message = tapped.envelope, tapped.message
    return MessageSeen(
        topic=tapped.topic,
        id=envelope.id,
        at=made_at(envelope.id),
        type=envelope.type,
        sender=envelope.sender,
        cause=envelope.cause or None,
        conversation=envelope.conversation_id,
        attempt=envelope.attempt,
        data=None if message is None else message.model_dump(mode="json"),
    )


def made_at(message_id: str) -> datetime | None:
    """The first 12 digits of an id are the milliseconds at which it was made.

    None where the id was made by another rule than `new_id`.
    """
    if message_id[12:13] != "7":
        return None
    try:
        return datetime.fromtimestamp(int(message_id[:12], 16) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
