"""The bus as its users see it. Everything here delegates; the work is done next door."""

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, Unpack

from pydantic import BaseModel

from messaging.backend import FROM_START, PROFILES, Backend, Incident, TopicInfo
from messaging.backends.opening import open_within
from messaging.backends.urls import open_backend
from messaging.client.dead_letters import DeadLetters
from messaging.client.following import Attachments, Followed
from messaging.client.maintenance import Maintenance
from messaging.client.options import PublishManyOptions, PublishOptions, spelled_out
from messaging.client.publisher import Publisher
from messaging.client.relay import DEFAULT_LEASE_S, Relay, relay_subscription
from messaging.client.request import Requests, Show
from messaging.client.subscribers import SubscriberCache
from messaging.client.tap import NOWHERE, Tapped, message_in, tap
from messaging.client.topics import TopicsReader
from messaging.consuming.heartbeat import Heart
from messaging.control.cancellation import Cancellations
from messaging.control.followers import Followers
from messaging.control.incidents import Incidents
from messaging.control.pausing import Pauses
from messaging.control.tail import Tail
from messaging.control.watchers import Watchers
from messaging.errors import BusClosedError, BusForkedError
from messaging.handling.emitter import Emitter
from messaging.handling.subscription import Subscription
from messaging.observing import Observer, Observers
from messaging.process.forks import keep_from_children
from messaging.process.logs import get_logger
from messaging.process.time_limits import check_finite
from messaging.state.contention import Contentions
from messaging.wire.decoding import Decoder
from messaging.wire.envelope import Envelope, check_texts, new_id
from messaging.wire.message import MessageRegistry

if TYPE_CHECKING:  # a bus without subscriptions needs no part that handles
    from messaging.consuming.replica import Running

log = get_logger()

DEFAULT_TIMEOUT_S = 60.0


