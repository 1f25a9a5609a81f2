"""Looks behind the names of a spec, at classes, properties, resources and wiring."""

import inspect
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from guild.agent.agent import Agent
from guild.agent.registry import AgentClass, Registry, ResourceFactory
from guild.agent.resources import properties_class_of
from guild.agent.route_again import RouteAgain
from guild.agent.traits import Traits
from guild.approvals import APPROVAL_EVENTS
from guild.checking.parts import UNREADABLE, Parts
from guild.checking.trait_checks import asking, desk_errors, traits_of_agents
from guild.checking.validation import findings_of
from guild.checking.wiring import Wires, wiring_errors
from guild.errors import Path, UnknownAgentTypeError, dotted
from guild.events import EVENTS
from guild.progress import Measured, Progress, TextDelta
from guild.spec.references import resolve_gently
from guild.spec.source import Finding
from guild.spec.spec import ENGINES, AgentSpec, ResourceSpec
from guild.suggest import closest
from messaging.errors import BackendSetupError, WireNameConflictError
from messaging.handling.ordering_key import BY_KEY
from messaging.wire.message import MessageRegistry
from messaging.wire.replies import Cancelled, RequestFailed

ALWAYS_KNOWN = (
    *EVENTS,
    *APPROVAL_EVENTS,
    Progress,
    Measured,
    TextDelta,
    RequestFailed,
    Cancelled,
    RouteAgain,
)


_PLAIN = ("memory", "memory://", "embedded")
_PASSWORD = re.compile(r"(?<=:)\$\{(env|file):[^{}]*\}(?=@)")  # whatever it is, it may stand there


@dataclass
class Inspection:
    """What looking closely at the parts of a spec has shown.

    Attributes:
        properties: those that can be read, by the path of their agent or resource.
        traits: of the agents, by place in their list, as far as they can be told.
    """

    parts: Parts
    registry: Registry
    environ: Mapping[str, str]
    classes: dict[int, AgentClass] = field(default_factory=dict)
    factories: dict[str, ResourceFactory] = field(default_factory=dict)
    properties: dict[Path, BaseModel] = field(default_factory=dict)
    traits: Mapping[int, Traits] = field(default_factory=dict)
    messages: MessageRegistry = field(default_factory=lambda: MessageRegistry(*ALWAYS_KNOWN))
    errors: list[Finding] = field(default_factory=list)
    wiring: list[Finding] = field(default_factory=list)

    @property
    def wires(self) -> Wires:
        own = ((index, self.properties.get(("agents", index))) for index in self.classes)
        asks = {index: asking(properties) for index, properties in own if properties is not None}
        return Wires(self.parts, self.classes, self.messages, asks)


def inspect_parts(
    parts: Parts, registry: Registry | None = None, environ: Mapping[str, str] | None = None
) -> Inspection:
    """Look behind the names in `parts`: classes, properties, resources, wiring."""
    seen = Inspection(parts, registry or Registry(), os.environ if environ is None else environ)
    seen.errors += _twice(parts)
    if parts.engine.type not in ENGINES:
        hint = closest(parts.engine.type, ENGINES)
        text = f"unknown engine {parts.engine.type!r}; there are: {', '.join(ENGINES)}"
        seen.errors.append(Finding(("engine", "type"), text, hint))
    for path, url in parts.buses.items():
        seen.errors += _bus(seen, url, path)
    for name, resource in parts.resources.items():
        seen.errors += _resource(seen, name, resource)
    for index, agent in parts.agents.items():
        seen.errors += _agent(seen, index, agent)
    used = {index: _used(seen, index) for index in seen.classes}
    seen.traits, dangers = traits_of_agents(seen.wires, seen.properties, seen.factories, used)
    seen.errors += dangers
    seen.wiring += desk_errors(seen.wires)
    seen.wiring += wiring_errors(seen.wires)
    return seen


def _bus(seen: Inspection, written: str, path: Path) -> Iterator[Finding]:
    """What is wrong with the URL of a bus, as far as it is known here."""
    resolved = resolve_gently(_PASSWORD.sub("x", written), environ=seen.environ, path=path)
    url = str(resolved.value)
    if resolved.unknown or url in _PLAIN:  # it may be set elsewhere, or overruled by --bus
        return
    from messaging.backends.urls import check_url  # noqa: PLC0415 - 200 ms that few specs need

    try:
        check_url(url)
    except BackendSetupError as error:
        origin = f" (from {written})" if "${" in written else ""
        yield Finding(path, f"{dotted(path)}: {error}{origin}")


