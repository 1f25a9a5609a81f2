"""Everything that must be right before a guild starts, checked at once."""

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pydantic import BaseModel, ValidationError

from guild.agent.registry import AgentClass, Registry, ResourceFactory, check_installed
from guild.agent.resources import properties_class_of
from guild.checking.draft import draft_of_spec
from guild.checking.graph import Graph, graph_of
from guild.checking.inspection import injected_parameters, inspect_parts
from guild.checking.loops import loop_warnings
from guild.checking.trait_checks import chain_warnings
from guild.checking.validation import findings_of
from guild.checking.wiring import wiring_warnings
from guild.errors import Path, Problem, SpecError, UnknownAgentError, WiringError
from guild.spec.references import resolve_gently
from guild.spec.spec import AgentSpec, GuildSpec
from messaging.wire.message import MessageRegistry


@dataclass(frozen=True)
class Plan:
    """A spec that was checked, with the classes behind its names.

    Attributes:
        spec: with the values that its references stand for here, as `guild.spec.spec` says.
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
        *,
        allow: Iterable[str] = (),
    ) -> "Plan":
        """Check `spec`. Nothing is started and no heavy package is imported.

        Args:
            spec: what to check.
            registry: where types are found; None for those installed here and those allowed.
            environ: where references are looked up; None for the process's own.
            allow: packages whose classes the spec may name by path, besides those that it was
                allowed when it was loaded.

        Raises:
            SpecError: everything that is wrong; a `WiringError` when only the wiring is.
        """
        environ = os.environ if environ is None else environ
        registry = registry or Registry((*spec.source.allow, *allow))
        draft = draft_of_spec(spec, environ)
        seen = inspect_parts(draft.parts.with_code_of(spec), registry, environ)
        problems = draft.problems(spec.source, seen)
        if problems:
            is_only_wired_wrong = not (draft.findings or seen.errors)
            raise WiringError(problems) if is_only_wired_wrong else SpecError(problems)
        if draft.resolved.written:
            spec = spec.replaced(draft.resolved.value)
        graph = graph_of(seen.wires)
        odd = [
            *wiring_warnings(seen.wires),
            *loop_warnings(seen.wires),
            *chain_warnings(seen.wires, seen.traits, graph),
        ]
        warnings = [str(spec.source.problem(finding)) for finding in odd]
        return cls(
            spec=spec,
            agents={agent.id: seen.classes[index] for index, agent in enumerate(spec.agents)},
            factories=seen.factories,
            messages=seen.messages,
            warnings=tuple(dict.fromkeys(warnings)),
            graph=graph,
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

    def choose(self, only: Collection[str] | None) -> tuple[str, ...]:
        """Ids of the agents that are to work in this process, in the order of the spec.

        Args:
            only: which; None for all of them.

        Raises:
            UnknownAgentError: the spec has no such agent.
            ValueError: it names none.
        """
        ids = [agent.id for agent in self.spec.agents]
        for agent in () if only is None else only:
            if agent not in ids:
                raise UnknownAgentError(self.spec.id, agent, ids)
        chosen = tuple(agent for agent in ids if only is None or agent in only)
        if only is not None and not chosen:
            raise ValueError("`only` names no agent: leave it out to run all of them")
        return chosen

    def check_startable(self, chosen: Collection[str] | None = None) -> None:
        """Pass when packages and secrets are here that the chosen agents and their resources need.

        Args:
            chosen: ids of agents; None for all of them, and every resource.

        Raises:
            MissingExtraError: names the agent, its line in the spec and the command to run.
            SpecError: every secret that is not there, or does not fit its place.
        """
        self.check_installed(chosen)
        problems: list[Problem] = []
        reads = [partial(self.agent_properties, index) for index, _ in self._agents(chosen)]
        reads += [partial(self.resource_properties, name) for name in self._resources(chosen)]
        for read in reads:
            try:
                read()
            except SpecError as error:
                problems += error.problems
        if problems:
            raise SpecError(problems)

    def check_installed(self, chosen: Collection[str] | None = None) -> None:
        """Pass when every package that the chosen agents and their resources need is here.

        Raises:
            MissingExtraError: names the agent, its line in the spec and the command to run.
        """
        source = self.spec.source
        for index, agent in self._agents(chosen):
            place = source.place(("agents", index))
            check_installed(self.agents[agent.id], f"agent {agent.id!r}", place)
        for name in self._resources(chosen):
            place = source.place(("resources", name))
            check_installed(self.factories[name], f"resource {name!r}", place)

    def _agents(self, chosen: Collection[str] | None) -> list[tuple[int, AgentSpec]]:
        agents = enumerate(self.spec.agents)
        return [(at, agent) for at, agent in agents if chosen is None or agent.id in chosen]

    def _resources(self, chosen: Collection[str] | None) -> list[str]:
        """Those that the chosen agents take; what they ask for later is looked at then."""
        if chosen is None:
            return list(self.factories)
        taken = {
            agent.dependencies.get(parameter, parameter)
            for _, agent in self._agents(chosen)
            for parameter in (*injected_parameters(self.agents[agent.id]), *agent.dependencies)
        }
        return [name for name in self.factories if name in taken]

    def _properties(
        self, model: type[BaseModel], given: Mapping[str, Any], path: Path
    ) -> BaseModel:
        resolved = resolve_gently(dict(given), environ=self.environ, path=path, with_secrets=True)
        findings = list(resolved.findings)
        if not findings:
            try:
                return model.model_validate(resolved.value)
            except ValidationError as error:
                findings = list(resolved.explained(findings_of(error, model, path)))
        # The cause is left out: what pydantic says may repeat the secret.
        raise SpecError([self.spec.source.problem(finding) for finding in findings]) from None
