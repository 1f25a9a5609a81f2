"""Refuses agents that hold private data, follow what others write, and have a way out.

`guild.agent.traits` says what each of the three means. Several agents that have all three between
them, with messages that lead from one to the next, are warned of: what they hand on may be
harmless. And whoever is to ask first needs a desk.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from pydantic import BaseModel

from guild.agent.registry import ResourceFactory
from guild.agent.traits import Traits, joined, traits_of_resource
from guild.approvals import ApprovalRequest, DecideApproval
from guild.asking import AskFirst
from guild.checking.graph import Graph
from guild.checking.wiring import Wires
from guild.errors import Path
from guild.spec.source import Finding
from guild.suggest import closest

Properties = Mapping[Path, BaseModel]
"""Of agents and resources, by path, as far as they can be read."""

_PROPERTY = "approvals"


def traits_of_agents(
    wires: Wires,
    properties: Properties,
    factories: Mapping[str, ResourceFactory],
    used: Mapping[int, Sequence[str]],
) -> tuple[Mapping[int, Traits], Sequence[Finding]]:
    """What each agent can do, and every agent that could be talked into giving its data away.

    Args:
        wires: the agents and their classes.
        properties: theirs, and those of the resources.
        factories: of the resources.
        used: by place in the list of agents, the resources that the agent takes.
    """
    found: dict[int, Traits] = {}
    findings: list[Finding] = []
    for index, agent_class in wires.classes.items():
        path: Path = ("agents", index)
        own = properties.get(path)
        if own is None:
            continue
        shared = [
            (factories[name], properties["resources", name])
            for name in used[index]
            if name in factories and ("resources", name) in properties
        ]
        try:
            traits = joined(
                [agent_class.traits(own), *(traits_of_resource(*one) for one in shared)]
            )
        except Exception as error:  # noqa: BLE001 - code of whoever wrote the class
            text = f"its traits cannot be told: {type(error).__name__}: {error}"
            findings.append(Finding((*path, "type"), text))
            continue
        found[index] = traits
        if traits.are_dangerous:
            findings.append(Finding(path, _told(wires.parts.agents[index].id, traits, own)))
    return found, findings


def chain_warnings(wires: Wires, traits: Mapping[int, Traits], graph: Graph) -> Iterator[Finding]:
    """Every agent that could be talked into having others give data away.

    The data, and whatever is written by others, have to reach the way out: past no agent that asks
    a person first, and past no desk.
    """
    agents = {wires.parts.agents[index].id: each for index, each in traits.items()}
    places = {wires.parts.agents[index].id: index for index in traits}
    desks = {wires.parts.agents[index].id for index in wires.handlers(DecideApproval)}
    open_ids = {agent for agent, each in agents.items() if not each.asks} - desks
    onward: defaultdict[str, list[str]] = defaultdict(list)
    for edge in graph.edges:
        if {edge.source, edge.target} <= open_ids:
            onward[edge.source].append(edge.target)
    private = {agent for agent in open_ids if agents[agent].private}
    ways_out = {agent for agent in open_ids if agents[agent].way_out}
    for steered in sorted(open_ids, key=places.__getitem__):
        if not agents[steered].untrusted or agents[steered].are_dangerous:
            continue
        chains = [
            (*to_data, *to_exit[1:])
            for first, last in ((private, {steered}), ({steered}, private))
            for to_data in _ways(first, last, onward)
            if (to_exit := _way({to_data[-1]}, ways_out, onward))
        ]
        if chains:
            chain = min(chains, key=len)
            told = [(agent, agents[agent]) for agent in dict.fromkeys(chain)]
            yield Finding(("agents", places[steered]), _told_together(steered, told, chain))


def _ways(
    sources: Collection[str], targets: Collection[str], onward: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, ...]]:
    """The shortest way from the sources to each of the targets, where there is one."""
    for target in targets:
        if way := _way(sources, {target}, onward):
            yield way


def _way(
    sources: Collection[str], targets: Collection[str], onward: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    """The shortest way from one of the sources to one of the targets; () where there is none."""
    ways: list[tuple[str, ...]] = [(source,) for source in sorted(sources)]
    seen = set(sources)
    for way in ways:  # which grows
        if way[-1] in targets:
            return way
        for agent in onward.get(way[-1], ()):
            if agent not in seen:
                seen.add(agent)
                ways.append((*way, agent))
    return ()


def _told_together(steered: str, agents: Sequence[tuple[str, Traits]], chain: Sequence[str]) -> str:
    kinds = (
        ("has private data", [(agent, each.private) for agent, each in agents]),
        ("has a way out", [(agent, each.way_out) for agent, each in agents]),
    )
    others = [f"{agent!r} {kind} ({why})" for kind, whys in kinds for agent, why in whys if why]
    untrusted = dict(agents)[steered].untrusted
    return (
        f"{steered!r} follows what others write ({untrusted}) and could be talked into having data "
        f"given away: {', '.join(others)}, and messages lead along {' -> '.join(chain)}; take one "
        "of these away, or let one of them ask a person first"
    )


def desk_errors(wires: Wires) -> Iterator[Finding]:
    """Every agent that is to ask first, and would ask where no desk listens."""
    for index, properties in wires.asks.items():
        for name, asks in properties.items():
            if not _is_heard(wires, asks.topic):
                yield Finding(
                    ("agents", index, "properties", name),
                    f"no desk takes what is asked on the topic {asks.topic!r}: add an agent of "
                    f"the type approvals.desk with 'topics: [{asks.topic}]'",
                    closest(asks.topic, _topics_of_desks(wires)),
                )


def asking(properties: BaseModel) -> Mapping[str, AskFirst]:
    """The properties by which an agent asks a person first."""
    values = ((name, getattr(properties, name)) for name in type(properties).model_fields)
    return {name: value for name, value in values if isinstance(value, AskFirst)}


def _told(agent: str, traits: Traits, properties: BaseModel) -> str:
    asking = "let it ask a person first"
    if _PROPERTY in type(properties).model_fields:
        asking = (
            f"give it '{_PROPERTY}: {{}}' among its properties and add an approvals.desk, so that "
            "a person is asked first (and nothing is done where nobody answers)"
        )
    return (
        f"{agent!r} could be talked into giving data away: it has private data "
        f"({traits.private}), follows what others write ({traits.untrusted}) and has a way out "
        f"({traits.way_out}); take one of these away, or {asking}"
    )


def _is_heard(wires: Wires, topic: str) -> bool:
    is_known = wires.is_complete and wires.parts.knows_topics
    is_outside = topic in wires.parts.topics
    return is_outside or bool(wires.readers(topic, ApprovalRequest)) or not is_known


def _topics_of_desks(wires: Wires) -> Sequence[str]:
    desks = wires.handlers(ApprovalRequest)
    return [topic for index in desks for topic in wires.parts.agents[index].topics]
