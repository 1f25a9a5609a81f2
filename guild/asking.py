"""For agents that ask before they act: what was to be done waits in their state for the decision.

class Buyer(Agent[BuyerProps]):
    @handles(answers=[Bought, RequestFailed])
    async def buy(self, order: Buy, ctx: Context) -> Bought | None:
        asks = self.properties.approvals
        if asks is None:
            return await self._buy(order)
        hold(order, asks, ctx, what=f"Buy {order.item} for {order.price} EUR")
        return None

    @handles(answers=[Bought, RequestFailed])
    async def decided(self, decision: ApprovalDecision, ctx: Context) -> None:
        held = await take_up(decision, Buy, ctx)
        if held is not None:
            await held.settle(decision, self._buy, ctx)

No handler waits meanwhile, and none is run again for a decision.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from guild.approvals import (
    DAY_S,
    MOST_DETAILS_BYTES,
    ApprovalDecision,
    ApprovalRequest,
    Default,
)
from messaging.handling.context import Context, Requester
from messaging.process.error_text import is_retryable, text_of
from messaging.wire.replies import RequestFailed

NOT_APPROVED = "NotApprovedError"

M = TypeVar("M", bound=BaseModel)

_TEXT_CHARS = 2000
_MANY_HOPS = 32
_MOST_WHAT, _MOST_WHY = 500, 8000
_MOST_SHOWN = 2000  # as JSON each may take six bytes


class AskFirst(BaseModel):
    """Where an agent asks, as a part of its properties.

    Attributes:
        topic: which a desk listens to, an agent such as `approvals.desk`.
        deadline_s: how long there is to decide.
        default: what holds when it was not decided by then.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    topic: str = "approvals"
    deadline_s: float = Field(default=DAY_S, gt=0.0, le=366 * DAY_S)
    default: Default = "reject"

    def request(
        self, what: str, why: str = "", details: Mapping[str, Any] | None = None
    ) -> ApprovalRequest:
        """The message that asks; of what is too long to be shown it has the beginning."""
        return ApprovalRequest(
            what=_beginning(" ".join(what.split()), _MOST_WHAT),
            why=_beginning(why, _MOST_WHY),
            details=_shown(details or {}),
            deadline_s=self.deadline_s,
            default=self.default,
        )


class Held(BaseModel, Generic[M]):
    """What waits in an agent's state for a decision, and the requester to answer in the end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kept: M
    requester: Requester | None = None

    def answer(self, message: BaseModel, ctx: Context) -> None:
        """Answer its requester, when this handling is committed."""
        if self.requester is not None:
            ctx.answer(self.requester, message)
        else:
            ctx.send(message)

    async def settle(
        self,
        decision: ApprovalDecision,
        do: Callable[[M], Awaitable[BaseModel]],
        ctx: Context,
    ) -> None:
        """Do it if it was approved, and answer; that it was not is an answer, too."""
        if decision.approved:
            await self.tell(do(self.kept), ctx)
        else:
            self.answer(_failed(NOT_APPROVED, why_not(decision), ctx), ctx)

    async def tell(self, work: Awaitable[BaseModel | None], ctx: Context) -> None:
        """Answer with what comes of `work`, if anything does yet; also that it failed for good."""
        try:
            answer = await work
        except Exception as error:
            if is_retryable(error):
                raise
            answer = _failed(type(error).__name__, text_of(error), ctx)
        if answer is not None:
            self.answer(answer, ctx)


def hold(
    kept: BaseModel,
    asks: AskFirst,
    ctx: Context,
    *,
    what: str,
    why: str = "",
    details: Mapping[str, Any] | None = None,
    requester: Requester | None = None,
) -> str:
    """Ask, when this handling is committed, and keep what is to be done until it is decided.

    Args:
        kept: whatever is needed to go on, for `take_up`.
        asks: where.
        ctx: of the handling.
        what: is to be done, for the person who decides.
        why: and what it costs.
        details: what exactly.
        requester: whom to answer in the end; None for that of the message in hand.

    Returns:
        The id of the approval.
    """
    approval_id = ctx.send(
        asks.request(what, why, details),
        asks.topic,
        keep_deadline=True,
        conversation=ctx.conversation,
        detached=ctx.envelope.hops > _MANY_HOPS,  # or long work that asks often is taken for a loop
    )
    model: Any = Held[type(kept)]  # type: ignore[misc] # a class at run time
    held = model(kept=kept, requester=requester or ctx.requester)
    ctx.state.save(_key(approval_id), held)
    return approval_id


async def take_up(decision: ApprovalDecision, model: type[M], ctx: Context) -> Held[M] | None:
    """What waits for `decision`, which is taken out of the state; None if nothing does.

    That is so when it came twice, and when this agent never asked for it.
    """
    key = _key(decision.id)
    held = await ctx.state.load(key, Held[model])  # type: ignore[valid-type] # a class at run time
    if held is None or ctx.envelope.cause != decision.id:
        ctx.log.info("approval.decision_ignored", approval=decision.id)
        return None
    ctx.state.delete(key)
    return held


def why_not(decision: ApprovalDecision) -> str:
    """That it was rejected or withdrawn, by whom and why, in a sentence."""
    if decision.is_withdrawn:
        return f"the question was withdrawn{': ' * bool(decision.reason)}{decision.reason}"
    by = "by default" if decision.is_default else f"by {decision.by}"
    reason = f": {decision.reason}" if decision.reason else ""
    return f"it was rejected {by}{reason}"


def _failed(error_type: str, text: str, ctx: Context) -> RequestFailed:
    return RequestFailed(
        message_id="",  # it is no dead letter
        error_type=error_type,
        text=text[:_TEXT_CHARS],
        agent=ctx.group,
        attempts=ctx.attempt,
    )


def _beginning(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 2]} …"


def _shown(details: Mapping[str, Any]) -> dict[str, Any]:
    text = json.dumps(details, ensure_ascii=False, default=str)
    if len(json.dumps(details, default=str)) <= MOST_DETAILS_BYTES:
        return dict(details)
    return {"beginning": text[:_MOST_SHOWN], "characters": len(text)}


def _key(approval_id: str) -> str:
    return f"held.{approval_id}"
