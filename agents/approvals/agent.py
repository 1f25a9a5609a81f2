"""The desk where approvals lie: in its state, each under a durable timer.

Every change of an approval is one commit: what the state says of it, its timer, the one answer to
whoever asked and the event about it leave together, or not at all. So it is decided once, wherever
a process dies, and however many replicas of the desk there are.
"""

import unicodedata
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, Field

from agents.approvals.ledger import Bounds, ForgetDecided, Ledger
from guild import Agent, BaseAgentProps, Context, handles
from guild.approvals import (
    DAY_S,
    Approval,
    ApprovalAsked,
    ApprovalDecided,
    ApprovalDecision,
    ApprovalRequest,
    DecideApproval,
    DecisionRefused,
    DecisionTaken,
    Lying,
    Refusal,
    WithdrawApprovals,
    decided_key,
    open_key,
    withdrawn_with_key,
)
from messaging.wire.message import Message
from messaging.wire.topic import EVENTS_TOPIC, inbox_of, is_inbox

MOST_WITHDRAWN_TOGETHER = 1000
_AT_ONCE = 50


class DeadlinePassed(Message, wire_name="approvals.deadline_passed"):
    """The time to decide about this approval is over."""

    id: str


class DeskProps(BaseAgentProps):
    """How much a desk holds.

    Attributes:
        most_open: more are not taken: they are rejected at once, whatever their default is.
        keep_decided: how many of those that were decided can still be looked at.
        keep_s: and for how long, in seconds.
    """

    most_open: int = Field(default=10_000, ge=1, le=1_000_000)
    keep_decided: int = Field(default=1000, ge=1, le=100_000)
    keep_s: float = Field(default=30 * DAY_S, gt=0, le=3660 * DAY_S)


class _Together(BaseModel):
    """The ids of what is withdrawn with one piece of work, as far as they are kept."""

    ids: tuple[str, ...] = ()


