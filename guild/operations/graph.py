"""Who sends what to whom, as data; see `guild.checking.graph`."""

from guild.checking.graph import Graph
from guild.operations.view import View


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
