"""Everything that must be right before a guild starts, checked at once."""

import inspect
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pydantic import BaseModel, ValidationError

from guild.agent import Agent
from guild.engines import ENGINES
from guild.errors import Path, Problem, SpecError, UnknownAgentTypeError, WiringError
from guild.events import EVENTS
from guild.graph import Graph, graph_of
from guild.parts import Parts
from guild.progress import Progress, TextDelta
from guild.references import resolve_gently
from guild.registry import AgentClass, Registry, ResourceFactory, check_installed
from guild.resources import properties_class_of
from guild.source import Finding
from guild.spec import AgentSpec, GuildSpec, ResourceSpec
from guild.suggest import closest
from guild.validation import findings_of
from guild.wiring import Wires, wiring_errors, wiring_warnings
from messaging.errors import WireNameConflictError
from messaging.failure import Cancelled, RequestFailed
from messaging.message import MessageRegistry

ALWAYS_KNOWN = (*EVENTS, Progress, TextDelta, RequestFailed, Cancelled)


@dataclass
class Inspection:
    """What looking closely at the parts of a spec has shown."""

    parts: Parts
    registry: Registry
    environ: Mapping[str, str]
    classes: dict[int, AgentClass] = field(default_factory=dict)
    factories: dict[str, ResourceFactory] = field(default_factory=dict)
    messages: MessageRegistry = field(default_factory=lambda: MessageRegistry(*ALWAYS_KNOWN))
    errors: list[Finding] = field(default_factory=list)
    wiring: list[Finding] = field(default_factory=list)

    @property
    def wires(self) -> Wires:
        return Wires(self.parts, self.classes, self.messages)


@dataclass(frozen=True)
class Plan:
    """A spec that was checked, with the classes behind its names.

    Attributes:
        agents: agent classes by agent id.
        factories: resource factories by resource name.
        messages: every message class that may travel.
        warnings: what is odd, though it may be meant; one line each.
        graph: who sends what to whom.
        environ: where references are looked up.
    """

    spec: GuildSpec
    agents: Mapping[str, AgentClass]
    factories: Mapping[str, ResourceFactory]
    messages: MessageRegistry
    warnings: tuple[str, ...]
    graph: Graph
    environ: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(
        cls,
        spec: GuildSpec,
        registry: Registry | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> "Plan":
        """Check `spec`. Nothing is started and no heavy package is imported.

        Raises:
            SpecError: everything that is wrong; a `WiringError` when only the wiring is.
        """
        seen = inspect_parts(Parts.of(spec), registry, environ)
        problems = [spec.source.problem(finding) for finding in (*seen.errors, *seen.wiring)]
        if problems:
            raise SpecError(problems) if seen.errors else WiringError(problems)
        warnings = [str(spec.source.problem(finding)) for finding in wiring_warnings(seen.wires)]
        return cls(
            spec=spec,
            agents={agent.id: seen.classes[index] for index, agent in enumerate(spec.agents)},
            factories=seen.factories,
            messages=seen.messages,
            warnings=tuple(warnings),
            graph=graph_of(seen.wires),
            environ=seen.environ,
        )

    def agent_properties(self, index: int) -> BaseModel:
        """What the agent at `index` is set to, every reference and secret resolved.

        Raises:
            SpecError: a secret is not there, or does not fit its place.
        """
        agent = self.spec.agents[index]
        model = self.agents[agent.id].properties_class
        return self._properties(model, agent.properties, ("agents", index, "properties"))

    def resource_properties(self, name: str) -> BaseModel:
        """As `agent_properties`, for the resource `name`."""
        model = properties_class_of(self.factories[name])
        given = self.spec.resources[name].properties
        return self._properties(model, given, ("resources", name, "properties"))

    def check_startable(self) -> None:
        """Pass when packages and secrets are here that agents and resources need.

        Raises:
            MissingExtraError: names the agent, its line in the spec and the command to run.
            SpecError: every secret that is not there, or does not fit its place.
        """
        self.check_installed()
        problems: list[Problem] = []
        reads = [partial(self.agent_properties, index) for index in range(len(self.spec.agents))]
        reads += [partial(self.resource_properties, name) for name in self.factories]
        for read in reads:
            try:
                read()
            except SpecError as error:
                problems += error.problems
        if problems:
            raise SpecError(problems)

    def check_installed(self) -> None:
        """Pass when every package that an agent or resource needs is installed here.

        Raises:
            MissingExtraError: names the agent, its line in the spec and the command to run.
        """
        source = self.spec.source
        for index, agent in enumerate(self.spec.agents):
            place = source.place(("agents", index))
            check_installed(self.agents[agent.id], f"agent {agent.id!r}", place)
        for name, factory in self.factories.items():
            place = source.place(("resources", name))
            check_installed(factory, f"resource {name!r}", place)

    def _properties(
        self, model: type[BaseModel], given: Mapping[str, Any], path: Path
    ) -> BaseModel:
        resolved = resolve_gently(dict(given), environ=self.environ, path=path, with_secrets=True)
        findings = list(resolved.findings)
        if not findings:
            try:
                return model.model_validate(resolved.value)
            except ValidationError as error:
                findings = list(findings_of(error, model, path))
        # The cause is left out: what pydantic says may repeat the secret.
        raise SpecError([self.spec.source.problem(finding) for finding in findings]) from None


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
    for name, resource in parts.resources.items():
        seen.errors += _resource(seen, name, resource)
    for index, agent in parts.agents.items():
        seen.errors += _agent(seen, index, agent)
    seen.wiring += wiring_errors(seen.wires)
    return seen


def _twice(parts: Parts) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for index, agent in parts.agents.items():
        if agent.id in first:
            text = f"the id {agent.id!r} is taken by agents[{first[agent.id]}]"
            yield Finding(("agents", index, "id"), text)
        first.setdefault(agent.id, index)


def _resource(seen: Inspection, name: str, resource: ResourceSpec) -> Iterator[Finding]:
    path: Path = ("resources", name)
    try:
        factory = seen.registry.resource_factory(resource.type)
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
    try:
        agent_class = seen.registry.agent_class(agent.type)
    except UnknownAgentTypeError as error:
        yield Finding((*path, "type"), error.text, error.suggestion)
        return
    seen.classes[index] = agent_class
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


def _properties(
    seen: Inspection, model: type[BaseModel], properties: Mapping[str, Any], path: Path
) -> Iterator[Finding]:
    path = (*path, "properties")
    resolved = resolve_gently(dict(properties), environ=seen.environ, path=path)
    yield from resolved.findings
    unknown = {finding.path for finding in resolved.findings} | resolved.secret_paths
    try:
        model.model_validate(resolved.value)
    except ValidationError as error:
        for finding in findings_of(error, model, path):
            # What a reference stands for is only known where it leads somewhere.
            if not any(finding.path[: len(place)] == place for place in unknown):
                yield finding


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


def injected_parameters(agent_class: type[Agent[Any]]) -> dict[str, bool]:
    """The resources that an agent's constructor takes, and whether it needs each."""
    parameters = inspect.signature(agent_class).parameters.values()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {
        parameter.name: parameter.default is parameter.empty
        for parameter in parameters
        if parameter.name != "properties" and parameter.kind in named
    }
