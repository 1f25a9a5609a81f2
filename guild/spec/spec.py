"""What a guild is: plain data, the same whether built in Python or read from YAML.

Every value may hold references (`${VAR:-default}`), also where a number or a boolean is meant. A
spec keeps them as they were written: such a field holds their text. The spec of a `Plan` has their
values, but for `bus`, `neighbours` and `properties`, where secrets (`${env:NAME}`, `${file:/path}`)
may stand, too: those are resolved when they are used.
"""

import json
import re
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PrivateAttr,
    TypeAdapter,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from guild.errors import Path
from guild.spec.expressions import Expression
from guild.spec.given import Given
from guild.spec.recurrence import check_cron, check_timezone
from guild.spec.references import FromReference
from guild.spec.source import Source
from messaging.errors import TopicError
from messaging.wire.topic import DEFAULT_TOPIC, MOST_PARTITIONS, check_pattern, check_topic

ENGINES = ("inprocess",)
DEFAULT_BUS = "${GUILDBUS_URL:-embedded}"

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,99}")


def _identifier(value: str) -> str:
    if not _ID.fullmatch(value):
        raise PydanticCustomError(
            "identifier",
            "{value} is not an id: 1 to 100 letters, digits, _ or -, the first a letter or digit",
            {"value": repr(value)},
        )
    return value


def _topic(value: str) -> str:
    return _checked(check_topic, value)


def _pattern(value: str) -> str:
    return _checked(check_pattern, value)


def _cron(value: str) -> str:
    return _checked(check_cron, value)


def _timezone(value: str) -> str:
    return _checked(check_timezone, value)


def _checked(check: Callable[[str], str], value: str) -> str:
    try:
        return check(value)
    except (TopicError, ValueError) as error:
        raise PydanticCustomError("refused", "{text}", {"text": str(error)}) from None


def _expression(value: str) -> str:
    return _checked(lambda text: Expression(text).text, value)


def _finite(properties: dict[str, JsonValue]) -> dict[str, JsonValue]:
    try:
        json.dumps(properties, allow_nan=False)
    except ValueError:
        raise PydanticCustomError("finite", "numbers must be finite") from None
    return properties


def _or_reference(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """What holds references is judged when they are resolved."""
    return value if holds_reference(value) else validate(value)


def holds_reference(value: Any) -> bool:
    """Whether `value` is text of which the spec alone does not tell what it stands for."""
    return isinstance(value, str) and "${" in value and not isinstance(value, FromReference)


Identifier = Annotated[str, AfterValidator(_identifier)]
Topic = Annotated[str, AfterValidator(_topic), WrapValidator(_or_reference)]
TopicPattern = Annotated[str, AfterValidator(_pattern), WrapValidator(_or_reference)]
Cron = Annotated[str, Field(max_length=200), AfterValidator(_cron)]
TimeZone = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_timezone)]
ExpressionText = Annotated[str, AfterValidator(_expression)]
Names = Annotated[tuple[str, ...], Field(strict=False)]
Seconds = Annotated[float, Field(ge=0, le=366 * 86_400, allow_inf_nan=False)]
Properties = Annotated[dict[str, JsonValue], AfterValidator(_finite)]


class Part(BaseModel):
    """Nothing unknown, nothing converted but what references stand for: it says what it means."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)

    @field_validator("*", mode="wrap")
    @classmethod
    def _from_reference(
        cls, value: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> Any:
        if holds_reference(value):
            return value
        if isinstance(value, FromReference):
            return _reader(cls, str(info.field_name)).validate_python(str(value))
        return validate(value)

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """As pydantic's, without a warning where the text of a reference stands for a number."""
        return super().model_dump(**{"warnings": False, **options})

    def model_dump_json(self, **options: Any) -> str:
        """As `model_dump`."""
        return super().model_dump_json(**{"warnings": False, **options})


@cache
def _reader(part: type[Part], name: str) -> TypeAdapter[Any]:
    """Reads text as what the field holds, as pydantic reads it for properties."""
    field = part.model_fields[name]
    annotation: Any = field.annotation
    if field.metadata:
        annotation = Annotated[(annotation, *field.metadata)]
    return TypeAdapter(annotation)


class TypedPart(Part):
    """A part whose `type` names code, and that may know the code itself."""

    _given: Given = PrivateAttr(default_factory=Given)

    @property
    def given(self) -> Any:
        """What `type` stands for, where Python code gave it: a name may come to mean another."""
        return self._given.target

    def giving(self, target: Any) -> Self:
        """The same part, which stands for `target` whatever its `type` comes to mean."""
        copy = self.model_copy()
        copy._given = Given(target)  # noqa: SLF001 - a copy of our own
        return copy