class ApprovalsAgent(Agent[DeskProps]):
    """Answers each `ApprovalRequest` with one `ApprovalDecision`, once decided or too late."""

    def __init__(self, properties: DeskProps | None = None) -> None:
        super().__init__(properties)
        self._bounds = Bounds(count=self.properties.keep_decided, age_s=self.properties.keep_s)

    @handles(answers=[ApprovalDecision], sends=[DeadlinePassed])
    async def ask(self, request: ApprovalRequest, ctx: Context) -> None:
        ledger, approval = await Ledger.load(ctx), _approval_of(request, ctx)
        if await _is_known(approval.id, ctx):  # requeued: it lies here, or was answered
            return
        lying = Lying(approval=approval, requester=ctx.requester)
        if ledger.lying >= self.properties.most_open:
            full = f"{ctx.group} is full: {ledger.lying:,} approvals lie there already"
            ctx.log.warning("approval.refused", approval=approval.id, reason=full)
            _tell(lying, _by_nobody(approval, ctx, approved=False, reason=full), ctx)
            return
        ledger.lying += 1
        ledger.save(ctx)
        ctx.state.save(open_key(approval.id), lying)
        for work in approval.works:
            ids = await _together(work, ctx)
            _keep_together(work, (*ids, approval.id)[:MOST_WITHDRAWN_TOGETHER], ctx)
        ctx.send(
            DeadlinePassed(id=approval.id),
            timer=_timer(approval.id),
            at=approval.deadline,
            reply_to="",
            detached=True,  # to cancel the conversation does not call the deadline off
        )
        ctx.log.info("approval.asked", approval=approval.id, asker=approval.asker)
        asked = ApprovalAsked(
            id=approval.id,
            desk=ctx.group,
            asker=approval.asker,
            what=request.what,
            deadline=approval.deadline,
            default=request.default,
        )
        ctx.send(asked, EVENTS_TOPIC, reply_to="", detached=True)

    @handles(answers=[ApprovalDecision], sends=[ForgetDecided])
    async def decide(
        self, decision: DecideApproval, ctx: Context
    ) -> DecisionTaken | DecisionRefused:
        ledger = await Ledger.load(ctx)
        lying = await ctx.state.load(open_key(decision.id), Lying)
        if lying is None:
            decided = await ctx.state.load(decided_key(decision.id), Approval)
            return _refused(decision.id, *_why_not_open(decision.id, decided))
        if why := _why_refused(decision, lying.approval, ctx):
            return _refused(decision.id, *why)
        if _now(ctx) >= lying.approval.deadline:  # the timer is on its way
            settled = _default(lying.approval, ctx)
            await self._settle(lying, settled, ledger, ctx)
            return _refused(decision.id, "late", f"it is too late: {_told(settled)}")
        settled = ApprovalDecision(
            id=decision.id,
            approved=decision.approved,
            by=decision.by,
            reason=decision.reason,
            at=_now(ctx),
            option=decision.option,
            what=lying.approval.request.what,
            details=lying.approval.request.details,
        )
        await self._settle(lying, settled, ledger, ctx)
        return DecisionTaken(decision=settled)

    @handles(answers=[ApprovalDecision], sends=[ForgetDecided])
    async def end(self, due: DeadlinePassed, ctx: Context) -> None:
        if ctx.envelope.sender != ctx.group:
            return
        ledger = await Ledger.load(ctx)
        lying = await ctx.state.load(open_key(due.id), Lying)
        if lying is not None:
            await self._settle(lying, _default(lying.approval, ctx), ledger, ctx)

    @handles(answers=[ApprovalDecision], sends=[ForgetDecided, WithdrawApprovals])
    async def withdraw(self, wanted: WithdrawApprovals, ctx: Context) -> None:
        ledger = await Ledger.load(ctx)
        found = [
            lying
            for approval_id in (wanted.work, *await _together(wanted.work, ctx))
            if (lying := await ctx.state.load(open_key(approval_id), Lying))
            if not wanted.agent or _was_asked_by(wanted.agent, wanted.work, lying.approval)
        ]
        for lying in found[:_AT_ONCE]:
            settled = ApprovalDecision(
                id=lying.approval.id,
                approved=False,
                by=wanted.by,
                reason=wanted.reason,
                is_withdrawn=True,
                at=_now(ctx),
                what=lying.approval.request.what,
                details=lying.approval.request.details,
            )
            await self._settle(lying, settled, ledger, ctx)
        if len(found) > _AT_ONCE:  # no commit should be too large for the bus
            ctx.send(wanted, inbox_of(ctx.group), reply_to="", detached=True)

    @handles(sends=[ForgetDecided])
    async def forget(self, _: ForgetDecided, ctx: Context) -> None:
        ledger = await Ledger.load(ctx)
        await ledger.forget_old(self._bounds, ctx)
        ledger.save(ctx)

    async def _settle(
        self, lying: Lying, decision: ApprovalDecision, ledger: Ledger, ctx: Context
    ) -> None:
        """Write down what was decided, answer the asker, and publish it."""
        approval = lying.approval
        ctx.state.delete(open_key(approval.id))
        for work in approval.works:
            ids = await _together(work, ctx)
            _keep_together(work, tuple(each for each in ids if each != approval.id), ctx)
        decided = approval.model_copy(update={"decision": decision})
        ctx.state.save(decided_key(approval.id), decided)
        ctx.cancel_timer(_timer(approval.id))
        ledger.lying -= 1
        await ledger.keep(approval.id, decision.at.timestamp(), self._bounds, ctx)
        ledger.save(ctx)
        _tell(lying, decision, ctx)


def _was_asked_by(agent: str, work: str, approval: Approval) -> bool:
    """Whether it is this agent that waits; any may, where it is only known for which message."""
    return agent in approval.askers or (not approval.askers and work == approval.request.work)


def _tell(lying: Lying, decision: ApprovalDecision, ctx: Context) -> None:
    """The one answer, and the event."""
    approval, requester = lying.approval, lying.requester
    if requester is not None and decision.is_withdrawn:
        # In a conversation of its own: what belongs to one that was cancelled is not handled any
        # more, and its caller has been told.
        apart = {"conversation": ctx.conversation, "waiter": ""}
        ctx.answer(requester.model_copy(update=apart), decision)
    elif requester is not None:
        ctx.answer(requester, decision)
    elif not decision.is_withdrawn:
        # It came by a route, or was published: its decision goes on by a route.
        ctx.send(decision)
    ctx.log.info(
        "approval.decided",
        approval=approval.id,
        state=approval.model_copy(update={"decision": decision}).state,
        by=decision.by or None,
    )
    told = ApprovalDecided(
        id=approval.id,
        desk=approval.desk,
        asker=approval.asker,
        what=approval.request.what,
        approved=decision.approved,
        by=decision.by,
        reason=decision.reason,
        is_default=decision.is_default,
        is_withdrawn=decision.is_withdrawn,
        option=decision.option,
    )
    ctx.send(told, EVENTS_TOPIC, reply_to="", detached=True)


