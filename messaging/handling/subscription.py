"""What a group asks of the bus: topics, handlers by message type, and how they are run."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel

from messaging.handling.context import Context
from messaging.handling.retry import RetryPolicy
from messaging.process.time_limits import check_finite, check_whole
from messaging.wire.envelope import Envelope
from messaging.wire.message import wire_type_of
from messaging.wire.topic import (
    DEFAULT_TOPIC,
    MOST_PARTITIONS,
    check_pattern,
    check_topic,
    inbox_of,
    is_pattern,
)

HOPS_ON_THE_WIRE = 255

Answers = Literal["everyone", "requester"]
"""Where answers go, besides the routes."""

Result = BaseModel | Sequence[BaseModel] | None
"""What a handler answers; of several messages a requester gets the first as the answer."""

Handler = Callable[[Any, Context], Awaitable[Result]] | Callable[[Any, Context], Result]
"""`(message, context)`: a coroutine function, or a plain one, which runs in a worker thread.

`(message)` alone where `Declared` says so.
"""


class Declared(NamedTuple):
    """What a handler says that it returns, and takes.

    Attributes:
        handler: its name, for errors.
        classes: classes of messages; an instance of a subclass will do.
        may_be_none: whether it may answer nothing.
        takes_context: whether it is called with the context behind the message.
    """

    handler: str
    classes: tuple[type[BaseModel], ...]
    may_be_none: bool
    takes_context: bool = True

    def __str__(self) -> str:
        names = [message_class.__name__ for message_class in self.classes]
        return " or ".join([*names, "None"] if self.may_be_none else names)


class Routed(NamedTuple):
    """A message and the topic it goes to as well."""

    topic: str
    message: BaseModel


Route = Callable[[Envelope, BaseModel], Sequence[Routed]]
"""`(envelope in hand, message on its way out)` -> where else it goes, and in what shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionOptions:
    """How a group's messages are handled.

    Attributes:
        concurrency: how many messages one replica handles at the same time; also the limit on the
            threads of plain (not `async`) handlers.
        prefetch: most messages one replica is lent at a time. Slow handlers are lent fewer.
        retry: what happens to a message whose handler failed.
        timeout_s: how long a handler may take; None is for ever. Running out counts as a failure.
        lease_s: a replica that is silent for this long loses its messages to the others.
        drain_s: how long running handlers may go on at shutdown.
        max_hops: a message that came through more handlings than this is a loop's; it is
            dead-lettered.
        output_topic: where answers go when nobody asked for them; "" is the topic of the message
            in hand.
        answers: `everyone` sends an answer that nobody asked for to the output topic, where other
            agents and taps see it; `requester` sends it nowhere but by `route`.
        only_when_tagged: ignore what was not addressed to this group by tag or by inbox.
        only_known_types: dead-letter what neither a handler nor the bus's registry knows by name;
            otherwise it is ignored, like what is meant for others.
        ordered_by: `key`, or a field of the messages: those that are equal in it are handled one
            after the other, in order of acceptance. A message on its way to another attempt holds
            back its successors, and only those; as many as `prefetch` of them fit beside the rest.
            Without `partitions` one replica at a time works then; the others stand by.
        partitions: into how many shares the work is split where `ordered_by` is set, by key: as
            many replicas can work at the same time. Each message is stored once more on its way. A
            change holds in the whole group once everything that was shared out before is settled.
        route: where a message that a handler returned, or sent without a topic, goes as well.
        neighbours: ids of the guilds that its handlers may send to, besides their own.
    """

    concurrency: int = 16
    prefetch: int = 2048
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout_s: float | None = None
    lease_s: float = 12.0
    drain_s: float = 5.0
    max_hops: int = 64
    output_topic: str = ""
    answers: Answers = "everyone"
    only_when_tagged: bool = False
    only_known_types: bool = False
    ordered_by: str = ""
    partitions: int = 1
    route: Route | None = None
    neighbours: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_whole(concurrency=self.concurrency, prefetch=self.prefetch)
        check_whole(max_hops=self.max_hops, partitions=self.partitions)
        check_finite(lease_s=self.lease_s, drain_s=self.drain_s)
        if self.timeout_s is not None:
            check_finite(timeout_s=self.timeout_s)
        if self.concurrency < 1 or self.prefetch < self.concurrency:
            raise ValueError("concurrency must be at least 1 and prefetch not below it")
        if self.timeout_s is not None and self.timeout_s <= 0:
            raise ValueError(f"timeout_s must be above 0, not {self.timeout_s}")
        if self.lease_s <= 0 or self.drain_s < 0:
            raise ValueError("lease_s must be above 0 and drain_s not negative")
        if not 1 <= self.max_hops < HOPS_ON_THE_WIRE:
            raise ValueError(f"max_hops must be 1 to {HOPS_ON_THE_WIRE - 1}, not {self.max_hops}")
        if not 1 <= self.partitions <= MOST_PARTITIONS:
            raise ValueError(f"partitions must be 1 to {MOST_PARTITIONS}, not {self.partitions}")
        if self.partitions > 1 and not self.ordered_by:
            raise ValueError("partitions split what is ordered: set ordered_by, too")
        if self.output_topic:
            check_topic(self.output_topic)
            if self.answers == "requester":
                raise ValueError("answers go to the requester alone, so output_topic gets none")


@dataclass(frozen=True, slots=True)
class Subscription:
    """One group's interest: what is published to `patterns`, by type to its handlers.

    The group's inbox always belongs to it. Types without a handler never reach the group: they
    are settled unseen. Of a type with a handler, earlier versions are brought up by the upcasters
    of its class; any other version that nobody knows here becomes a dead letter.

    Attributes:
        declared: by handled class, what its handler may return; anything goes where nothing is
            said.

    Raises:
        TopicError: a pattern, or the group's name, is not one.
        ValueError: two handled classes have the same wire type.
    """

    group: str
    patterns: Sequence[str]
    handlers: Mapping[type[BaseModel], Handler]
    options: SubscriptionOptions = field(default_factory=SubscriptionOptions)
    declared: Mapping[type[BaseModel], Declared] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_topic(self.inbox)
        for pattern in self.patterns:
            check_pattern(pattern)
        wire_types = [wire_type_of(message_class) for message_class in self.handlers]
        for wire_type in wire_types:
            if wire_types.count(wire_type) > 1:
                raise ValueError(f"{self.group} has two handlers for {wire_type}")

    @property
    def inbox(self) -> str:
        return inbox_of(self.group)

    @property
    def all_patterns(self) -> tuple[str, ...]:
        """The patterns and the inbox, each once."""
        return tuple(dict.fromkeys((*self.patterns, self.inbox)))

    def output_topic_for(self, envelope: Envelope) -> str:
        """Where an answer to `envelope` goes when it names no topic for it."""
        if self.options.output_topic:
            return self.options.output_topic
        if envelope.published_to != self.inbox:
            return envelope.published_to
        # An answer to its own inbox would reach no other.
        plain = (pattern for pattern in self.patterns if not is_pattern(pattern))
        return next(plain, DEFAULT_TOPIC)
