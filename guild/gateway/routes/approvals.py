"""What a person has to decide: listed, shown, approved, rejected."""

from collections.abc import Awaitable, Sequence
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import Field
from starlette.responses import Response

from guild.approvals import Approval, ApprovalDecision
from guild.deciding import Wanted, approve, list_approvals, reject, show_approval
from guild.gateway.endpoint import Call
from guild.gateway.errors import GatewayClosingError
from guild.gateway.problems import problem_response
from guild.gateway.routes.shapes import Count, Given, Reason, TimeoutS
from messaging.errors import RequestTimeoutError

DECIDE_S = 30.0


class Which(Given):
    """Which approvals: those to be decided, those that were, or all; the oldest first."""

    state: Wanted = "open"
    after: Annotated[str, Field(max_length=100, description="Only those behind this one.")] = ""
    count: Count = 100


class Rejecting(Given):
    """Why it may not be done."""

    reason: Reason = ""
    timeout_s: TimeoutS = Field(default=DECIDE_S, le=3600.0)


class Approving(Rejecting):
    """Why it may be done, and which of the options is chosen, where there are some."""

    option: Annotated[str, Field(max_length=200)] = ""


async def list_all(call: Call[None, Which]) -> Sequence[Approval]:
    which = call.query
    found = list_approvals(call.client, wanted=which.state, after=which.after, count=which.count)
    return await call.unless_gone(found)


async def show_one(call: Call[None, None]) -> Approval:
    return await show_approval(call.client, call.path["id"])


async def approve_one(call: Call[Approving, None]) -> ApprovalDecision | Response:
    body = call.body
    async with call.sending() as message_id:
        deciding = approve(
            call.client,
            call.path["id"],
            by=call.caller.name,
            reason=body.reason,
            option=body.option,
            message_id=message_id,
            timeout_s=body.timeout_s,
        )
        return await _decided(call, deciding)


async def reject_one(call: Call[Rejecting, None]) -> ApprovalDecision | Response:
    body = call.body
    async with call.sending() as message_id:
        deciding = reject(
            call.client,
            call.path["id"],
            by=call.caller.name,
            reason=body.reason,
            message_id=message_id,
            timeout_s=body.timeout_s,
        )
        return await _decided(call, deciding)


async def _decided(
    call: Call[Any, None], deciding: Awaitable[ApprovalDecision]
) -> ApprovalDecision | Response:
    """What was decided; where to see it later, if the desk does not answer in time."""
    try:
        return await call.unless_gone(deciding)
    except (RequestTimeoutError, GatewayClosingError) as error:
        return problem_response(error, {"Location": f"../{quote(call.path['id'], safe='')}"})
