"""Publishing and asking by wire name and JSON data, for callers without the classes."""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, Literal, Unpack

from pydantic import BaseModel

from guild.checking.answers import require_answer
from guild.checking.audience import MOST_REMEMBERED, Audience
from guild.checking.plan import Plan
from guild.operations.agents import Statuses
from guild.operations.composing import compose, conversation_of, described, handlers_of, topic_for
from guild.operations.ground import Ground
from guild.operations.view import View
from messaging.bus import DEFAULT_TIMEOUT_S, Bus
from messaging.client.options import PublishOptions
from messaging.errors import NobodyListensError
from messaging.wire.envelope import join_tags, new_id, split_tags
from messaging.wire.message import wire_type_of


class Reception(View):
    """What becomes of a message on a topic, as things are now.

    Attributes:
        type: wire name of the message.
        tags: ids of the agents that it is for, among those that act only when tagged.
        handlers: agents of the spec that handle it there.
        subscribed: those of them for which it is kept, as they have run at some time or other.
        paused: those of the subscribed ones that are paused.
        is_running: whether a replica of a subscribed one lives, as `AgentInfo.running` counts.
    """

    guild: str
    type: str
    topic: str
    tags: tuple[str, ...] = ()
    handlers: tuple[str, ...]
    subscribed: tuple[str, ...]
    paused: tuple[str, ...]
    is_running: bool

    @property
    def state(self) -> Literal["handled", "waits", "paused", "lost", "unhandled"]:
        """It is `handled` soon; it `waits` for agents that do not run, or all are `paused`; it is
        `lost`, as no agent that handles it has run yet; or it goes `unhandled`, as none does.
        """
        if not self.handlers:
            return "unhandled"
        if not self.subscribed:
            return "lost"
        if self.paused == self.subscribed:
            return "paused"
        return "handled" if self.is_running else "waits"

    @property
    def reason(self) -> str:
        """Why it is not handled soon, "" if it is; without what to do about it."""
        match self.state:
            case "unhandled":
                tagged = f", tagged {', '.join(self.tags)}," * bool(self.tags)
                return f"no agent of {self.guild} handles {self.type}{tagged} on {self.topic}"
            case "lost":
                return f"{_are(self.handlers)} not running"
            case "paused":
                return f"{_are(self.paused)} paused"
            case "waits":
                return f"{_are(self.subscribed)} not running"
            case "handled":
                return ""

    @property
    def warning(self) -> str:
        """What becomes of it instead, and why; "" if it is handled soon."""
        if self.state == "handled":
            return ""
        is_kept = self.state in ("waits", "paused")
        return f"{'it waits' if is_kept else 'nobody will get it'}: {self.reason}"


def _are(agents: Sequence[str]) -> str:
    return f"{', '.join(agents)} {'is' if len(agents) == 1 else 'are'}"


class Sent(View):
    """A message that was accepted.

    Attributes:
        conversation: that it belongs to, its own id when it began one.
        reception: what becomes of it.
        warning: why it is not handled, or not soon; "" if it is.
    """

    message_id: str
    conversation: str
    type: str
    topic: str
    reception: Reception
    warning: str = ""


class Answered(View):
    """The answer to a request.

    Attributes:
        message_id: of the request.
        type: wire name of the answer.
        data: the answer as JSON.
    """

    message_id: str
    type: str
    data: Any


