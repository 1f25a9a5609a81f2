"""The well-formed parts of a spec, also of one that is not well-formed as a whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from guild.errors import Path
from guild.spec.spec import AgentSpec, EngineSpec, GuildSpec, ResourceSpec, RouteSpec, ScheduleSpec
from messaging.wire.topic import inbox_of, matches

UNREADABLE = "?"
"""Stands for an id or a type that could not be read. Nothing is called that."""


@dataclass(frozen=True)
class Parts:
    """What of a spec can be checked further; agents, routes and schedules under their place in
    the list.

    Attributes:
        buses: the URLs of the guild's bus and of those of its neighbours, by where they stand.
        knows_agents: whether every agent could be read, so that one not found is really missing.
        knows_topics: the same of everything that is listened to.
        knows_resources: the same of the resources.
        knows_ends: the same of what may go unhandled.
    """

    agents: Mapping[int, AgentSpec]
    routes: Mapping[int, RouteSpec]
    resources: Mapping[str, ResourceSpec]
    schedules: Mapping[int, ScheduleSpec] = field(default_factory=dict)
    topics: Sequence[str] = ()
    ends: Sequence[str] = ()
    engine: EngineSpec = field(default_factory=EngineSpec)
    buses: Mapping[Path, str] = field(default_factory=dict)
    knows_agents: bool = True
    knows_topics: bool = True
    knows_resources: bool = True
    knows_ends: bool = True

    @classmethod
    def of(cls, spec: GuildSpec) -> Self:
        return cls(
            agents=dict(enumerate(spec.agents)),
            routes=dict(enumerate(spec.routes)),
            resources=spec.resources,
            schedules=dict(enumerate(spec.schedules)),
            topics=spec.topics,
            ends=spec.ends,
            engine=spec.engine,
            buses=buses_of(spec),
        )

    def with_code_of(self, spec: GuildSpec) -> Self:
        """The same parts, which were read from `spec`, with the code that it was given."""
        return replace(
            self,
            agents={i: part.giving(spec.agents[i].given) for i, part in self.agents.items()},
            resources={
                name: part.giving(spec.resources[name].given)
                for name, part in self.resources.items()
            },
        )

    @property
    def topics_heard(self) -> set[str]:
        """Topics and patterns that somebody listens to, in the guild or declared outside it."""
        heard = {pattern for agent in self.agents.values() for pattern in agent.topics}
        inboxes = {inbox_of(agent.id) for agent in self.agents.values()}
        return heard | inboxes | set(self.topics)

    @property
    def topics_named(self) -> set[str]:
        """Topics and patterns that the spec names: those heard, and where something is sent to."""
        outputs = {agent.output_topic for agent in self.agents.values() if agent.output_topic}
        scheduled = {schedule.topic for schedule in self.schedules.values()}
        return (
            self.topics_heard | outputs | scheduled | {route.to for route in self.routes.values()}
        )

    def hears(self, topic: str) -> bool:
        """Whether somebody, in the guild or outside it, listens to `topic`."""
        return any(matches(pattern, topic) for pattern in self.topics_heard)


def buses_of(spec: GuildSpec) -> Mapping[Path, str]:
    """The URLs of all buses of a spec, by where they stand."""
    buses: dict[Path, str] = {("bus",): spec.bus}
    if isinstance(spec.neighbours, Mapping):  # and no reference that may be one
        buses |= {("neighbours", name): url for name, url in spec.neighbours.items()}
    return buses


def listens(agent: AgentSpec, topic: str) -> bool:
    """Whether what is published to `topic` reaches `agent`."""
    return any(matches(pattern, topic) for pattern in (*agent.topics, inbox_of(agent.id)))