class RetrySpec(Part):
    """How often an agent tries a message again before it becomes a dead letter.

    An error that says of itself `retryable = False` is not tried again.

    Attributes:
        attempts: handlings in all, the first included.
        backoff_s: wait before the second attempt.
        factor: what each further wait is multiplied by.
        max_backoff_s: no wait is longer.
    """

    attempts: int = Field(default=5, ge=1, le=100)
    backoff_s: Seconds = 1.0
    factor: float = Field(default=2.0, ge=1, le=100)
    max_backoff_s: Seconds = 60.0


class RestartSpec(Part):
    """What the supervisor does when an agent, not merely a message, fails.

    Attributes:
        policy: `permanent` always starts it again, `transient` only after a crash, `temporary`
            never.
        intensity: restarts within `within_s` seconds; one more is a crash loop, which leaves the
            agent down and the guild degraded.
        backoff_s: wait before the first restart; doubles while crashes follow each other.
    """

    policy: Literal["permanent", "transient", "temporary"] = "permanent"
    intensity: int = Field(default=5, ge=0, le=10_000)
    within_s: Seconds = 60.0
    backoff_s: Seconds = 0.5
    max_backoff_s: Seconds = 30.0


class AgentSpec(TypedPart):
    """One agent of a guild.

    Attributes:
        type: a registry name; a dotted path only under prefixes that the operator allows.
        topics: topics and patterns it listens to, besides its own inbox.
        properties: what its class's properties model is made from.
        dependencies: by parameter of its constructor, the name of the guild's resource, where the
            two differ.
        replicas: how many of it share the work in this process.
        concurrency: how many messages each replica handles at once.
        timeout_s: how long one handling may take; None for as long as it wants.
        lease_s: a process that is silent for this long loses its messages to the others.
        only_when_tagged: handle only messages that are addressed to it by tag.
        ordered_by: `key` for what was published with equal keys, or a field of its messages: equals
            are handled one after the other, in order. Without `partitions` one replica at a time
            works then, in the whole guild; the others stand by.
        partitions: into how many shares its work is split by what orders it, so that as many
            replicas can work at the same time. It may change with the next deployment.
        output_topic: where its answers go when nobody waits for them; None for the topic the
            request came from.
        answers: `everyone` sends an answer that nobody asked for to the output topic, `requester`
            sends it nowhere, unless a route does. An answer that was asked for goes to who asked.
    """

    id: Identifier
    type: str = Field(min_length=1, max_length=200)
    name: str = ""
    description: str = ""
    topics: Annotated[tuple[TopicPattern, ...], Field(strict=False)] = (DEFAULT_TOPIC,)
    properties: Properties = Field(default_factory=dict)
    dependencies: dict[str, str] = Field(default_factory=dict)
    replicas: int = Field(default=1, ge=1, le=1024)
    concurrency: int = Field(default=16, ge=1, le=2048)
    timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    lease_s: Annotated[float, Field(ge=1, le=3600)] = 12.0
    only_when_tagged: bool = False
    ordered_by: str | None = Field(default=None, min_length=1, max_length=100)
    partitions: int = Field(default=1, ge=1, le=MOST_PARTITIONS)
    output_topic: Topic | None = None
    answers: Literal["everyone", "requester"] = "everyone"
    retry: RetrySpec = RetrySpec()
    restart: RestartSpec = RestartSpec()

    @model_validator(mode="after")
    def _splits_what_is_ordered(self) -> Self:
        is_split = not holds_reference(self.partitions) and self.partitions > 1
        if is_split and self.ordered_by is None:
            raise ValueError("'partitions' split what is ordered: set 'ordered_by', too")
        return self

    @model_validator(mode="after")
    def _answers_somewhere(self) -> Self:
        if self.answers == "requester" and self.output_topic is not None:
            raise ValueError(
                "'answers: requester' sends nothing to an 'output_topic': take one of the two out"
            )
        return self


class ResourceSpec(TypedPart):
    """Something that agents share: opened when first needed, closed with its last user."""

    type: str = Field(min_length=1, max_length=200)
    properties: Properties = Field(default_factory=dict)


