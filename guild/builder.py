"""Builds guild specs in Python, step by step: the same specs that YAML makes.

As in YAML, a number may come as a reference: `set_replicas("${REPLICAS:-2}")`.
"""

import json
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, Generic, Self

from pydantic import BaseModel, ValidationError

from guild.agent.agent import Agent, Props
from guild.agent.registry import RESOURCES, ResourceFactory, type_name_of
from guild.checking.loader import load_file, load_json, load_yaml
from guild.checking.validation import validated
from guild.errors import GuildError
from guild.runtime import Guild
from guild.spec.spec import AgentSpec, GuildSpec, RouteSpec
from messaging.wire.message import wire_type_of
from messaging.wire.topic import DEFAULT_TOPIC


class AgentBuilder(Generic[Props]):
    """Describes one agent of a guild.

    Args:
        agent_class: any agent class; it need not be registered.
    """

    def __init__(self, agent_class: type[Agent[Props]]) -> None:
        self._agent_class = agent_class
        self._fields: dict[str, Any] = {"type": type_name_of(agent_class)}
        self._topics: list[str] = []
        self._hears_default = True

    def set_id(self, agent_id: str) -> Self:
        return self._set("id", agent_id)

    def set_name(self, name: str) -> Self:
        return self._set("name", name)

    def set_description(self, description: str) -> Self:
        return self._set("description", description)

    def set_properties(self, properties: Props | Mapping[str, Any]) -> Self:
        """Set the agent up; a mapping may hold references such as `${env:HF_TOKEN}`.

        Raises:
            GuildError: a model whose values a spec cannot hold, such as a secret.
        """
        return self._set("properties", _plain(properties))

    def add_additional_topic(self, topic: str) -> Self:
        """Listen to `topic`, a topic or pattern, too."""
        self._topics.append(topic)
        return self

    def listen_to_default_topic(self, listens: bool = True) -> Self:
        """Whether it listens to `default_topic`, which it does unless told otherwise."""
        self._hears_default = listens
        return self

    def act_only_when_tagged(self, only_when_tagged: bool | str = True) -> Self:
        """Handle only messages that are addressed to this agent by tag."""
        return self._set("only_when_tagged", only_when_tagged)

    def set_order(self, ordered_by: str = "key", *, partitions: int | str = 1) -> Self:
        """Handle equals one after the other: of the key they came with, or of this field.

        Args:
            ordered_by: `key`, or a field of the messages.
            partitions: how many replicas can work at the same time.
        """
        if partitions != 1:
            self._set("partitions", partitions)
        return self._set("ordered_by", ordered_by)

    def set_dependency_map(self, dependencies: Mapping[str, str]) -> Self:
        """Name the guild's resource for each parameter of the constructor that needs another."""
        return self._set("dependencies", dict(dependencies))

    def set_replicas(self, replicas: int | str) -> Self:
        return self._set("replicas", replicas)

    def set_concurrency(self, concurrency: int | str) -> Self:
        return self._set("concurrency", concurrency)

    def set_timeout(self, timeout_s: float | str) -> Self:
        return self._set("timeout_s", timeout_s)

    def set_lease(self, lease_s: float | str) -> Self:
        """How long a process may be silent before the others take its messages over."""
        return self._set("lease_s", lease_s)

    def set_output_topic(self, topic: str) -> Self:
        return self._set("output_topic", topic)

    def answer_only_requesters(self, only_requesters: bool = True) -> Self:
        """Send an answer that nobody asked for nowhere, unless a route does."""
        return self._set("answers", "requester" if only_requesters else "everyone")

    def set_retry(self, **retry: float | str) -> Self:
        """Set what differs from the defaults of `RetrySpec`."""
        return self._set("retry", retry)

    def set_restart(self, **restart: str | float) -> Self:
        """Set what differs from the defaults of `RestartSpec`."""
        return self._set("restart", restart)

    def build_spec(self) -> AgentSpec:
        """The agent's spec.

        Raises:
            SpecError: everything that is wrong with it.
        """
        default = [DEFAULT_TOPIC] if self._hears_default else []
        topics = list(dict.fromkeys([*default, *self._topics]))
        spec = validated(AgentSpec, {**self._fields, "topics": topics})
        return spec.giving(self._agent_class)

    def _set(self, field: str, value: Any) -> Self:
        self._fields[field] = value
        return self


