"""Whether anybody answers a request, as far as the contracts of the guild's agents say."""

from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from guild.agent.contracts import HandlerContract, reader_of
from guild.checking.parts import listens
from guild.checking.plan import Plan
from guild.errors import NobodyAnswersError
from messaging.wire.message import wire_type_of

MessageClass = type[BaseModel]


def require_answer(plan: Plan, topic: str, message: MessageClass) -> None:
    """Pass unless every agent that handles `message` on `topic` declares to answer nothing.

    A handler that returns None may answer later, from another handling: that is what `answers` of
    `@handles` declares, at any handler of its agent, or of an agent that what it sends may reach.

    Raises:
        NobodyAnswersError: names the agents and their handlers.
    """
    handlers = list(_handlers(plan, topic, message))
    if handlers and not any(_may_answer(plan, *handler) for handler in handlers):
        names = [f"{agent}.{contract.method}" for agent, contract in handlers]
        raise NobodyAnswersError(topic, str(wire_type_of(message)), names)


def _handlers(
    plan: Plan, topic: str, message: MessageClass
) -> Iterator[tuple[str, HandlerContract]]:
    for agent in plan.spec.agents:
        accepted = plan.agents[agent.id].accepted()
        read_as = reader_of(accepted, message)
        if read_as is not None and listens(agent, topic):
            yield agent.id, accepted[read_as]


def _may_answer(plan: Plan, agent: str, contract: HandlerContract) -> bool:
    if contract.returns:
        return True
    reached = _reached_from(plan, agent) if not plan.spec.neighbours else list(plan.agents)
    return any(c.answers for name in reached for c in plan.agents[name].contracts.values())


def _reached_from(plan: Plan, agent: str) -> Sequence[str]:
    """The agents that what follows from a handling of `agent` may come to, itself included."""
    reached = [agent]
    for one in reached:  # grows meanwhile
        for given in _given_by(plan, one):
            reached += [
                other
                for other, found in plan.agents.items()
                if other not in reached and reader_of(found.accepted(), given) is not None
            ]
    return reached


def _given_by(plan: Plan, agent: str) -> set[MessageClass]:
    given = {
        message
        for contract in plan.agents[agent].contracts.values()
        for message in (*contract.returns, *contract.sends)
    }
    routes = [route for route in plan.spec.routes if route.from_agent in (None, agent)]
    routed = (plan.messages.find(route.into or route.message) for route in routes)
    return given | {message for message in routed if message is not None}
