"""Which agent sends what to which, read from the contracts of a guild's agents."""

from collections.abc import Collection
from typing import NamedTuple

from guild.agent.contracts import HandlerContract, MessageClass, reader_of
from guild.approvals import ApprovalDecision, ApprovalRequest
from guild.checking.wiring import Wires
from messaging.wire.message import wire_type_of
from messaging.wire.replies import Cancelled, RequestFailed

OUTSIDE = "outside"
FROM_THE_BUS: tuple[MessageClass, ...] = (RequestFailed, Cancelled)
"""What comes instead of an answer."""


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
        source: id of an agent, `outside`, or `schedule ID`.
        kind: `request` from outside, `send` of an agent's own accord, `reply`, `output` to the
            agent's output topic, `route`, or `schedule`.
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
    edges = [*_sends(wires), *_approvals(wires), *_requests(wires), *_outputs(wires)]
    edges += [*_routes(wires), *_schedules(wires)]
    return Graph(nodes, tuple(dict.fromkeys(edges)))


def _sends(wires: Wires) -> list[Edge]:
    """What agents send of their own accord, and what comes back into their inboxes."""
    agents, edges = wires.parts.agents, []
    for sender, contract in wires.contracts():
        for message in contract.sends:
            receivers = wires.handlers(message)
            if not receivers and wires.is_ended(message):
                edges.append(Edge(agents[sender].id, OUTSIDE, str(wire_type_of(message)), "send"))
            for receiver in receivers:
                one, other = agents[sender].id, agents[receiver].id
                edges.append(Edge(one, other, str(wire_type_of(message)), "send"))
                edges += [
                    Edge(other, one, str(wire_type_of(answer)), "reply")
                    for answer in _answers(wires, sender, receiver, message)
                ]
    return edges


def _answers(wires: Wires, sender: int, receiver: int, message: MessageClass) -> list[MessageClass]:
    """What the sender of `message` can take of what the receiver, or the bus, answers."""
    wanted, agent = wires.classes[sender].accepted(), wires.classes[receiver]
    handled = agent.accepted()
    returns = handled[reader_of(handled, message) or message].returns
    later = [answer for contract in agent.contracts.values() for answer in contract.answers]
    given = [*returns, *(answer for answer in later if answer not in FROM_THE_BUS), *FROM_THE_BUS]
    return [answer for answer in dict.fromkeys(given) if reader_of(wanted, answer)]


def _approvals(wires: Wires) -> list[Edge]:
    """What agents ask a person first, by their properties and not by their contracts."""
    agents, edges = wires.parts.agents, []
    for index, properties in wires.asks.items():
        for asks in properties.values():
            for desk in _readers(wires, asks.topic, ApprovalRequest):
                asker = agents[index].id
                edges.append(Edge(asker, desk, str(wire_type_of(ApprovalRequest)), "send"))
                edges.append(Edge(desk, asker, str(wire_type_of(ApprovalDecision)), "reply"))
    return edges


def _requests(wires: Wires) -> list[Edge]:
    """What no agent sends must come from outside, and is answered there."""
    given = {message for index in wires.classes for message in wires.gives(index)}
    given |= {*FROM_THE_BUS, ApprovalDecision}  # which comes where the agent asks, if it does
    named = [*(wires.result_of(route) for route in wires.parts.routes.values())]
    named += [wires.messages.find(each.message) for each in wires.parts.schedules.values()]
    given |= {message for message in named if message is not None}
    taken = {message for found in wires.classes.values() for message in found.accepted()}
    edges = []
    for index, agent_class in wires.classes.items():
        agent = wires.parts.agents[index].id
        for contract in agent_class.contracts.values():
            asked = [
                message
                for message in contract.accepts
                if not any(reader_of((message,), each) for each in given)
            ]
            edges += [Edge(OUTSIDE, agent, str(wire_type_of(m)), "request") for m in asked]
            answers = (*(contract.returns if asked else ()), *_answers_outside(taken, contract))
            edges += [Edge(agent, OUTSIDE, str(wire_type_of(m)), "reply") for m in answers]
    return edges


def _answers_outside(
    taken: Collection[MessageClass], contract: HandlerContract
) -> list[MessageClass]:
    """The later answers that no agent takes; what the bus would say goes with any of them."""
    plain = [answer for answer in contract.answers if answer not in FROM_THE_BUS]
    left = [answer for answer in plain if reader_of(taken, answer) is None]
    return [each for each in contract.answers if each in left or (each not in plain and left)]


def _outputs(wires: Wires) -> list[Edge]:
    """What goes to an agent's output topic: what it sends without a topic, and unasked answers."""
    agents, edges = wires.parts.agents, []
    for index, contract in wires.contracts():
        agent = agents[index]
        for message in (*contract.sends, *contract.returns) if agent.output_topic else ():
            targets = _readers(wires, str(agent.output_topic), message)
            name = str(wire_type_of(message))
            edges += [Edge(agent.id, target, name, "output") for target in targets]
    return edges


def _schedules(wires: Wires) -> list[Edge]:
    edges = []
    for schedule in wires.parts.schedules.values():
        message = wires.messages.find(schedule.message)
        targets = _readers(wires, schedule.topic, message)
        source = f"schedule {schedule.id}"
        edges += [Edge(source, target, schedule.message, "schedule") for target in targets]
    return edges


def _readers(wires: Wires, topic: str, message: MessageClass | None) -> list[str]:
    """The agents that take `message` on `topic`, and the outside if it listens there."""
    readers = [wires.parts.agents[index].id for index in wires.readers(topic, message)]
    return [*readers, *([OUTSIDE] if topic in wires.parts.topics else [])]


def _routes(wires: Wires) -> list[Edge]:
    agents, edges = wires.parts.agents, []
    for route in wires.parts.routes.values():
        targets = _readers(wires, route.to, wires.result_of(route))
        given = wires.messages.find(route.message)
        sources = [
            agents[index].id
            for index in wires.classes
            if route.from_agent in (None, agents[index].id) and given in wires.gives(index)
        ]
        name = route.into or route.message
        edges += [Edge(one, other, name, "route") for one in sources for other in targets]
    return edges