class RouteBuilder:
    """Describes one route: what an agent gives, sent to a further topic.

    Args:
        from_agent: id, or spec, of the agent; None for any.
    """

    def __init__(self, from_agent: AgentSpec | str | None = None) -> None:
        self._fields: dict[str, Any] = {}
        if from_agent is not None:
            self.from_agent(from_agent)

    def from_agent(self, agent: AgentSpec | str) -> Self:
        return self._set("from", agent if isinstance(agent, str) else agent.id)

    def on_message(self, message: type[BaseModel] | str) -> Self:
        """Which of its messages: a class, or its wire name."""
        return self._set("message", _message_name(message))

    def to(self, topic: str) -> Self:
        return self._set("to", topic)

    def when(self, expression: str) -> Self:
        """Only if this JMESPath expression over the message is truthy."""
        return self._set("when", expression)

    def transform(self, expression: str, into: type[BaseModel] | str | None = None) -> Self:
        """Send what this JMESPath expression makes of the message, as the type `into`."""
        self._set("transform", expression)
        return self if into is None else self._set("into", _message_name(into))

    def build_spec(self) -> RouteSpec:
        """The route's spec.

        Raises:
            SpecError: everything that is wrong with it.
        """
        return validated(RouteSpec, self._fields)

    def _set(self, field: str, value: Any) -> Self:
        self._fields[field] = value
        return self


