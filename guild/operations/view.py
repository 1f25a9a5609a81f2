"""What a read returns: frozen data that is written as JSON, and whose schema can be told."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version

from pydantic import BaseModel, ConfigDict

from guild.checking.graph import Graph
from guild.checking.plan import Plan
from messaging.backend import TopicInfo


class View(BaseModel):
    """One thing that an operator reads of a guild."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AgentNode(View):
    """One agent of the spec."""

    id: str
    type: str
    name: str
    topics: tuple[str, ...]
    replicas: int


class MessageEdge(View):
    """A message on its way from one agent to another; see `guild.checking.graph.Edge`."""

    source: str
    target: str
    message: str
    kind: str


class GraphReport(View):
    nodes: tuple[AgentNode, ...]
    edges: tuple[MessageEdge, ...]


def report_of(graph: Graph) -> GraphReport:
    return GraphReport(
        nodes=tuple(AgentNode(**node._asdict()) for node in graph.nodes),
        edges=tuple(MessageEdge(**edge._asdict()) for edge in graph.edges),
    )


class GuildOverview(View):
    """A guild as its spec declares it.

    Attributes:
        spec: the file that it was read from, as it was named then; "" for none.
        agents: how many there are in the spec.
        warnings: what is odd about its wiring, a line each.
        version: of guildbus, in this process.
    """

    id: str
    name: str
    description: str
    spec: str
    agents: int
    warnings: tuple[str, ...]
    version: str


def overview_of(plan: Plan) -> GuildOverview:
    spec = plan.spec
    return GuildOverview(
        id=spec.id,
        name=spec.name,
        spec="" if spec.source.file.startswith("<") else spec.source.file,
        description=spec.description,
        agents=len(spec.agents),
        warnings=plan.warnings,
        version=version("guildbus"),
    )


class TopicReport(View):
    """One topic.

    Attributes:
        entries: that it holds, settled ones that were not trimmed yet included.
        waiting: by agent, messages that no replica was lent yet.
        in_hand: by agent, messages that were lent and not settled.
        oldest_s: by agent, for how long the oldest message that it has not settled has been there.
    """

    topic: str
    entries: int
    waiting: Mapping[str, int]
    in_hand: Mapping[str, int]
    oldest_s: Mapping[str, float]

    @property
    def owed(self) -> Mapping[str, int]:
        """By agent that has something to do, lent or not."""
        owed = {name: count + self.in_hand.get(name, 0) for name, count in self.waiting.items()}
        return {name: count for name, count in owed.items() if count}


def reports_of(topics: Sequence[TopicInfo]) -> Sequence[TopicReport]:
    return [
        TopicReport(
            topic=info.topic,
            entries=info.entries,
            waiting=dict(info.waiting),
            in_hand=dict(info.pending),
            oldest_s=dict(info.oldest_s),
        )
        for info in topics
    ]