class Bus:
    """Publishes, asks, follows and subscribes on one backend, under one name.

    Args:
        backend: where messages are kept; opened and closed with the bus.
        name: who sends, in the envelopes of what is published here.
        guild_id: named in log lines.
        registry: the classes in which answers and emitted items come back.
        owns_backend: False when others use `backend` too, and one of them opens and closes it.
        wait_s: how long `open` waits for a server that is not there yet.
        observer: sees what is published and handled here.

    Attributes:
        publisher: what `publish` and `publish_many` delegate to.
        watchers: which topics are watched, so that something is to be told there.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        name: str = "client",
        guild_id: str = "default",
        registry: MessageRegistry | None = None,
        owns_backend: bool = True,
        wait_s: float = 0.0,
        observer: Observer | None = None,
    ) -> None:
        check_texts(name=name)
        check_finite(wait_s=wait_s)
        self.client_id = new_id()
        self.name = name
        self.guild_id = guild_id
        self.backend = backend
        self.clock = backend.clock
        self.registry = registry if registry is not None else MessageRegistry()
        self.dead_letters = DeadLetters(backend, self.registry, self.publish, name)
        self._owns_backend = owns_backend
        self._wait_s = wait_s
        self._observers = Observers.of(observer)
        self._incidents = Incidents()
        outages = self._incidents.outages
        self._decoder = Decoder(self.registry)
        self._subscribers = SubscriberCache(backend)
        self._topics = TopicsReader(backend)
        self._emitter = Emitter(backend.emit)
        self._tail = Tail(backend, self.client_id, outages)
        self.publisher = Publisher(
            backend, self._subscribers, name, self._observers, check_open=self._check_open
        )
        self._followers = Followers(backend, self._tail)
        self.watchers = Watchers(backend, self._tail)
        attachments = Attachments(backend, self._decoder, self._followers, outages)
        self._requests = Requests(self.publisher, self._tail, self._decoder, attachments, outages)
        self._cancellations = Cancellations(backend, self._tail, self._requests.cancelled)
        self._pauses = Pauses(backend, self._tail, outages)
        self._heart = Heart()
        self._contentions = Contentions()
        self._maintenance = Maintenance(backend, outages)
        self._running: list[Running] = []
        self._relays: dict[Running, Relay] = {}
        backend.listen(self._incidents.report)
        self._is_forked = False

    @property
    def is_open(self) -> bool:
        return self.publisher.is_open

    @property
    def groups_here(self) -> Collection[str]:
        """The groups whose messages are handled in this process."""
        return {running.group for running in self._running if not running.done}

    @property
    def handlers_running(self) -> int:
        """How many handlers run on this bus at this moment."""
        return self._cancellations.running

    async def open(self) -> Self:
        """Connect. Opening an open bus does nothing.

        Raises:
            BackendUnavailableError: there is no server; says what to do about it.
            BackendSetupError: the server cannot keep the promises.
            BusForkedError: it was open in the process from which this one was forked.
        """
        if self.is_open:
            return self
        if self._is_forked:
            raise BusForkedError
        async with AsyncExitStack() as opened:
            if self._owns_backend:
                await open_within(self.backend, self._wait_s)
                opened.push_async_callback(self.backend.close)
            self._emitter.open()
            await self._tail.open()
            opened.pop_all()  # all went well: `close` sees to it from now on
        self.publisher.is_open = True
        keep_from_children(self)
        profile = self.backend.profile
        log.info("bus.opened", guild=self.guild_id, profile=profile, promise=PROFILES[profile])
        return self

    async def close(self) -> None:
        """Drain what runs here, give back what was not handled, and disconnect.

        Each subscription gets its `drain_s`; cancelled meanwhile, what runs is cancelled as well,
        and everything is closed all the same. Closing a closed bus does nothing, nor does closing
        one of the process from which this one was forked.
        """
        if not self.is_open:
            return
        self.publisher.is_open = False
        async with AsyncExitStack() as closing:  # from the last line to the first, whatever fails
            if self._owns_backend:
                closing.push_async_callback(self.backend.close)
            closing.push_async_callback(self._tail.close)
            closing.callback(self._requests.close)
            closing.callback(self.watchers.close)
            closing.push_async_callback(self._emitter.close)
            closing.push_async_callback(self._pauses.close)
            closing.push_async_callback(self._maintenance.close)
            for relay in self._relays.values():
                closing.push_async_callback(relay.close)
            closing.push_async_callback(self._drain)  # again: it hurries what is left by then
            await self._drain()

    async def _drain(self) -> None:
        for running in self._running:
            running.stop()
        for running in self._running:
            await running.wait()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @spelled_out(PublishManyOptions, PublishOptions, like=Publisher.publish)
    async def publish(
        self, topic: str, message: BaseModel, **options: Unpack[PublishOptions]
    ) -> str:
        """Publish `message` and return its id, which means that it was accepted.

        Args:
            topic: where to.
            message: any pydantic model.
            options: as `PublishOptions` says.

        Raises:
            TopicError: `topic` is not one to publish to.
            InvalidMessageError: it cannot be written as JSON, or would arrive as another message.
            PayloadTooLargeError: it is past the cap.
            WireError: an option holds a NUL or a lone surrogate.
            ValueError: `priority`, `deadline_s` or `message_id` is not valid.
            DelayError: `delay_s` or `at` is not valid.
            NobodyListensError: `require_listener`, and no group is subscribed.
            BusFullError: the topic is at its hard limit.
            BackendUnavailableError: the server stayed away past the deadline.
            BusClosedError: the bus is not open.
        """
        envelopes, accepted = self.publisher.publish(topic, (message,), **options)
        await accepted
        return envelopes[0].id

    @spelled_out(PublishManyOptions, like=Publisher.publish)
    async def publish_many(
        self, topic: str, messages: Iterable[BaseModel], **options: Unpack[PublishManyOptions]
    ) -> list[str]:
        """Publish `messages` in order, all or none, as `publish` does with one.

        Args:
            topic: where to.
            messages: any pydantic models.
            options: as `PublishManyOptions` says.
        """
        if "message_id" in options:
            raise TypeError("Bus.publish_many() got message_id, which is for one message")
        envelopes, accepted = self.publisher.publish(topic, tuple(messages), **options)
        await accepted
        return [envelope.id for envelope in envelopes]

    async def request(
        self,
        topic: str,
        message: BaseModel,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        conversation: str = "",
        tags: Sequence[str] = (),
        message_id: str = "",
        require_listener: bool = True,
    ) -> BaseModel:
        """Publish `message` and wait for the first answer to it.

        Args:
            topic: where to.
            message: any pydantic model.
            timeout_s: how long to wait; the request stays accepted afterwards.
            conversation: id of the message that this one follows from.
            tags: ids of the agents it is for.
            message_id: a `new_id()` that you keep where a crash does not lose it. Asked again under
                it, by any process, at the same time or within a day, the message is handled once
                and all get its answer; others may `follow` or `cancel` it. An answer is kept for
                ten minutes from when a caller got it, and for a day before. Costs a few calls more.
            require_listener: refuse at once when no group is subscribed to the topic.

        Returns:
            The answer, an `UnknownMessage` if the registry does not know its type.

        Raises:
            RequestFailedError: the agent gave up; says why.
            RequestCancelledError: somebody cancelled it.
            RequestTimeoutError: no answer in time.
            NobodyListensError: no group is subscribed to the topic.
            NotAskedError: under `message_id` a message was published, and not asked, within a day.
            InvalidMessageError: the answer does not fit its type.
            ValueError: `timeout_s` is not finite, or `message_id` is not valid.
        """
        self._check_open()
        return await self._requests.request(
            topic,
            message,
            timeout_s=timeout_s,
            conversation=conversation,
            tags=tags,
            message_id=message_id,
            require_listener=require_listener,
        )

    def stream(
        self,
        topic: str,
        message: BaseModel,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        conversation: str = "",
        tags: Sequence[str] = (),
        message_id: str = "",
        require_listener: bool = True,
        whole_conversation: bool = False,
        show: Show | None = None,
    ) -> AsyncGenerator[BaseModel, None]:
        """Like `request`, but yields what is emitted meanwhile; the answer comes last.

        Close it (`contextlib.aclosing`) where you leave early; the request itself goes on until it
        is cancelled.

        Args:
            topic: where to.
            message: any pydantic model.
            timeout_s: how long all of it may take.
            conversation: id of the message that this one follows from.
            tags: ids of the agents it is for.
            message_id: as for `request`; what is emitted is kept as long as the answer is, the last
                10,000 items, and all callers get it from its start.
            require_listener: refuse at once when no group is subscribed to the topic.
            whole_conversation: also what is emitted for messages that followed from this one.
            show: called with each emitted item, which is not yielded then.

        Raises:
            RequestFailedError: and the other errors of `request`.
        """
        self._check_open()
        return self._requests.stream(
            topic,
            message,
            timeout_s=timeout_s,
            conversation=conversation,
            tags=tags,
            message_id=message_id,
            require_listener=require_listener,
            whole_conversation=whole_conversation,
            show=show,
        )

    async def begin_request(
        self,
        topic: str,
        message: BaseModel,
        *,
        message_id: str,
        conversation: str = "",
        tags: Sequence[str] = (),
        require_listener: bool = True,
    ) -> None:
        """Have `message` accepted as a request, and leave its answer to those who follow it.

        For a caller that may be gone before the answer is there. What is emitted and the answer are
        kept as those of `request` with a `message_id` are.

        Args:
            topic: where to.
            message: any pydantic model.
            message_id: as for `request`: begun or asked again under it, it is handled once.
            conversation: id of the message that this one follows from.
            tags: ids of the agents it is for.
            require_listener: refuse at once when no group is subscribed to the topic.

        Raises:
            NobodyListensError: no group is subscribed to the topic.
            NotAskedError: under `message_id` a message was published, and not asked, within a day.
            MessagingError: as `publish`.
            ValueError: `message_id` is not valid.
        """
        self._check_open()
        await self._requests.begin(
            topic,
            message,
            message_id=message_id,
            conversation=conversation,
            tags=tags,
            require_listener=require_listener,
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
    ) -> AsyncGenerator[BaseModel, None]:
        """What is emitted for a request that any process began, and its answer, which comes last.

        All of it from the start when the request was made under a `message_id` of the caller's
        choice; see `request` for how long it is kept. Of any other request what is emitted, and
        answered, from now on: an answer that was given before does not come again. To follow
        changes nothing for the process that asked, which may be gone.

        Args:
            message_id: id of the request.
            timeout_s: how long all of it may take.
            conversation: the conversation that the request was made in, if it did not begin one.
            whole_conversation: also what is emitted for messages that followed from the request.
            show: called with each emitted item, which is not yielded then.
            after: a position that `follow_with_positions` has told, in any process: only what came
                behind it. Behind an answer there is nothing.

        Raises:
            RequestFailedError: and the other errors of `request`.
            PositionLostError: what lies at `after` is not kept any more, so that something behind
                it may be missing; nothing was yielded.
            ValueError: `message_id`, `conversation` or `timeout_s` is not valid, or `after` is no
                position.
        """
        self._check_open()
        return self._requests.follow(
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
        """As `follow`, each item and the answer with the position behind which to go on later.

        Args:
            message_id: id of the request.
            timeout_s: how long all of it may take.
            conversation: the conversation that the request was made in, if it did not begin one.
            whole_conversation: also what is emitted for messages that followed from the request.
            after: as for `follow`.

        Raises:
            MessagingError: as `follow`.
            ValueError: as `follow`.
        """
        self._check_open()
        return self._requests.follow_with_positions(
            message_id,
            timeout_s=timeout_s,
            conversation=conversation,
            whole_conversation=whole_conversation,
            after=after,
        )

    async def cancel(self, message_id: str, reason: str = "") -> None:
        """Stop the handling of the message and of what followed from it; its requester is told.

        At most once: a process that is away at this moment does not hear of it.
        """
        self._check_open()
        await self._cancellations.cancel(message_id, reason)

    def tap(
        self,
        patterns: Sequence[str],
        *,
        from_start: bool = False,
        follow: bool = True,
        since: datetime | None = None,
        after: Mapping[str, str] = NOWHERE,
        decode: bool = True,
        rest_s: float = 0.0,
    ) -> AsyncGenerator[Tapped, None]:
        """Watch topics without taking anything from their groups, until the caller leaves.

        It begins with what is accepted from this call on; what was accepted moments before, while
        the store is asked for its time, may be shown as well.

        Args:
            patterns: topics, patterns, or the full name of a topic of the bus's own.
            from_start: begin with what the topics still hold.
            follow: go on with what comes; otherwise end behind what the topics hold now, which is
                shown from its start or `since`.
            since: begin with what was accepted at this time or later, by the store's clock.
            after: by topic, a `Tapped.position` behind which to begin there; only with `follow`.
            decode: read the messages; otherwise do that with `message_in`, of those you look at.
            rest_s: seconds between two looks at the topics. Where much passes, it costs little to
                read it in a few large pieces, here and at the store.

        Raises:
            TopicError: one of the patterns can never fit a topic.
            ValueError: `since` has no time zone, or comes with `from_start`; `after` names what
                is no position; or `rest_s` is not finite.
        """
        self._check_open()
        check_finite(rest_s=rest_s)
        return tap(
            self.backend,
            self._decoder if decode else None,
            patterns,
            from_start=from_start,
            follow=follow,
            since=since,
            after=after,
            rest_s=rest_s,
        )

    def message_in(self, envelope: Envelope) -> BaseModel | None:
        """What was tapped in an envelope; None when it cannot be decoded."""
        return message_in(self._decoder, envelope)

    async def topics(self) -> Sequence[TopicInfo]:
        """Every topic, with what waits there for each group and since when, at most 5 s old.

        Many callers cost the store one question in that time; `backend.topics()` asks each time.
        """
        self._check_open()
        return await self._topics.read()

    async def register(self, subscription: Subscription) -> None:
        """Keep for `subscription.group` whatever is published from now on; handle nothing yet."""
        self._check_open()
        outboxes = [relay_subscription(guild) for guild in subscription.options.neighbours]
        for one in (
            *outboxes,
            subscription,
        ):  # forwarded messages are kept until somebody relays them
            await self.backend.subscribe(one.group, one.all_patterns)
        self._subscribers.forget()

    async def subscribe(self, subscription: Subscription) -> "Running":
        """Register `subscription` and handle its messages here, as one replica of its group."""
        from messaging.consuming.replica import Replica, Running  # noqa: PLC0415 - see above

        await self.register(subscription)
        if not self._pauses.is_looking:
            await self._pauses.look()
        self._check_open()  # it may have been closed meanwhile, and would not stop what begins now
        self._pauses.start()
        replica = Replica(
            subscription,
            backend=self.backend,
            guild_id=self.guild_id,
            emitter=self._emitter,
            ask=self._requests.request,
            cancellations=self._cancellations,
            incidents=self._incidents,
            known=self.registry,
            pauses=self._pauses,
            followers=self._followers,
            heart=self._heart,
            contention=self._contentions.of(subscription.group),
            observers=self._observers,
        )
        running = Running(subscription.group, replica)
        self._running = [other for other in self._running if not other.done] + [running]
        self._maintenance.start()
        return running

    async def relay(
        self, guild: str, to: str | Backend, *, lease_s: float = DEFAULT_LEASE_S
    ) -> "Running":
        """Bring what handlers send to another guild there, as one replica of its relay.

        Args:
            guild: id of the other guild.
            to: the URL of its bus, or a backend of it that is not open yet.
            lease_s: a relay that is silent for so long loses its messages to the others.

        Raises:
            BackendSetupError: no such URL. A server that is away is waited for.
        """
        for ended in [self._relays.pop(each) for each in tuple(self._relays) if each.done]:
            await ended.close()
        there = open_backend(to, guild_id=guild) if isinstance(to, str) else to
        relay = Relay(guild, there)
        running = await self.subscribe(relay_subscription(guild, relay, lease_s=lease_s))
        self._relays[running] = relay
        return running

    async def run(self, subscription: Subscription) -> None:
        """Subscribe and handle until cancelled; then drain."""
        running = await self.subscribe(subscription)
        try:
            await running.wait()
        finally:
            await running.drain()

    async def unsubscribe(self, group: str) -> None:
        """Owe `group` nothing any more: its copies, retries and state are gone for good."""
        self._check_open()
        await self.backend.unsubscribe(group)
        self._subscribers.forget()

    async def pause(self, group: str) -> None:
        """Have no message of `group` begun, in any process, until it is resumed.

        Every process obeys within moments and gives back what it was lent; handlers that run come
        to their end. It outlives every process. What is published meanwhile waits.
        """
        self._check_open()
        await self._pauses.change(group, is_paused=True)

    async def resume(self, group: str) -> None:
        """Go on with a paused group; nothing happens to one that is not."""
        self._check_open()
        await self._pauses.change(group, is_paused=False)

    async def paused(self) -> Collection[str]:
        """The groups that are paused."""
        self._check_open()
        return await self._pauses.look()

    async def groups(self) -> Mapping[str, Sequence[str]]:
        """Every subscribed group and its patterns."""
        self._check_open()
        return await self.backend.groups()

    def attach(self, onlooker: Observer) -> None:
        """Tell `onlooker` of each handling that begins from now on and ends before it is detached.

        Only its `ended` is called, and `handled`. Before and afterwards it costs nothing.
        """
        self._observers.add(onlooker)
        self._look()

    def detach(self, onlooker: Observer) -> None:
        """Tell `onlooker` nothing more."""
        self._observers.remove(onlooker)
        self._look()

    def _look(self) -> None:
        for running in self._running:
            running.look()

    def listen(self, listener: Callable[[Incident], None]) -> None:
        """Call `listener` with what operators should hear of: takeovers, dead letters, outages."""
        self._incidents.listen(listener)

    def unlisten(self, listener: Callable[[Incident], None]) -> None:
        """Call `listener` no more."""
        self._incidents.unlisten(listener)

    def forked(self) -> None:
        """Called in a child: the bus is the parent's."""
        self.publisher.is_open, self._is_forked = False, True

    def _check_open(self) -> None:
        if not self.is_open:
            if self._is_forked:
                raise BusForkedError
            raise BusClosedError("the bus is not open; use `async with bus:` or `await bus.open()`")


@asynccontextmanager
async def connect(
    url: str = "memory://",
    guild_id: str = "default",
    *,
    name: str = "client",
    registry: MessageRegistry | None = None,
    wait_s: float = 0.0,
    observer: Observer | None = None,
    **options: Any,
) -> AsyncIterator[Bus]:
    """An open bus on the server at `url`, closed at the end of the block.

    Args:
        url: memory://  embedded  redis://  rediss://  unix://  sentinel://  redis+cluster://
        guild_id: whose topics these are; guilds on one server do not see each other.
        name: who sends.
        registry: the classes in which answers come back.
        wait_s: how long to wait for a server that is not there yet; the log says so once.
        observer: sees what is published and handled here; several as `Observers(one, another)`.
        options: profile, limits and folders of the backend, see
            `messaging.backends.urls.open_backend`; they may stand in the URL, too:
            `redis://host/0?profile=durable`.

    Raises:
        BackendSetupError: no such URL or option, or a server that cannot keep the promises.
        BackendUnavailableError: there is no server; says what to do about it.
    """
    backend = open_backend(url, guild_id=guild_id, **options)
    bus = Bus(
        backend, name=name, guild_id=guild_id, registry=registry, wait_s=wait_s, observer=observer
    )
    async with bus:
        yield bus