class GuildBuilder:
    """Describes a guild.

    Args:
        guild_id: letters, digits, _ and -; guilds on one server are kept apart by it.
        guild_name: for people.
        guild_description: for people.
    """

    def __init__(self, guild_id: str, guild_name: str = "", guild_description: str = "") -> None:
        self._base: GuildSpec | None = None
        self._fields: dict[str, Any] = {
            "id": guild_id,
            "name": guild_name,
            "description": guild_description,
        }
        self._agents: list[AgentSpec] = []
        self._routes: list[RouteSpec] = []
        self._resources: dict[str, Any] = {}
        self._factories: dict[str, ResourceFactory] = {}

    @classmethod
    def from_spec(cls, spec: GuildSpec) -> Self:
        """A builder that goes on from `spec`."""
        builder = cls(spec.id)
        builder._base = spec
        builder._fields = {name: getattr(spec, name) for name in GuildSpec.model_fields}
        builder._agents = list(builder._fields.pop("agents"))
        builder._routes = list(builder._fields.pop("routes"))
        builder._resources = dict(builder._fields.pop("resources"))
        return builder

    @classmethod
    def from_yaml_file(cls, path: str | FilePath, *, allow: tuple[str, ...] = ()) -> Self:
        """A builder that goes on from the spec in a file, `.json` files included.

        Args:
            path: the file.
            allow: packages whose classes the spec may name by dotted path, also when it is
                launched.

        Raises:
            SpecError: everything wrong with it, each problem with file, line and column.
        """
        return cls.from_spec(load_file(path, allow=allow))

    @classmethod
    def from_yaml(cls, text: str, *, allow: tuple[str, ...] = ()) -> Self:
        """As `from_yaml_file`, from text."""
        return cls.from_spec(load_yaml(text, allow=allow))

    @classmethod
    def from_json(cls, text: str, *, allow: tuple[str, ...] = ()) -> Self:
        """As `from_yaml`, from JSON."""
        return cls.from_spec(load_json(text, allow=allow))

    def set_name(self, name: str) -> Self:
        return self._set("name", name)

    def set_description(self, description: str) -> Self:
        return self._set("description", description)

    def set_messaging(self, url: str) -> Self:
        """Choose the bus: `embedded`, `memory://`, `redis://…`, `rediss://…`, `unix://…`."""
        return self._set("bus", url)

    def set_execution_engine(
        self, engine: str, properties: Mapping[str, Any] | None = None
    ) -> Self:
        """Choose where agents run: `inprocess`."""
        return self._set("engine", {"type": engine, "properties": dict(properties or {})})

    def set_drain(self, drain_s: float | str) -> Self:
        """How long closing waits for work in hand."""
        return self._set("drain_s", drain_s)

    def add_agent_spec(self, agent: AgentSpec) -> Self:
        self._agents.append(agent)
        return self

    def add_route(self, route: RouteSpec | RouteBuilder) -> Self:
        self._routes.append(route.build_spec() if isinstance(route, RouteBuilder) else route)
        return self

    def add_resource(
        self,
        name: str,
        resource: str | ResourceFactory,
        properties: BaseModel | Mapping[str, Any] | None = None,
    ) -> Self:
        """Share something between agents under `name`.

        Args:
            name: what agents ask for.
            resource: a registered type, or any factory of async context managers.
            properties: what the factory is called with.
        """
        self._factories.pop(name, None)
        if isinstance(resource, str):
            type_name = resource
        else:
            type_name, self._factories[name] = type_name_of(resource, RESOURCES), resource
        self._resources[name] = {"type": type_name, "properties": _plain(properties or {})}
        return self

    def add_schedule(
        self,
        schedule_id: str,
        message: BaseModel | type[BaseModel] | str,
        *,
        topic: str = DEFAULT_TOPIC,
        cron: str | None = None,
        every_s: float | str | None = None,
        **options: Any,
    ) -> Self:
        """Publish `message` at the times of `cron`, or every `every_s` seconds.

        Args:
            schedule_id: its name in the guild.
            message: the message itself, or its type, whose fields then come as `data=`.
            topic: where to.
            cron: minute, hour, day of the month, month, day of the week.
            every_s: how often instead.
            options: what differs from the defaults of `ScheduleSpec`.
        """
        if isinstance(message, BaseModel):
            options["data"] = _fields_of(message)
            message = type(message)
        schedule = {
            "id": schedule_id,
            "message": _message_name(message),
            "topic": topic,
            "cron": cron,
            "every_s": every_s,
            **options,
        }
        return self._set("schedules", (*self._fields.get("schedules", ()), schedule))

    def add_topic(self, topic: str) -> Self:
        """Declare a topic that only the outside listens to."""
        return self._set("topics", (*self._fields.get("topics", ()), topic))

    def add_neighbour(self, guild_id: str, bus: str) -> Self:
        """Let the agents send to another guild, whose bus is at the URL `bus`."""
        return self._set("neighbours", {**self._fields.get("neighbours", {}), guild_id: bus})

    def add_end(self, message: type[BaseModel] | str) -> Self:
        """Say that nobody in the guild needs to handle this type."""
        return self._set("ends", (*self._fields.get("ends", ()), _message_name(message)))

    def build_spec(self) -> GuildSpec:
        """The guild's spec; whether its parts fit together is checked when it is launched.

        Raises:
            SpecError: everything that is wrong with it.
        """
        fields = {
            **self._fields,
            "agents": self._agents,
            "routes": self._routes,
            "resources": self._resources,
        }
        spec = validated(GuildSpec, fields)
        given = {
            name: spec.resources[name].giving(self._factories[name]) for name in self._factories
        }
        spec = spec.model_copy(update={"resources": {**spec.resources, **given}})
        return spec if self._base is None else spec.located(self._base.source)

    def launch(self, **options: Any) -> Guild:
        """`Guild.launch` of the spec, to be used with `async with`."""
        return Guild.launch(self.build_spec(), **options)

    def _set(self, field: str, value: Any) -> Self:
        self._fields[field] = value
        return self


def _message_name(message: type[BaseModel] | str) -> str:
    return message if isinstance(message, str) else wire_type_of(message).name


def _fields_of(message: BaseModel) -> dict[str, Any]:
    """`message` as the data of a schedule, which makes an equal message each time."""
    for by_alias in (False, True):
        data = message.model_dump(mode="json", by_alias=by_alias, round_trip=True, warnings="none")
        try:
            if type(message).model_validate_json(json.dumps(data)) == message:
                return data
        except ValidationError:
            continue
    raise GuildError(
        f"this {type(message).__name__} would be another one after it was written as JSON: give "
        "its class and `data=` instead"
    )


def _plain(properties: BaseModel | Mapping[str, Any]) -> dict[str, Any]:
    """Properties as plain data; only what was set, so that defaults stay the machine's own."""
    if isinstance(properties, Mapping):
        return dict(properties)
    for exclude_unset in (True, False):
        plain = properties.model_dump(mode="json", by_alias=True, exclude_unset=exclude_unset)
        try:
            if type(properties).model_validate(plain) == properties:
                return plain
        except ValidationError:
            continue
    raise GuildError(
        f"{type(properties).__name__} holds values that a spec cannot, such as secrets; pass a "
        'mapping with references instead: {"token": "${env:HF_TOKEN}"}'
    )
