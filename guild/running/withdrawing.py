"""Tells the desks of a guild that a decision about some work is not needed any more."""

from collections.abc import Iterator

from guild.approvals import DecideApproval, WithdrawApprovals
from guild.checking.plan import Plan
from messaging.bus import Bus
from messaging.errors import MessagingError
from messaging.process.logs import get_logger
from messaging.wire.topic import inbox_of, is_pattern

log = get_logger()


async def withdraw(
    bus: Bus, plan: Plan, work: str, *, reason: str, by: str = "", agent: str = ""
) -> None:
    """Have what was asked for `work` withdrawn; see `WithdrawApprovals`.

    That it cannot be told is logged: the deadline of what was asked passes anyway.
    """
    message = WithdrawApprovals(work=work, agent=agent, by=by, reason=reason)
    try:
        for topic in dict.fromkeys(_topics_of_desks(plan)):
            await bus.publish(topic, message)
    except MessagingError as error:
        log.warning("approvals.not_withdrawn", guild=plan.spec.id, work=work, error=str(error))


def given_up_by(agent: str) -> str:
    """Why it is withdrawn then."""
    return f"{agent} gave up on the work that it was asked for"


def _topics_of_desks(plan: Plan) -> Iterator[str]:
    """Where they are asked: what is published there now comes behind what was asked before."""
    for agent in plan.spec.agents:
        if DecideApproval in plan.agents[agent.id].accepted():
            topics = [topic for topic in agent.topics if not is_pattern(topic)]
            yield from topics or [inbox_of(agent.id)]
