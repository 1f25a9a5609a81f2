"""What a handler knows about the message in hand, and what it may do with it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextvars import Context as Variables
from contextvars import copy_context
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar, overload

from pydantic import BaseModel

from messaging.backend import Consumer, Delivery, StateValue, StateWrite
from messaging.errors import ForgottenAwaitError, HandlingCancelledError, TopicError
from messaging.handling.begun import Begun
from messaging.process.clock import Clock
from messaging.process.logs import get_logger
from messaging.process.time_limits import check_finite
from messaging.state.contender import Contender
from messaging.state.contention import Contention
from messaging.state.state import Done, State
from messaging.state.steps import Steps
from messaging.state.timers import arm, check_timer, delay_of
from messaging.wire.envelope import (
    Envelope,
    check_message,
    check_output_topic,
    check_priority,
    check_texts,
    join_tags,
    seal,
)
from messaging.wire.forwarded import pack_forwarded
from messaging.wire.message import Message
from messaging.wire.topic import emit_topic_of, inbox_of, is_reply_topic

T = TypeVar("T")


class Requester(Message, wire_name="bus.requester"):
    """Whom to answer, once the answer is known; keep it in the state until then.

    Attributes:
        waiter: the caller further up the chain, if the requester is an agent; see `Envelope`.
    """

    reply_to: str
    message_id: str
    conversation: str
    hops: int = 0
    waiter: str = ""


class Ask(Protocol):
    """Publishes a request and waits for its answer."""

    def __call__(
        self, topic: str, message: BaseModel, *, timeout_s: float, **header: Any
    ) -> Awaitable[BaseModel]: ...


class HandlerServices(NamedTuple):
    """What all handlings of a group have in common."""

    group: str
    guild_id: str
    by_reference: bool
    destinations: Callable[[Envelope, BaseModel], Sequence[tuple[str, BaseModel]]]
    routed: Callable[[Envelope, BaseModel], Sequence[tuple[str, BaseModel]]]
    load_state: Callable[[str, str], Awaitable[StateValue | None]]
    emit: Callable[[Envelope], None]
    ask: Ask
    loop: asyncio.AbstractEventLoop
    clock: Clock
    contention: Contention
    max_value_bytes: int
    neighbours: Sequence[str] = ()
    traced: Callable[[Envelope], Envelope] | None = None  # by an observer, if there is one


class Context:
    """One handling: the envelope in hand and everything that leaves with its commit.

    `send`, `answer`, timers and `state` fill the commit and touch no network: it all leaves when
    the handler returns, or none of it does. `emit` and `request` act at once.

    Attributes:
        envelope: the envelope in hand.
        sent: what leaves with the commit so far.
        attempt: 1 when no handler can have begun on this message before. It counts the attempts
            that failed, the starts that are on record, and one more if the message was taken over
            from a process that is lost, which may have begun it.
        is_plain: whether there is nothing to commit but what was sent, nor anything to look at.
        over: why nothing that the handler still does can count any more; None while it can.
    """

    __slots__ = (
        "_begun",
        "_consumer",
        "_delivery",
        "_log",
        "_services",
        "_state",
        "_steps",
        "_timers",
        "attempt",
        "contender",
        "envelope",
        "is_plain",
        "over",
        "patience",
        "sent",
    )

    def __init__(
        self,
        delivery: Delivery,
        attempt: int,
        services: HandlerServices,
        consumer: Consumer,
        contender: Contender | None,
    ) -> None:
        self.envelope = delivery.envelope
        self.attempt = attempt
        self.contender = contender
        self.patience: asyncio.Timeout | None = None
        self.is_plain = contender is None
        self.over: str | None = None
        self.sent: list[Envelope] = []
        self._delivery = delivery
        self._services = services
        self._consumer = consumer
        # Most handlers need none of these.
        self._state: State | None = None
        self._steps: Steps | None = None
        self._timers: dict[str, str] | None = None
        self._log: Any = None
        self._begun: Begun | None = None

    @property
    def state(self) -> State:
        """The group's durable state."""
        if self._state is None:
            self.is_plain = False
            if self.contender is None:
                self.contender = Contender(self._delivery, self._consumer)
            self.contender.patience = self.patience
            self._state = State(
                self._load_state, self._enter, self._begin, self._services.max_value_bytes
            )
        return self._state

    @property
    def steps(self) -> Steps:
        """The journal behind `step`."""
        if self._steps is None:
            self.is_plain = False
            self._steps = Steps(self.envelope.id, self._load_state, self._consumer.journal)
        return self._steps

    @property
    def took_steps(self) -> bool:
        return self._steps is not None and self._steps.were_used

    @property
    def group(self) -> str:
        """The agent that handles."""
        return self._services.group

    @property
    def guild_id(self) -> str:
        return self._services.guild_id

    @property
    def message_id(self) -> str:
        return self.envelope.id

    @property
    def conversation(self) -> str:
        """The id of the message that everything here follows from."""
        return self.envelope.conversation_id

    @property
    def deadline(self) -> float | None:
        """Unix seconds after which nobody wants the answer any more."""
        return self.envelope.deadline or None

    @property
    def now(self) -> float:
        """Unix seconds by the clock of the bus, by which deadlines, delays and timers go, too."""
        return self._services.clock.time()

    @property
    def remaining_s(self) -> float | None:
        """Seconds until the deadline; None without one."""
        deadline = self.envelope.deadline
        return deadline - self.now if deadline else None

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this agent at this message: for effects outside."""
        return f"{self._services.group}:{self.envelope.id}"

    @property
    def cancelled(self) -> bool:
        """Whether the handling is over already. Threads look here from time to time."""
        return self.over is not None

    def raise_if_cancelled(self) -> None:
        """Leave a thread whose result nobody will use.

        Raises:
            HandlingCancelledError: the handling was cancelled, timed out or was taken over.
        """
        if self.over is not None:
            raise HandlingCancelledError(
                f"the handling of {self.envelope.type} {self.envelope.id} is over: "
                f"{self.over or 'cancelled'}"
            )

    @property
    def requester(self) -> Requester | None:
        """Whom `answer` reaches, also from a later handling; None if nobody asked."""
        if not self.envelope.reply_to:
            return None
        reply_to = self.envelope.reply_to
        return Requester(
            reply_to=reply_to,
            message_id=self.envelope.id,
            conversation=self.conversation,
            hops=self.envelope.hops,
            waiter="" if is_reply_topic(reply_to) else self.envelope.waiter,
        )

    @property
    def log(self) -> Any:
        """A logger with structlog's methods; its lines name the agent and the message in hand."""
        if self._log is None:
            self._log = get_logger().bind(
                guild=self.guild_id,
                agent=self.group,
                message_id=self.message_id,
                conversation=self.conversation,
                attempt=self.attempt,
            )
        return self._log

    def send(
        self,
        message: BaseModel,
        topic: str | None = None,
        *,
        tags: Sequence[str] = (),
        delay_s: float = 0.0,
        at: datetime | None = None,
        timer: str = "",
        reply_to: str | None = None,
        key: str = "",
        priority: int | None = None,
        deadline_s: float | None = None,
        keep_deadline: bool = False,
        conversation: str = "",
        detached: bool = False,
        guild: str = "",
    ) -> str:
        """Send `message` when the handling is committed.

        Args:
            message: any pydantic model.
            topic: None for the agent's output topic and the routes of this type.
            tags: ids of the agents it is for.
            delay_s: how long it is held back, from the commit on.
            at: until when it is held back, instead of `delay_s`.
            timer: a name under which `cancel_timer` can call it off until then, also from a later
                handling of this agent; a new timer of this name replaces it. Without a `topic` it
                goes to the agent's own inbox. It is this agent that sends it when it is due.
            reply_to: where the answer goes; None for the agent's own inbox, "" for nowhere.
            key: orders handling among equal keys, for agents that ask for it.
            priority: -128 to 127; None for that of the message in hand.
            deadline_s: from now on; later nobody wants it handled.
            keep_deadline: it gets the deadline of the message in hand, if that comes earlier.
            conversation: the one it belongs to; "" for the conversation in hand. What is emitted
                for it is seen there, so that long work can follow whoever asked last.
            detached: it begins a conversation of its own as if nothing had caused it, with no hops:
                for what an agent starts again and again by itself, and for what no answer depends
                on: a caller who waits up the chain does not hear of its failure.
            guild: another guild, one of the subscription's `neighbours`; `topic` is one of its
                topics then, and so is `reply_to`. It arrives once; see `messaging.client.relay`.

        Returns:
            The message's id; an answer carries it as `cause`.

        Raises:
            TopicError: `topic` is not one to publish to, or `guild` is no neighbour.
            NotAMessageError: `message` is no pydantic model.
            InvalidMessageError: it cannot be written as JSON, or would arrive as another message.
            WireError: an option holds a NUL or a lone surrogate.
            ValueError: `priority` is out of range, `deadline_s` is not finite, or the delay, time
                or timer is none.
        """
        joined_tags = join_tags(tags)
        if conversation or reply_to or key or joined_tags:
            given = {"reply_to": reply_to or "", "key": key, "tags": joined_tags}
            check_texts(conversation=conversation, **given)
        header = self._header(
            tags=joined_tags,
            delay_s=delay_of(delay_s, at, self._services.clock),
            reply_to=self._usual_reply_to(guild) if reply_to is None else reply_to,
            key=key,
            deadline=self._deadline(deadline_s, keep=keep_deadline),
            conversation=conversation or self.conversation,
            waiter=self.envelope.waiter_beyond,
        )
        if priority is not None:
            header["priority"] = check_priority(priority)
        if detached:
            header |= {"cause": "", "conversation": conversation, "hops": 0, "waiter": ""}
        if guild:
            return self._send_abroad(guild, message, topic, timer, header)
        if timer:
            return self._set_timer(timer, self._seal(message, self._timed(topic), header))
        if topic is not None:
            check_output_topic(topic)
            targets: Sequence[tuple[str, BaseModel]] = ((topic, message),)
        else:
            check_message(message)
            targets = self._services.destinations(self.envelope, message)
        sent = [self._seal(shaped, target, header) for target, shaped in targets]
        self.sent += sent
        return sent[0].id

    def cancel_timer(self, name: str) -> None:
        """Call the timer `name` off when the handling is committed; nothing happens without one.

        Should it be due at this moment, either it is sent or this commit comes first, never both.
        """
        self._note_timer(name, "")

    def answer(self, requester: Requester, message: BaseModel) -> str:
        """Answer a request that an earlier handling received, when this one is committed.

        Like an answer that a handler returns, it goes where a route of its type leads, too.
        """
        check_message(message)
        header = self._header(conversation=requester.conversation)
        header |= {"cause": requester.message_id, "hops": min(requester.hops + 1, 255)}
        routed = self._services.routed(self.envelope, message)
        # Another conversation than the requester's has a caller of its own.
        is_same = requester.conversation == self.conversation
        waiter = requester.waiter or (self.envelope.waiter_beyond if is_same else "")
        sent = [
            self._seal(shaped, topic, header, waiter)
            for topic, shaped in ((requester.reply_to, message), *routed)
        ]
        self.sent += sent
        return sent[0].id

    def emit(self, message: BaseModel) -> None:
        """Show `message`, a token or progress, to whoever follows this request; at once.

        Cheap and at most once: lost when nobody follows, and never a reason for the handler to
        fail. Callable from threads too.
        """
        if self.over is None:
            topic = emit_topic_of(self.conversation)
            by_reference = self._services.by_reference
            self._services.emit(seal(message, topic, by_reference=by_reference, **self._header()))

    def request(
        self, topic: str, message: BaseModel, *, timeout_s: float = 30
    ) -> Coroutine[Any, Any, BaseModel]:
        """Ask `topic` now and wait for the answer: for short questions only.

        A crash while it waits asks again. Longer work is better sent with `send`; its answer
        comes to a handler of this agent.

        Raises:
            RequestFailedError: whoever handled it gave up, after all its attempts: let through, it
                ends this handling, too, without another attempt.
            RequestTimeoutError: no answer in time.
            RequestCancelledError: somebody cancelled it; as final as the first.
        """
        return self._begin("request({!r}, …)", topic, self._ask(topic, message, timeout_s))

    @overload
    def step(
        self, name: str, fn: Callable[..., Any], *args: Any, returns: type[T], **kwargs: Any
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def step(
        self, name: str, fn: Callable[..., Any], *args: Any, returns: Any = ..., **kwargs: Any
    ) -> Coroutine[Any, Any, Any]: ...
    def step(
        self, name: str, fn: Callable[..., Any], *args: Any, returns: Any = Any, **kwargs: Any
    ) -> Coroutine[Any, Any, Any]:
        """The result of `fn(*args, **kwargs)`, which no later attempt at this message runs again.

        For effects outside the guild. The result is stored durably before it is returned here, and
        is found again after a retry, a takeover, a restart or a requeue. `fn` may still repeat when
        the process dies between its end and the record of it: give it `idempotency_key`, too.
        A plain `fn` runs in a thread. From a plain handler: `context.wait_for(context.step(…))`.

        Args:
            name: one of its own for each step of a handling.
            fn: a plain function or one that returns an awaitable.
            args: for `fn`, as are `kwargs`.
            returns: what to read the result back as; needed for a pydantic model. Any JSON else:
                a tuple comes back as a list, the first time too.
            kwargs: for `fn`.

        Raises:
            StepError: the name came before, or the result is not JSON or does not fit `returns`.
            HandlingCancelledError: the handling is over already.
            FencedError: another consumer took the message over; the result was not stored.
            PayloadTooLargeError: all results of this message together are past the cap.
        """
        self.raise_if_cancelled()
        return self._begin("step({!r}, …)", name, self.steps.run(name, fn, args, kwargs, returns))

    @overload
    def wait_for(self, work: Done) -> None: ...
    @overload
    def wait_for(self, work: Coroutine[Any, Any, T]) -> T: ...
    def wait_for(self, work: Coroutine[Any, Any, T] | Done) -> T | None:
        """Run `work`, such as `context.state.load(…)`, on the loop and wait for its result.

        For plain handlers, which run in a thread; a coroutine handler just awaits. What is done at
        once, as `context.state.save(…)` is, needs neither.
        """
        if isinstance(work, Done):
            return None
        return asyncio.run_coroutine_threadsafe(work, self._services.loop).result()

    @property
    def timers(self) -> Mapping[str, str]:
        """By the name of a timer that was set or called off, its message's id or ""."""
        return self._timers or {}

    def writes(self) -> tuple[StateWrite, ...]:
        """What the commit has to write into the group's state."""
        return () if self._state is None else self._state.writes()

    def forgotten(self) -> ForgottenAwaitError | None:
        """Called by the bus when the handler has returned: what it began and never awaited."""
        begun, self._begun = self._begun, None
        return None if begun is None else begun.forgotten()

    def _load_state(self, key: str) -> Awaitable[StateValue | None]:
        return self._services.load_state(self._services.group, key)

    def _enter(self, key: str) -> Awaitable[None] | None:
        assert self.contender is not None
        return self._services.contention.enter(self.contender, key)

    async def _ask(self, topic: str, message: BaseModel, timeout_s: float) -> BaseModel:
        asking = self._services.ask(topic, message, timeout_s=timeout_s, **self._header())
        if self.contender is None:
            return await asking
        with self.contender.asking():
            return await asking

    def _begin(self, call: str, what: str, work: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        if self._begun is None:
            self.is_plain = False
            self._begun = Begun()
        return self._begun.watch(call, what, work)

    def _usual_reply_to(self, guild: str) -> str:
        return "" if guild else inbox_of(self.group)  # another guild has no such inbox

    def _send_abroad(
        self, guild: str, message: BaseModel, topic: str | None, timer: str, header: dict[str, Any]
    ) -> str:
        if guild not in self._services.neighbours:
            raise TopicError(
                f"{self.group} has no neighbour {guild!r} to send to; name the guild and its bus "
                "under `neighbours` of the spec, or in the options of the subscription"
            )
        if topic is None or timer:
            raise TopicError(f"what goes to guild {guild} needs a topic there, and cannot be timed")
        envelope = self._seal(message, check_output_topic(topic), header)
        sender = f"{self.guild_id}.{self.group}"
        self.sent.append(pack_forwarded(guild, envelope, sender=sender))
        return envelope.id

    def _timed(self, topic: str | None) -> str:
        return inbox_of(self.group) if topic is None else check_output_topic(topic)

    def _set_timer(self, name: str, envelope: Envelope) -> str:
        self._note_timer(name, envelope.id)
        self.sent.append(arm(envelope, name, self.group))
        return envelope.id

    def _note_timer(self, name: str, message_id: str) -> None:
        self.is_plain = False
        timers = self._timers = self._timers or {}
        replaced = timers.get(check_timer(name))
        if replaced:
            self.sent = [sent for sent in self.sent if sent.id != replaced]
        timers[name] = message_id

    def _deadline(self, deadline_s: float | None, *, keep: bool) -> float:
        if deadline_s is not None:
            check_finite(deadline_s=deadline_s)
        given = [] if deadline_s is None else [self._services.clock.time() + deadline_s]
        inherited = [self.envelope.deadline] if keep and self.envelope.deadline else []
        return min(given + inherited, default=0.0)

    def _header(self, **header: Any) -> dict[str, Any]:
        return {
            "sender": self._services.group,
            "cause": self.envelope.id,
            "conversation": self.envelope.conversation_id,
            "hops": min(self.envelope.hops + 1, 255),
            "trace": self.envelope.trace,
            "priority": self.envelope.priority,
            **header,
        }

    def _seal(
        self, message: BaseModel, topic: str, header: dict[str, Any], waiter: str = ""
    ) -> Envelope:
        if waiter and not is_reply_topic(topic):
            header = {**header, "waiter": waiter}
        envelope = seal(message, topic, by_reference=self._services.by_reference, **header)
        traced = self._services.traced
        return envelope if traced is None else traced(envelope)


def have_changed(variables: Variables) -> bool:
    """Whether the context variables are others than these; costs little if they are not."""
    now = copy_context()
    try:
        if now == variables:
            return False
    except Exception:  # noqa: BLE001, S110 - values that differ may refuse to be compared
        pass
    # What structlog has bound and unbound again is left at Ellipsis.
    return any(variables.get(variable, ...) is not value for variable, value in now.items())
