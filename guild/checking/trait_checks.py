"""Refuses agents that hold private data, follow what others write, and have a way out.

`guild.agent.traits` says what each of the three means. And whoever is to ask first needs a desk.
"""

from collections.abc import Iterator, Mapping, Sequence

from pydantic import BaseModel

from guild.agent.registry import ResourceFactory
from guild.agent.traits import Traits, joined, traits_of_resource
from guild.approvals import ApprovalRequest
from guild.asking import AskFirst
from guild.checking.wiring import Wires
from guild.errors import Path
from guild.spec.source import Finding
from guild.suggest import closest

Properties = Mapping[Path, BaseModel]
"""Of agents and resources, by path, as far as they can be read."""

_PROPERTY = "approvals"


def trait_errors(
    wires: Wires,
    properties: Properties,
    factories: Mapping[str, ResourceFactory],
    used: Mapping[int, Sequence[str]],
) -> Iterator[Finding]:
    """Every agent that could be talked into giving its data away.

    Args:
        wires: the agents and their classes.
        properties: theirs, and those of the resources.
        factories: of the resources.
        used: by place in the list of agents, the resources that the agent takes.
    """
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
            yield Finding((*path, "type"), text)
            continue
        if traits.are_dangerous:
            yield Finding(path, _told(wires.parts.agents[index].id, traits, own))


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
