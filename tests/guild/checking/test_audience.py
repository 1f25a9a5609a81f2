"""Who handles a message is found without a look at the agents that it does not concern."""

import sys
from collections.abc import Callable
from types import FrameType

import pytest
from pydantic import BaseModel

from guild import AgentBuilder, GuildBuilder
from guild.agent.contracts import reader_of
from guild.agent.registry import Registry
from guild.checking.audience import MOST_REMEMBERED, Audience
from guild.checking.parts import listens
from guild.checking.plan import Plan
from tests.guild.samples import Echo, Note, Ping, Pong, Reader

Why = Callable[[str, type[BaseModel]], str]


def plan_of(count: int) -> Plan:
    """Half of the agents answer pings on a topic of their own, half read notes by a pattern."""
    builder = GuildBuilder("tests")
    for number in range(count):
        agent_class, topic = (Reader, f"n{number}.*") if number % 2 else (Echo, f"p{number}")
        agent = AgentBuilder(agent_class).set_id(f"a{number}").add_additional_topic(topic)
        builder.add_agent_spec(agent.listen_to_default_topic(False).build_spec())
    return Plan.of(builder.add_end(Pong).build_spec(), Registry(["tests"]))


def looking_at_each(plan: Plan) -> Why:
    """The control: every agent is asked, whether the message concerns it or not."""

    def why(topic: str, message: type[BaseModel]) -> str:
        heard = [
            agent
            for agent in plan.spec.agents
            if reader_of(plan.agents[agent.id].accepted(), message) and listens(agent, topic)
        ]
        return "" if heard else "unhandled"

    return why


def calls_in(ask: Why, topic: str, message: type[BaseModel]) -> int:
    """How many functions of Python were called to answer."""
    count = 0

    def see(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(see)
    try:
        ask(topic, message)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    ("topic", "message"),
    [
        *[(f"p{number}", Ping) for number in range(4)],
        *[(f"n{number}.new", Note) for number in range(4)],
        *[("inbox.a0", Ping), ("inbox.a1", Note), ("inbox.a1", Ping), ("n1.a.b", Note)],
        *[("nowhere", Ping), ("p0", Pong)],
    ],
)
def test_the_answer_is_what_asking_every_agent_gives(topic: str, message: type[BaseModel]) -> None:
    plan = plan_of(4)

    assert bool(Audience(plan).why_unhandled(topic, message)) == bool(
        looking_at_each(plan)(topic, message)
    )


def test_a_message_costs_the_same_however_many_agents_it_does_not_concern() -> None:
    few, many = Audience(plan_of(10)), Audience(plan_of(100))
    for audience in (few, many):
        audience.why_unhandled("p0", Ping)  # the first of its class is what the others live on

    assert calls_in(many.why_unhandled, "p0", Ping) == calls_in(few.why_unhandled, "p0", Ping) == 0
    assert calls_in(many.why_unhandled, "p8", Ping) == calls_in(few.why_unhandled, "p8", Ping) > 0


def test_the_control_costs_more_with_each_agent() -> None:
    few, many = looking_at_each(plan_of(10)), looking_at_each(plan_of(100))

    assert calls_in(many, "p0", Ping) > 5 * calls_in(few, "p0", Ping)


def test_topics_without_end_are_not_remembered_without_end() -> None:
    audience = Audience(plan_of(2))
    for number in range(2 * MOST_REMEMBERED):
        audience.why_unhandled(f"n1.{number}", Note)

    assert audience.why_unhandled.cache_info().currsize == MOST_REMEMBERED