def _approval_of(request: ApprovalRequest, ctx: Context) -> Approval:
    now = _now(ctx)
    deadlines = [now + timedelta(seconds=request.deadline_s)]
    if ctx.deadline:
        deadlines.append(datetime.fromtimestamp(ctx.deadline, UTC))
    return Approval(
        id=ctx.message_id,
        desk=ctx.group,
        asker=_asker(ctx),
        conversation=ctx.conversation,
        cause=ctx.envelope.cause,
        asked_at=now,
        deadline=min(deadlines),
        request=request,
    )


async def _is_known(approval_id: str, ctx: Context) -> bool:
    lying = await ctx.state.load(open_key(approval_id), Lying)
    return bool(lying or await ctx.state.load(decided_key(approval_id), Approval))


def _why_refused(
    decision: DecideApproval, approval: Approval, ctx: Context
) -> tuple[Refusal, str] | None:
    if _plain(decision.by) in map(_plain, approval.askers):
        return "own", f"{decision.by} asked for this, and cannot decide it; somebody else has to"
    if ctx.envelope.sender and ctx.envelope.sender == approval.asker:
        return "own", f"{approval.asker} asked for this, and cannot decide it in anybody's name"
    if ctx.conversation == approval.conversation:
        return "own", "this decision follows from the work that asked for it, and cannot be its own"
    options = approval.request.options
    if decision.approved and options and decision.option not in options:
        given = f"not {decision.option!r}" if decision.option else "and choose one"
        return "no_option", f"approve with one of its options, {given}: {', '.join(options)}"
    if decision.option and decision.option not in options:
        there = ", ".join(options) or "it offers none, so leave that out"
        return "no_option", f"it has no option {decision.option!r}: {there}"
    return None


def _plain(name: str) -> str:
    """A name as people mean it: capitals and spaces make no other person."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def _why_not_open(approval_id: str, decided: Approval | None) -> tuple[Refusal, str]:
    if decided is None or decided.decision is None:
        return "unknown", f"there is no approval {approval_id} here, or it was decided long ago"
    decision = decided.decision
    if decision.is_withdrawn:
        return "withdrawn", _told(decision)
    return ("late" if decision.is_default else "decided"), _told(decision)


def _refused(approval_id: str, refusal: Refusal, text: str) -> DecisionRefused:
    return DecisionRefused(id=approval_id, refusal=refusal, text=text)


def _told(decision: ApprovalDecision) -> str:
    at = decision.at.astimezone().isoformat(timespec="seconds")
    verdict = "approved" if decision.approved else "rejected"
    if decision.is_default:
        return f"{decision.id} was {verdict} by default at {at}, as nobody had decided"
    reason = f": {decision.reason}" if decision.reason else ""
    if decision.is_withdrawn:
        return f"{decision.id} was withdrawn at {at}{reason}"
    return f"{decision.id} was {verdict} by {decision.by} at {at}{reason}"


def _default(approval: Approval, ctx: Context) -> ApprovalDecision:
    return _by_nobody(
        approval,
        ctx,
        approved=approval.request.default == "approve",
        reason="nobody decided before the deadline",
    )


def _by_nobody(
    approval: Approval, ctx: Context, *, approved: bool, reason: str
) -> ApprovalDecision:
    options = approval.request.options
    return ApprovalDecision(
        id=approval.id,
        approved=approved,
        reason=reason,
        is_default=True,
        at=_now(ctx),
        option=options[0] if approved and options else "",
        what=approval.request.what,
        details=approval.request.details,
    )


async def _together(work: str, ctx: Context) -> tuple[str, ...]:
    kept = await ctx.state.load(withdrawn_with_key(work), _Together)
    return kept.ids if kept else ()


def _keep_together(work: str, ids: tuple[str, ...], ctx: Context) -> None:
    if ids:
        ctx.state.save(withdrawn_with_key(work), _Together(ids=ids))
    else:
        ctx.state.delete(withdrawn_with_key(work))


def _now(ctx: Context) -> datetime:
    return datetime.fromtimestamp(ctx.now, UTC)


def _timer(approval_id: str) -> str:
    return f"deadline.{approval_id}"


def _asker(ctx: Context) -> str:
    """The agent that asked: what comes from one has a cause, or an inbox for the answer."""
    envelope = ctx.envelope
    return envelope.sender if envelope.cause or is_inbox(envelope.reply_to) else ""
