"""How everybody else talks to a guild: publish, ask, follow, cancel, watch."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from datetime import datetime
from typing import Any, Self, TypeVar, Unpack, overload

from pydantic import BaseModel

from guild.agent.registry import Registry
from guild.checking.plan import Plan
from guild.errors import UnexpectedReplyError
from guild.operations.operations import Operations
from guild.spec.references import resolve
from guild.spec.spec import GuildSpec
from messaging.backend import FROM_START
from messaging.bus import DEFAULT_TIMEOUT_S, connect
from messaging.client.following import Followed
from messaging.client.options import PublishManyOptions, PublishOptions, spelled_out
from messaging.client.publisher import Publisher
from messaging.client.request import Show
from messaging.client.tap import Tapped
from messaging.errors import NobodyListensError
from messaging.observing import Observer
from messaging.process.logs import get_logger
from messaging.wire.envelope import check_message
from messaging.wire.message import wire_type_of

log = get_logger()

Reply = TypeVar("Reply", bound=BaseModel)


class Receipt(str):
    """The id of a message that was accepted.

    Attributes:
        warning: what is odd about it, "" if nothing: that no agent of the guild will handle it.
    """

    __slots__ = ("_warning",)  # set on those few that have one

    _warning: str

    @property
    def warning(self) -> str:
        return getattr(self, "_warning", "")

    @classmethod
    def warned(cls, message_id: str, warning: str) -> Self:
        """The receipt of a message about which something is odd."""
        receipt = cls(message_id)
        receipt._warning = warning
        return receipt


class Receipts(Sequence[Receipt]):
    """Those of messages that were published together, in their order.

    Each is made when it is looked at, which few are: to make all would take longer than all else
    that a guild adds to its bus.
    """

    def __init__(self, message_ids: Sequence[str], warnings: Sequence[str] = ()) -> None:
        self._ids = message_ids
        self._warnings = warnings

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, index: int) -> Receipt: ...

    @overload
    def __getitem__(self, index: slice) -> "Receipts": ...

    def __getitem__(self, index: int | slice) -> "Receipt | Receipts":
        if isinstance(index, slice):
            return Receipts(self._ids[index], self._warnings[index])
        warning = self._warnings[index] if self._warnings else ""
        message_id = self._ids[index]
        return Receipt.warned(message_id, warning) if warning else Receipt(message_id)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self._ids)!r})"


class GuildClient(Operations):
    """Speaks to the agents of one guild."""

    @property
    def plan(self) -> Plan:
        """The guild's spec, checked, with the classes behind its names."""
        return self._plan

    @classmethod
    def connect(
        cls,
        spec: GuildSpec,
        *,
        bus: str | None = None,
        allow: Iterable[str] = (),
        registry: Registry | None = None,
        environ: Mapping[str, str] | None = None,
        wait_s: float = 0.0,
        observer: Observer | None = None,
    ) -> AbstractAsyncContextManager["GuildClient"]:
        """A client of a guild that runs in another process; starts no agent.

        Args:
            spec: the guild's.
            bus: URL of its bus; None for the spec's own.
            allow: packages whose classes the spec may name by dotted path, besides those that it
                was allowed when it was loaded.
            registry: where the types of its agents are found, instead of `allow`.
            environ: where references to variables are looked up.
            wait_s: how long to wait for a server that is not there yet.
            observer: sees what this client publishes and asks.

        Raises:
            SpecError: everything that is wrong with the spec.
            BackendUnavailableError: there is no server; says what to do about it.
        """
        plan = Plan.of(spec, registry, environ, allow=allow)
        return _connect(cls, plan, bus, environ, wait_s, observer=observer)

    @spelled_out(PublishManyOptions, PublishOptions, like=Publisher.publish)
    async def publish(
        self, topic: str, message: BaseModel, **options: Unpack[PublishOptions]
    ) -> Receipt:
        """Publish `message` and return its id, which means that it was accepted.

        A message that no agent of the guild handles there is accepted all the same: the receipt
        and the log say so, unless `require_listener` has it refused.

        Args:
            topic: where to.
            message: any pydantic model.
            options: as `PublishOptions` says.

        Raises:
            NobodyListensError: `require_listener`, and no agent handles it there.
            MessagingError: as `Bus.publish`.
        """
        warning = self._why_unhandled(topic, type(message))
        if warning and options.get("require_listener"):
            raise NobodyListensError(warning)
        # As `Bus.publish` does it, without another coroutine for each message.
        (envelope,), accepted = self.bus.publisher.publish(topic, (message,), **options)
        await accepted
        if warning:
            log.warning("publish.nobody_handles", message_id=envelope.id, warning=warning)
            return Receipt.warned(envelope.id, warning)
        return Receipt(envelope.id)

    @spelled_out(PublishManyOptions, like=Publisher.publish)
    async def publish_many(
        self, topic: str, messages: Iterable[BaseModel], **options: Unpack[PublishManyOptions]
    ) -> Receipts:
        """Publish `messages` in order, all or none, as `publish` does with one.

        Args:
            topic: where to.
            messages: any pydantic models.
            options: as `PublishManyOptions` says.
        """
        messages = tuple(messages)
        warnings = {
            kind: self._why_unhandled(topic, kind) for kind in dict.fromkeys(map(type, messages))
        }
        odd = next(filter(None, warnings.values()), "")
        if odd and options.get("require_listener"):
            raise NobodyListensError(odd)
        accepted = await self.bus.publish_many(topic, messages, **options)
        if not odd:
            return Receipts(accepted)
        told = tuple(map(warnings.__getitem__, map(type, messages)))
        log.warning("publish.nobody_handles", message_id=accepted[told.index(odd)], warning=odd)
        return Receipts(accepted, told)

    @overload
    async def request(
        self,
        topic: str,
        message: BaseModel,
        reply_type: None = None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        conversation: str = "",
        tags: Sequence[str] = (),
        message_id: str = "",
    ) -> Any: ...

    @overload
    async def request(
        self,
        topic: str,
        message: BaseModel,
        reply_type: type[Reply],
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        conversation: str = "",
        tags: Sequence[str] = (),
        message_id: str = "",
    ) -> Reply: ...

    async def request(
        self,
        topic: str,
        message: BaseModel,
        reply_type: type[BaseModel] | None = None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        conversation: str = "",
        tags: Sequence[str] = (),
        message_id: str = "",
    ) -> Any:
        """Ask, and wait for the answer.

        Args:
            topic: where to.
            message: any pydantic model.
            reply_type: what the answer must be; None takes any.
            timeout_s: how long to wait; the request stays accepted afterwards.
            conversation: id of the message that this one follows from.
            tags: ids of the agents it is for.
            message_id: a `new_id()` that you keep: asked again under it within a day, by any
                process, it is handled once and all get its answer; see `Bus.request`.

        Raises:
            NobodyListensError: no agent of the guild handles it there.
            NobodyAnswersError: those that do answer nothing, as their contracts say.
            RequestFailedError: the agent gave up; says why.
            RequestCancelledError: somebody cancelled it.
            RequestTimeoutError: no answer in time.
            UnexpectedReplyError: the answer is not a `reply_type`.
        """
        check_message(message)
        self.require_answer(topic, type(message), tags)
        answer = await self.bus.request(
            topic,
            message,
            timeout_s=timeout_s,
            conversation=conversation,
            tags=tags,
            message_id=message_id,
        )
        if reply_type is not None and not isinstance(answer, reply_type):
            expected, given = wire_type_of(reply_type).name, wire_type_of(type(answer)).name
            raise UnexpectedReplyError(expected, given)
        return answer

    async def stream(
        self,
        topic: str,
        message: BaseModel,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        conversation: str = "",
        tags: Sequence[str] = (),
        message_id: str = "",
        whole_conversation: bool = False,
        show: Show | None = None,
    ) -> AsyncGenerator[Any, None]:
        """Like `request`, but yields tokens and progress as they come; the answer comes last.

        Args:
            topic: where to.
            message: any pydantic model.
            timeout_s: how long all of it may take.
            conversation: id of the message that this one follows from.
            tags: ids of the agents it is for.
            message_id: as for `request`.
            whole_conversation: also what is emitted for messages that followed from this one.
            show: called with each emitted item, which is not yielded then.

        Raises:
            MessagingError: as `request`.
        """
        check_message(message)
        self.require_answer(topic, type(message), tags)
        items = self.bus.stream(
            topic,
            message,
            timeout_s=timeout_s,
            conversation=conversation,
            tags=tags,
            message_id=message_id,
            whole_conversation=whole_conversation,
            show=show,
        )
        async with aclosing(items):
            async for item in items:
                yield item

    async def begin_request(
        self,
        topic: str,
        message: BaseModel,
        *,
        message_id: str,
        conversation: str = "",
        tags: Sequence[str] = (),
    ) -> None:
        """Have `message` accepted as a request; whoever follows its id gets the answer.

        Args:
            topic: where to.
            message: any pydantic model.
            message_id: as for `request`: begun or asked again under it, it is handled once.
            conversation: id of the message that this one follows from.
            tags: ids of the agents it is for.

        Raises:
            NobodyListensError: no agent of the guild handles it there.
            NobodyAnswersError: those that do answer nothing, as their contracts say.
            MessagingError: as `Bus.begin_request`.
        """
        check_message(message)
        self.require_answer(topic, type(message), tags)
        await self.bus.begin_request(
            topic, message, message_id=message_id, conversation=conversation, tags=tags
        )

    def follow(
        self,
        message_id: str,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        conversation: str = "",
        whole_conversation: bool = False,
        show: Show | None = None,
        after: str = FROM_START,
    ) -> AsyncGenerator[Any, None]:
        """What is emitted for a request that any process began, and its answer; see `Bus.follow`.

        Args:
            message_id: id of the request.
            timeout_s: how long all of it may take.
            conversation: the conversation that the request was made in, if it did not begin one.
            whole_conversation: also what is emitted for messages that followed from the request.
            show: called with each emitted item, which is not yielded then.
            after: a position that `follow_with_positions` has told: only what came behind it.

        Raises:
            PositionLostError: what lies at `after` is not kept any more.
            MessagingError: as `request`.
        """
        return self.bus.follow(
            message_id,
            timeout_s=timeout_s,
            conversation=conversation,
            whole_conversation=whole_conversation,
            show=show,
            after=after,
        )

    def follow_with_positions(
        self,
        message_id: str,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        conversation: str = "",
        whole_conversation: bool = False,
        after: str = FROM_START,
    ) -> AsyncGenerator[Followed, None]:
        """As `follow`, with positions behind which to go on; see `Bus.follow_with_positions`.

        Args:
            message_id: id of the request.
            timeout_s: how long all of it may take.
            conversation: the conversation that the request was made in, if it did not begin one.
            whole_conversation: also what is emitted for messages that followed from the request.
            after: as for `follow`.

        Raises:
            MessagingError: as `follow`.
        """
        return self.bus.follow_with_positions(
            message_id,
            timeout_s=timeout_s,
            conversation=conversation,
            whole_conversation=whole_conversation,
            after=after,
        )

    def tap(
        self,
        patterns: Sequence[str],
        *,
        from_start: bool = False,
        follow: bool = True,
        since: datetime | None = None,
    ) -> AsyncGenerator[Tapped, None]:
        """Watch topics without taking anything from the agents; see `Bus.tap`.

        `guild.events` is where the guild tells of itself.
        """
        return self.bus.tap(patterns, from_start=from_start, follow=follow, since=since)


@asynccontextmanager
async def _connect(
    client_class: type[GuildClient],
    plan: Plan,
    url: str | None,
    environ: Mapping[str, str] | None,
    wait_s: float,
    *,
    observer: Observer | None,
) -> AsyncIterator[GuildClient]:
    target = url or str(resolve(plan.spec.bus, environ=environ, path=("bus",)))
    async with connect(
        target, plan.spec.id, registry=plan.messages, wait_s=wait_s, observer=observer
    ) as bus:
        yield client_class(bus, plan)