def _twice(parts: Parts) -> Iterator[Finding]:
    for kind, named in (("agents", parts.agents), ("schedules", parts.schedules)):
        first: dict[str, int] = {}
        for index, part in named.items():
            if part.id == UNREADABLE:
                continue
            if part.id in first:
                text = f"the id {part.id!r} is taken by {kind}[{first[part.id]}]"
                yield Finding((kind, index, "id"), text)
            first.setdefault(part.id, index)


def _resource(seen: Inspection, name: str, resource: ResourceSpec) -> Iterator[Finding]:
    path: Path = ("resources", name)
    if resource.type == UNREADABLE:
        return
    try:
        factory = seen.registry.resource_factory(resource.type, resource.given)
        model = properties_class_of(factory)
    except UnknownAgentTypeError as error:
        yield Finding((*path, "type"), error.text, error.suggestion)
    except TypeError as error:
        yield Finding((*path, "type"), str(error))
    else:
        seen.factories[name] = factory
        yield from _properties(seen, model, resource.properties, path)


def _agent(seen: Inspection, index: int, agent: AgentSpec) -> Iterator[Finding]:
    path: Path = ("agents", index)
    if agent.type == UNREADABLE:
        return
    try:
        agent_class = seen.registry.agent_class(agent.type, agent.given)
    except UnknownAgentTypeError as error:
        yield Finding((*path, "type"), error.text, error.suggestion)
        return
    seen.classes[index] = agent_class
    yield from _order(agent, agent_class, path)
    yield from _properties(seen, agent_class.properties_class, agent.properties, path)
    yield from _dependencies(seen, agent, agent_class, path)
    for contract in agent_class.contracts.values():
        for message in (*contract.accepts, *contract.returns, *contract.sends, *contract.answers):
            try:
                seen.messages.add(message)
            except WireNameConflictError as error:
                yield Finding((*path, "type"), str(error))
        for message in contract.emits:
            seen.messages.add(message)


def _order(agent: AgentSpec, agent_class: AgentClass, path: Path) -> Iterator[Finding]:
    if agent.ordered_by in (None, BY_KEY):
        return
    fields = {name for message in agent_class.accepted() for name in message.model_fields}
    if agent.ordered_by not in fields:
        text = f"no message that {agent.id!r} handles has a field {agent.ordered_by!r} to order by"
        hint = closest(str(agent.ordered_by), [BY_KEY, *sorted(fields)])
        yield Finding((*path, "ordered_by"), text, hint)


def _properties(
    seen: Inspection, model: type[BaseModel], properties: Mapping[str, Any], path: Path
) -> Iterator[Finding]:
    part, path = path, (*path, "properties")
    given = dict(properties) if isinstance(properties, Mapping) else properties  # a reference
    resolved = resolve_gently(given, environ=seen.environ, path=path)
    yield from resolved.findings
    try:
        seen.properties[part] = model.model_validate(resolved.value)
    except ValidationError as error:
        yield from resolved.explained(findings_of(error, model, path))


def _dependencies(
    seen: Inspection, agent: AgentSpec, agent_class: AgentClass, path: Path
) -> Iterator[Finding]:
    resources = seen.parts.resources
    if not seen.parts.knows_resources:
        return
    for parameter, resource in agent.dependencies.items():
        if resource not in resources:
            text = f"there is no resource {resource!r}"
            yield Finding((*path, "dependencies", parameter), text, closest(resource, resources))
    for parameter, is_needed in injected_parameters(agent_class).items():
        if is_needed and parameter not in agent.dependencies and parameter not in resources:
            text = (
                f"{agent.id!r} needs a resource {parameter!r}: add it under 'resources', or "
                "name another under the agent's 'dependencies'"
            )
            yield Finding(path, text)


def _used(seen: Inspection, index: int) -> Sequence[str]:
    """The resources that an agent takes; what it asks for later is not known."""
    agent = seen.parts.agents[index]
    parameters = (*injected_parameters(seen.classes[index]), *agent.dependencies)
    return [agent.dependencies.get(parameter, parameter) for parameter in parameters]


def injected_parameters(agent_class: type[Agent[Any]]) -> dict[str, bool]:
    """The resources that an agent's constructor takes, and whether it needs each."""
    parameters = inspect.signature(agent_class).parameters.values()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {
        parameter.name: parameter.default is parameter.empty
        for parameter in parameters
        if parameter.name != "properties" and parameter.kind in named
    }
