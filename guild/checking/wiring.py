"""Checks, before anything starts, that every message a guild sends arrives somewhere.

Errors are what can only be a mistake; warnings are what may be meant. An answer always has an end,
whoever asked; what an agent sends of its own accord needs a handler, a route to the outside, or a
place under the spec's `ends`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from guild.agent.agent import Agent
from guild.agent.contracts import HandlerContract, reader_of
from guild.asking import AskFirst
from guild.checking.parts import UNREADABLE, Parts, listens
from guild.checking.route_checks import flaws_of_route
from guild.checking.validation import findings_of
from guild.spec.source import Finding
from guild.spec.spec import RouteSpec, ScheduleSpec
from guild.suggest import closest
from messaging.wire.message import MessageRegistry, wire_type_of

MessageClass = type[BaseModel]
AgentClasses = Mapping[int, type[Agent[Any]]]


class Wires(NamedTuple):
    """Parts of a spec with the classes behind them.

    Attributes:
        classes: by place in the list of agents; those that were found.
        messages: every message class that they mention.
        asks: by place in the list of agents, the property by which an agent asks a person first.
    """

    parts: Parts
    classes: AgentClasses
    messages: MessageRegistry
    asks: Mapping[int, Mapping[str, AskFirst]] = {}

    @property
    def is_complete(self) -> bool:
        """Whether every agent is known, so that what is not found is really missing."""
        return self.parts.knows_agents and len(self.classes) == len(self.parts.agents)

    def knows_readers(self, topic: str) -> bool:
        """Whether somebody listens to `topic`, and it is known who, and what they handle."""
        parts = self.parts
        readers = [index for index, agent in parts.agents.items() if listens(agent, topic)]
        is_whole = parts.knows_agents and parts.knows_topics and parts.knows_ends
        return is_whole and parts.hears(topic) and all(index in self.classes for index in readers)

    def contracts(self) -> Iterator[tuple[int, HandlerContract]]:
        for index, agent_class in self.classes.items():
            for contract in agent_class.contracts.values():
                yield index, contract

    def handlers(self, message: MessageClass) -> list[int]:
        """The agents that handle `message`, wherever it is published."""
        return [
            index
            for index, found in self.classes.items()
            if reader_of(found.accepted(), message) is not None
        ]

    def gives(self, index: int) -> set[MessageClass]:
        """Everything that leaves an agent, in answer or of its own accord."""
        contracts = self.classes[index].contracts.values()
        return {given for c in contracts for given in (*c.returns, *c.sends, *c.answers)}

    def result_of(self, route: RouteSpec) -> MessageClass | None:
        """What arrives at the end of `route`."""
        return self.messages.find(route.into or route.message)

    def readers(self, topic: str, message: MessageClass | None) -> list[int]:
        """The agents that handle `message` where it is published to `topic`."""
        agents = self.parts.agents
        handlers = self.handlers(message) if message else []
        return [index for index in handlers if listens(agents[index], topic)]

    def names_handled_on(self, topic: str) -> list[str]:
        """The wire names of what those who listen to `topic` handle."""
        readers = (i for i, agent in self.parts.agents.items() if listens(agent, topic))
        return [_name(m) for i in readers if i in self.classes for m in self.classes[i].accepted()]

    def is_ended(self, message: MessageClass) -> bool:
        """Whether `message` may go unhandled, as the spec says."""
        return any(self.messages.find(end) is message for end in self.parts.ends)

    def leads_outside(self, route: RouteSpec) -> bool:
        return route.to in self.parts.topics


def wiring_errors(wires: Wires) -> Iterator[Finding]:
    """Everything in the wiring that can only be a mistake."""
    for index, route in wires.parts.routes.items():
        yield from _route_errors(wires, route, ("routes", index))
    for place, schedule in wires.parts.schedules.items():
        yield from _schedule_errors(wires, schedule, ("schedules", place))
    if not wires.is_complete or not wires.parts.knows_ends:
        return
    for index, end in enumerate(wires.parts.ends):
        if wires.messages.find(end) is None:
            yield _unknown_message(wires, end, ("ends", index))
    for index, contract in wires.contracts():
        for message in contract.sends:
            if not _arrives(wires, index, message):
                yield Finding(("agents", index), _told_unhandled(wires, index, message))


def wiring_warnings(wires: Wires) -> Iterator[Finding]:
    """Everything in the wiring that is odd, though it may be meant."""
    for index, agent_class in wires.classes.items():
        agent = wires.parts.agents[index]
        if not agent_class.contracts:
            yield Finding(
                ("agents", index), f"{agent.id!r} has no handlers: mark its methods with @handles"
            )
        yield from _lost_answers(wires, index)
        if agent.output_topic and not wires.parts.hears(agent.output_topic):
            text = f"nobody listens to the output topic {agent.output_topic!r} of {agent.id!r}"
            hint = closest(agent.output_topic, wires.parts.topics_heard)
            yield Finding(("agents", index, "output_topic"), text, hint)
    for sender, contract in wires.contracts():
        for message in contract.sends:
            yield from _deaf_senders(wires, sender, message)


def _lost_answers(wires: Wires, index: int) -> Iterator[Finding]:
    """Answers to what only comes unasked, by a route, a schedule or as an answer itself."""
    agent = wires.parts.agents[index]
    if agent.answers != "requester" or not wires.is_complete:
        return
    for contract in wires.classes[index].contracts.values():
        if not all(_comes_unasked(wires, message) for message in contract.accepts):
            continue
        for answer in contract.returns:
            if not any(
                route.from_agent in (None, agent.id)
                and wires.messages.find(route.message) is answer
                for route in wires.parts.routes.values()
            ):
                yield Finding(
                    ("agents", index, "answers"),
                    f"{agent.id!r} answers only requesters, and nobody asks {contract.method}: "
                    f"its {_name(answer)} goes nowhere; add a route for it, or take 'answers' out",
                )


def _comes_unasked(wires: Wires, message: MessageClass) -> bool:
    """Whether the message comes only by ways of the guild on which no answer is waited for."""
    contracts = [contract for _, contract in wires.contracts()]
    if any(reader_of((message,), sent) for c in contracts for sent in c.sends):
        return False
    given = {answer for c in contracts for answer in (*c.returns, *c.answers)}
    given |= {found for r in wires.parts.routes.values() if (found := wires.result_of(r))}
    scheduled = (wires.messages.find(s.message) for s in wires.parts.schedules.values())
    given |= {found for found in scheduled if found}
    return any(reader_of((message,), each) for each in given)


def _route_errors(wires: Wires, route: RouteSpec, path: tuple[str | int, ...]) -> Iterator[Finding]:
    parts = wires.parts
    senders = [i for i, agent in parts.agents.items() if route.from_agent in (None, agent.id)]
    if not senders and route.from_agent and parts.knows_agents:
        ids = [agent.id for agent in parts.agents.values()]
        text = f"there is no agent {route.from_agent!r}"
        yield Finding((*path, "from"), text, closest(route.from_agent, ids))
    yield from _unheard(wires, route.to, (*path, "to"), "; one for the outside goes under 'topics'")
    message, target = wires.messages.find(route.message), wires.result_of(route)
    ungiven = list(_ungiven(wires, route, senders, path))
    yield from ungiven
    if route.into is not None and target is None and wires.is_complete:
        yield _unknown_message(wires, route.into, (*path, "into"))
    elif target or route.into or not ungiven:
        yield from _unhandled(wires, route.to, route.into or route.message, (*path, "to"))
    if message is not None:
        for key, flaw in flaws_of_route(route.when, route.transform, message, target):
            yield Finding((*path, key), f"{key!r}: {flaw.text}", flaw.suggestion)


def _ungiven(
    wires: Wires, route: RouteSpec, senders: Sequence[int], path: tuple[str | int, ...]
) -> Iterator[Finding]:
    """A route of what its agent never gives, as far as the agent is known."""
    message, is_known = wires.messages.find(route.message), all(i in wires.classes for i in senders)
    if route.message == UNREADABLE:
        return
    if message is None and wires.is_complete:
        yield _unknown_message(wires, route.message, (*path, "message"))
    elif senders and is_known and (route.from_agent or wires.parts.knows_agents):
        given = sorted({m for index in senders for m in wires.gives(index)}, key=_name)
        if message not in given:
            names = [_name(m) for m in given]
            who = repr(route.from_agent) if route.from_agent else "no agent"
            text = f"{who} never gives {route.message}; it gives {', '.join(names) or 'nothing'}"
            yield Finding((*path, "message"), text, closest(route.message, names))


def _unheard(
    wires: Wires, topic: str, path: tuple[str | int, ...], remedy: str = ""
) -> Iterator[Finding]:
    parts, hint = wires.parts, closest(topic, wires.parts.topics_heard)
    if topic != UNREADABLE and not parts.hears(topic) and (parts.knows_topics or hint):
        yield Finding(path, f"nobody listens to the topic {topic!r}{remedy}", hint)


def _schedule_errors(
    wires: Wires, schedule: ScheduleSpec, path: tuple[str | int, ...]
) -> Iterator[Finding]:
    message = wires.messages.find(schedule.message)
    yield from _unheard(wires, schedule.topic, (*path, "topic"))
    if message is None and wires.is_complete and schedule.message != UNREADABLE:
        yield _unknown_message(wires, schedule.message, (*path, "message"))
        return
    yield from _unhandled(wires, schedule.topic, schedule.message, (*path, "message"))
    if message is None:
        return
    try:
        message.model_validate_json(json.dumps(schedule.data))
    except ValidationError as error:
        yield from findings_of(error, message, (*path, "data"))


def _unhandled(
    wires: Wires, topic: str, name: str, path: tuple[str | int, ...]
) -> Iterator[Finding]:
    """A message that no agent takes on a topic, if all that listen there and their types are known.

    Then a type without a known class is one of those, too.
    """
    message, ends = wires.messages.find(name), wires.parts.ends
    if UNREADABLE in (topic, name) or topic in wires.parts.topics or not wires.knows_readers(topic):
        return
    if wires.readers(topic, message) or name in ends or (message and wires.is_ended(message)):
        return
    hint = "" if message else closest(name, wires.names_handled_on(topic))
    yield Finding(path, f"nobody who listens to {topic!r} handles {name}", hint)


def _ends(wires: Wires, route: RouteSpec) -> bool:
    message = wires.result_of(route)
    ended = message is not None and wires.is_ended(message)
    return ended or wires.leads_outside(route) or bool(wires.readers(route.to, message))


def _arrives(wires: Wires, sender: int, message: MessageClass) -> bool:
    if wires.handlers(message) or wires.is_ended(message):
        return True
    sender_id = wires.parts.agents[sender].id
    return any(
        wires.messages.find(route.message) is message
        for route in wires.parts.routes.values()
        if route.from_agent in (None, sender_id) and _ends(wires, route)
    )


def _told_unhandled(wires: Wires, sender: int, message: MessageClass) -> str:
    who = repr(wires.parts.agents[sender].id)
    for index, found in wires.classes.items():
        for other in found.accepted():
            if wire_type_of(other).name == wire_type_of(message).name:
                return (
                    f"{who} sends {_name(message)} and {wires.parts.agents[index].id!r} handles "
                    f"{_name(other)}: bring both to one version, or let an upcaster lead there"
                )
    return (
        f"{who} sends {_name(message)}, which nobody handles: add an agent that does, or list it "
        "under 'ends'"
    )


def _deaf_senders(wires: Wires, sender: int, message: MessageClass) -> Iterator[Finding]:
    """Answers come to the sender's inbox; it should be able to take at least one of them.

    Whether it sends with `reply_to` cannot be seen from here, so `ends` may say that it is meant.
    """
    accepted = wires.classes[sender].accepted()
    for index in wires.handlers(message):
        handled = wires.classes[index].accepted()
        returns = handled[reader_of(handled, message) or message].returns
        answers = [answer for answer in returns if not wires.is_ended(answer)]
        if answers and not any(reader_of(accepted, answer) for answer in returns):
            names = ", ".join(map(_name, answers))
            yield Finding(
                ("agents", sender),
                f"{wires.parts.agents[sender].id!r} sends {_name(message)} and has no handler for "
                f"the answer of {wires.parts.agents[index].id!r} ({names}): add one, or send with "
                '`reply_to=""` where the answer is not wanted, '
                "and list it under 'ends' to say so",
            )


def _unknown_message(wires: Wires, name: str, path: tuple[str | int, ...]) -> Finding:
    known = [_name(message) for message in wires.messages]
    return Finding(path, f"no agent here knows a message {name!r}", closest(name, known))


def _name(message: MessageClass) -> str:
    return str(wire_type_of(message))
