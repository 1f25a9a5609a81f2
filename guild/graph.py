"""Who sends what to whom, read from the contracts of a guild's agents."""

from typing import NamedTuple

from guild.contracts import reader_of
from guild.wiring import Wires
from messaging.message import wire_type_of

OUTSIDE = "outside"


class Node(NamedTuple):
    """One agent."""

    id: str
    type: str
    name: str
    topics: tuple[str, ...]
    replicas: int


class Edge(NamedTuple):
    """A message on its way from one agent to another; `outside` is everybody else.

    Attributes:
        kind: `request` from outside, `send` of an agent's own accord, `reply`, or `route`.
    """

    source: str
    target: str
    message: str
    kind: str


class Graph(NamedTuple):
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def graph_of(wires: Wires) -> Graph:
    """The agents of a guild and the messages between them, in the order of the spec."""
    nodes = tuple(
        Node(agent.id, agent.type, agent.name, agent.topics, agent.replicas)
        for agent in wires.parts.agents.values()
    )
    edges = [*_sends(wires), *_requests(wires), *_routes(wires)]
    return Graph(nodes, tuple(dict.fromkeys(edges)))


def _sends(wires: Wires) -> list[Edge]:
    agents, edges = wires.parts.agents, []
    for sender, contract in wires.contracts():
        wanted = wires.classes[sender].accepted()
        for message in contract.sends:
            for receiver in wires.handlers(message):
                one, other = agents[sender].id, agents[receiver].id
                handled = wires.classes[receiver].accepted()
                answers = handled[reader_of(handled, message) or message].returns
                edges.append(Edge(one, other, str(wire_type_of(message)), "send"))
                edges += [
                    Edge(other, one, str(wire_type_of(answer)), "reply")
                    for answer in answers
                    if reader_of(wanted, answer)
                ]
    return edges


def _requests(wires: Wires) -> list[Edge]:
    """What nobody inside sends must come from outside, and is answered there."""
    given = {message for index in wires.classes for message in wires.gives(index)}
    results = map(wires.result_of, wires.parts.routes.values())
    given |= {message for message in results if message is not None}
    edges = []
    for index, contract in wires.contracts():
        agent = wires.parts.agents[index].id
        asked = [
            message
            for message in contract.accepts
            if not any(reader_of((message,), each) for each in given)
        ]
        edges += [Edge(OUTSIDE, agent, str(wire_type_of(m)), "request") for m in asked]
        answers = (*(contract.returns if asked else ()), *contract.answers)
        edges += [Edge(agent, OUTSIDE, str(wire_type_of(m)), "reply") for m in answers]
    return edges


def _routes(wires: Wires) -> list[Edge]:
    agents, edges = wires.parts.agents, []
    for route in wires.parts.routes.values():
        targets = [agents[index].id for index in wires.targets(route)]
        targets += [OUTSIDE] if wires.leads_outside(route) else []
        given = wires.messages.find(route.message)
        sources = [
            agents[index].id
            for index in wires.classes
            if route.from_agent in (None, agents[index].id) and given in wires.gives(index)
        ]
        name = route.into or route.message
        edges += [Edge(one, other, name, "route") for one in sources for other in targets]
    return edges