class RouteSpec(Part):
    """Sends what an agent gives to a further topic.

    `when` and `transform` are JMESPath expressions over the message's fields; `_envelope` holds
    the facts of what the agent handled: id, topic, sender, conversation, attempt, hops, tags.

    Attributes:
        from_agent: id of the agent; None for any.
        message: wire name or class name of what it gives.
        to: a topic that somebody listens to.
        when: only if this is truthy.
        transform: makes the fields of the message that is sent instead.
        into: type of the transformed message; None for the same one.
    """

    from_agent: Identifier | None = Field(default=None, alias="from")
    message: str = Field(min_length=1)
    to: Topic
    when: ExpressionText | None = None
    transform: ExpressionText | None = None
    into: str | None = None


class ScheduleSpec(Part):
    """Publishes a message again and again: once each time, however many processes run the guild.

    When it fires next is stored on the bus. A schedule that is changed begins anew.

    Attributes:
        cron: when, as minute, hour, day of the month, month and day of the week.
        every_s: how often instead, from when the guild first runs with it.
        timezone: whose clock `cron` means.
        message: wire name or class name of what is published.
        data: the fields of the message.
        missed: what happens to times that passed while nobody ran the guild, which is to say over
            a minute ago or before the latest one: `once` publishes one message for all of them,
            `skip` none.
    """

    id: Identifier
    cron: Cron | None = None
    every_s: Annotated[float, Field(ge=1, le=366 * 86_400, allow_inf_nan=False)] | None = None
    timezone: TimeZone = "UTC"
    topic: Topic = DEFAULT_TOPIC
    message: str = Field(min_length=1)
    data: Properties = Field(default_factory=dict)
    missed: Literal["once", "skip"] = "once"

    @model_validator(mode="after")
    def _has_one_rhythm(self) -> Self:
        if (self.cron is None) == (self.every_s is None):
            raise ValueError("a schedule needs either 'cron' or 'every_s'")
        return self


class EngineSpec(Part):
    """Where agents run."""

    type: str = "inprocess"
    properties: Properties = Field(default_factory=dict)


class GuildSpec(Part):
    """A guild: agents, what they share, and how messages travel between them.

    Attributes:
        bus: URL of the bus, `embedded` for a private server, `memory://` for this process alone;
            options may follow a question mark: `redis://host/0?profile=durable`.
        topics: topics that only the outside listens to, so that routes may lead there.
        ends: message types that may go unhandled.
        neighbours: other guilds that its agents may send to, each with the URL of its bus.
        drain_s: how long closing waits for work in hand before it is given back.
    """

    id: Identifier
    name: str = ""
    description: str = ""
    bus: str = Field(default=DEFAULT_BUS, min_length=1)
    engine: EngineSpec = EngineSpec()
    resources: dict[str, ResourceSpec] = Field(default_factory=dict)
    agents: Annotated[tuple[AgentSpec, ...], Field(strict=False)] = ()
    routes: Annotated[tuple[RouteSpec, ...], Field(strict=False)] = ()
    schedules: Annotated[tuple[ScheduleSpec, ...], Field(strict=False)] = ()
    topics: Annotated[tuple[Topic, ...], Field(strict=False)] = ()
    ends: Names = ()
    neighbours: dict[Identifier, Annotated[str, Field(min_length=1)]] = Field(default_factory=dict)
    drain_s: Seconds = 10.0

    _source: Source = PrivateAttr(default_factory=Source)

    def as_data(self) -> dict[str, Any]:
        """It as plain data with the keys of YAML; what has its default is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    @property
    def source(self) -> Source:
        """Where its parts stand in the text it was read from."""
        return self._source

    @staticmethod
    def is_resolved_late(path: Path) -> bool:
        """Whether what stands at `path` keeps its references until it is used."""
        if path[-1:] == ("properties",):
            return len(path) == (2 if path[0] == "engine" else 3)
        return path in (("bus",), ("neighbours",))

    def replaced(self, data: dict[str, Any]) -> Self:
        """The spec that `data` says of the same parts, read from where this one was."""
        spec = self.model_validate(data)
        agents = [new.giving(old.given) for new, old in zip(spec.agents, self.agents, strict=True)]
        resources = {
            name: resource.giving(self.resources[name].given)
            for name, resource in spec.resources.items()
        }
        parts = {"agents": tuple(agents), "resources": resources}
        return spec.model_copy(update=parts).located(self._source)

    def located(self, source: Source) -> Self:
        """The same spec, knowing where it was read."""
        copy = self.model_copy()
        copy._source = source  # noqa: SLF001 - a copy of our own
        return copy
