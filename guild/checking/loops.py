"""Ways of answers that lead back to where they began, with nothing on them that ends them.

An answer that no caller waits for goes to a topic, where the agent itself may hear it. Only what is
certain is told: a handler that may answer nothing, or one of several classes, ends a way; so does a
route with a condition.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import count
from typing import NamedTuple

from pydantic import BaseModel

from guild.agent.contracts import HandlerContract, reader_of
from guild.checking.wiring import Wires
from guild.spec.source import Finding
from messaging.wire.topic import is_pattern

_MOST_TOLD = 5


class _Stop(NamedTuple):
    """A message that an agent handles on a topic."""

    agent: int
    message: type[BaseModel]
    topic: str


_Heard = Callable[[str, type[BaseModel] | None], tuple[_Stop, ...]]


def loop_warnings(wires: Wires) -> Iterator[Finding]:
    """One for each way round; its agents in the order in which they hear each other."""
    heard = cache(lambda topic, message: tuple(_heard(wires, topic, message)))
    ways = {stop: tuple(_behind(wires, stop, heard)) for stop in _stops(wires)}
    for told in count():
        if not (ways := _that_go_on(ways)):
            return
        way = [next(iter(ways))]
        if told == _MOST_TOLD:
            yield Finding(("agents", way[0].agent), "more goes round without an end, too")
            return
        while (following := ways[way[-1]][0]) not in way:
            way.append(following)
        ring = way[way.index(following) :]
        ids = [wires.parts.agents[stop.agent].id for stop in (*ring, following)]
        yield Finding(
            ("agents", min(stop.agent for stop in ring)),
            f"what is published to {following.topic!r} goes round without an end: "
            f"{' -> '.join(ids)}; let a route have a 'when', an agent 'answers: requester', or a "
            "handler answer None",
        )
        ways = {stop: behind for stop, behind in ways.items() if stop not in ring}


def _stops(wires: Wires) -> Iterator[_Stop]:
    for index, agent_class in wires.classes.items():
        if wires.parts.agents[index].only_when_tagged:
            continue
        for topic in wires.parts.agents[index].topics:
            if not is_pattern(topic):
                yield from (_Stop(index, each, topic) for each in agent_class.accepted())


def _that_go_on(ways: Mapping[_Stop, Sequence[_Stop]]) -> dict[_Stop, tuple[_Stop, ...]]:
    """Without the stops behind which every way ends."""
    left = {stop: tuple(behind) for stop, behind in ways.items()}
    before = -1
    while len(left) != before:
        before = len(left)
        left = {
            stop: on
            for stop, behind in left.items()
            if (on := tuple(each for each in behind if each in left))
        }
    return left


def _behind(wires: Wires, stop: _Stop, heard: _Heard) -> Iterator[_Stop]:
    agent = wires.parts.agents[stop.agent]
    contract: HandlerContract = wires.classes[stop.agent].accepted()[stop.message]
    if contract.may_be_none or len(contract.returns) != 1:
        return
    (answer,) = contract.returns
    if agent.answers == "everyone":
        yield from heard(agent.output_topic or stop.topic, answer)
    for route in wires.parts.routes.values():
        is_taken = route.from_agent in (None, agent.id) and route.when is None
        if is_taken and wires.messages.find(route.message) is answer:
            yield from heard(route.to, wires.result_of(route))


def _heard(wires: Wires, topic: str, message: type[BaseModel] | None) -> Iterator[_Stop]:
    for index in wires.readers(topic, message):
        accepted = wires.classes[index].accepted()
        read_as = reader_of(accepted, message) if message else None
        if read_as and topic in wires.parts.agents[index].topics:
            yield _Stop(index, read_as, topic)