class Talking(Ground):
    """Publishes and asks for callers that know messages by their wire names only."""

    def __init__(self, bus: Bus, plan: Plan, statuses: Statuses = tuple) -> None:
        super().__init__(bus, plan, statuses)
        self._why_unhandled = Audience(plan).why_unhandled
        self._require_answer = lru_cache(MOST_REMEMBERED)(partial(require_answer, plan))
        self._handlers_of = lru_cache(MOST_REMEMBERED)(partial(handlers_of, plan))

    def compose(self, type_name: str, data: Any) -> BaseModel:
        """The message of this wire name or class name, with this data.

        Raises:
            NoSuchMessageError: the guild has no message of that name; says which is meant.
            InvalidMessageError: the data does not fit it; `problems` has a line for each field.
        """
        return compose(self._plan, type_name, data)

    def topic_for(self, message: BaseModel) -> str:
        """Where an agent handles `message`; the default topic if none does."""
        return topic_for(self._plan, message, None)

    async def reception(
        self, message: BaseModel, topic: str, tags: Sequence[str] = ()
    ) -> Reception:
        """What would become of `message` on `topic`, as things are now.

        Args:
            message: as it would be sent.
            topic: where to.
            tags: as it would have them.
        """
        joined = join_tags(tags)
        handlers = self._handlers_of(type(message), topic, joined)
        groups = await self.bus.groups() if handlers else ()
        subscribed = [agent for agent in handlers if agent in groups]
        paused = await self.bus.paused() if subscribed else ()
        return Reception(
            guild=self._plan.spec.id,
            type=wire_type_of(type(message)).name,
            topic=topic,
            tags=tuple(split_tags(joined)),
            handlers=tuple(handlers),
            subscribed=tuple(subscribed),
            paused=tuple(agent for agent in subscribed if agent in paused),
            is_running=await self._is_any_alive(subscribed),
        )

    async def _is_any_alive(self, agents: Sequence[str]) -> bool:
        leases = {spec.id: spec.lease_s for spec in self._plan.spec.agents}
        living = [await self._pulse.living(agent, leases[agent]) for agent in agents]
        return any(living)

    async def send(
        self, topic: str | None, type_name: str, data: Any, **options: Unpack[PublishOptions]
    ) -> Sent:
        """Publish by wire name, and say what is odd about it.

        Args:
            topic: where to; None for where an agent handles it.
            type_name: wire name or class name of the message.
            data: what its JSON was read as.
            options: as `PublishOptions` says.

        Raises:
            NoSuchMessageError, InvalidMessageError: as `compose`.
            NobodyListensError: `require_listener`, and no agent of the guild handles it there.
            MessagingError: as `Bus.publish`.
        """
        return await self.send_message(topic, self.compose(type_name, data), **options)

    async def send_message(
        self, topic: str | None, message: BaseModel, **options: Unpack[PublishOptions]
    ) -> Sent:
        """As `send`, a message that was composed before."""
        to = topic_for(self._plan, message, topic)
        if options.get("require_listener") and (why := self._why_unhandled(to, type(message))):
            raise NobodyListensError(why)
        reception = await self.reception(message, to, options.get("tags", ()))
        message_id = await self.bus.publish(to, message, **options)
        return Sent(
            message_id=message_id,
            conversation=options.get("conversation") or message_id,
            type=str(wire_type_of(type(message))),
            topic=to,
            reception=reception,
            warning=reception.warning,
        )

    async def ask(
        self,
        topic: str | None,
        type_name: str,
        data: Any,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        conversation: str = "",
        tags: Sequence[str] = (),
        message_id: str = "",
    ) -> Answered:
        """Ask by wire name, and wait for the answer.

        Args:
            topic: where to; None for where an agent handles it.
            type_name: wire name or class name of the message.
            data: what its JSON was read as.
            timeout_s: how long to wait; the request stays accepted afterwards.
            conversation: that it belongs to; "" for the one that it names itself, or a new one.
            tags: ids of the agents it is for.
            message_id: as for `Bus.request`.

        Raises:
            NoSuchMessageError, InvalidMessageError: as `compose`.
            NobodyListensError, NobodyAnswersError, RequestFailedError, RequestCancelledError,
            RequestTimeoutError: as `GuildClient.request`.
        """
        message = self.compose(type_name, data)
        to = topic_for(self._plan, message, topic)
        self.require_answer(to, type(message), tags)
        message_id = message_id or new_id()
        answer = await self.bus.request(
            to,
            message,
            timeout_s=timeout_s,
            conversation=conversation or conversation_of(message),
            tags=tags,
            message_id=message_id,
        )
        return Answered(message_id=message_id, **described(answer))

    def require_answer(
        self, topic: str, message_class: type[BaseModel], tags: Sequence[str] = ()
    ) -> None:
        """Pass unless, as the contracts of the agents say, no answer would ever come.

        Raises:
            NobodyListensError: no agent of the guild handles it there with these tags.
            NobodyAnswersError: those that do answer nothing.
        """
        if why := self._why_unhandled(topic, message_class):
            raise NobodyListensError(why)
        joined = join_tags(tags)
        if joined and not self._handlers_of(message_class, topic, joined):
            name = wire_type_of(message_class).name
            raise NobodyListensError(
                f"no agent on {topic!r} handles {name} when it is tagged {joined}"
            )
        self._require_answer(topic, message_class)
