"""Asking a person before something is done, as messages; `guild.deciding` decides.

An agent sends `ApprovalRequest` to a desk, an agent such as `approvals.desk`, and its handler
returns: no worker waits. The answer, one `ApprovalDecision`, comes to its inbox like any other,
after hours or days, also when every process of the guild was restarted meanwhile. A client asks by
`client.request`, and a route may ask and go on by itself: the decision has `details` in it.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from messaging.handling.context import Requester
from messaging.wire.message import Message

DAY_S = 86_400.0
MOST_DETAILS_BYTES = 16_384
OPEN, DECIDED = "open.", "decided."

Option = Annotated[str, Field(min_length=1, max_length=200)]
Default = Literal["approve", "reject"]
State = Literal["open", "approved", "rejected", "withdrawn"]
Refusal = Literal["unknown", "decided", "late", "withdrawn", "own", "no_option"]


class ApprovalRequest(Message, wire_name="guild.approval_request"):
    """Ask whether something may be done; the answer is one `ApprovalDecision`.

    Attributes:
        what: is to be done, as a sentence for the person who decides.
        why: it is to be done, what it costs and what happens if it is not.
        details: what exactly, such as a tool's arguments. They come back with the decision.
        deadline_s: how long there is to decide, from when the desk takes the request.
        default: what holds when it was not decided by then.
        options: of which whoever approves chooses one; the first, where `default` approves. None
            of them: it is a yes or a no.
        asked_by: the person or agent for whom it is asked, who may not decide it then; "" for
            nobody.
        work: id of the message whose handling waits for the decision, where the question does not
            follow from it by itself, as it does by `ctx.send`. Cancelled or given up, the question
            is withdrawn: given up by the agent that asked, or by any where none is known to have.
    """

    what: str = Field(min_length=1, max_length=1000)
    why: str = Field(default="", max_length=8000)
    details: dict[str, Any] = Field(default={})
    deadline_s: float = Field(default=DAY_S, gt=0.0, le=366 * DAY_S)
    default: Default = "reject"
    options: tuple[Option, ...] = Field(default=(), max_length=20)
    asked_by: str = Field(default="", max_length=200)
    work: str = Field(default="", max_length=100)

    @field_validator("details")
    @classmethod
    def _are_few(cls, details: dict[str, Any]) -> dict[str, Any]:
        if (size := len(json.dumps(details, default=str))) > MOST_DETAILS_BYTES:
            raise ValueError(f"{size:,} bytes of details; {MOST_DETAILS_BYTES:,} are the most")
        return details


class ApprovalDecision(Message, wire_name="guild.approval_decision"):
    """What was decided; `is_default` where nobody did before the deadline.

    Attributes:
        id: of the approval, which is that of the request.
        by: who decided, or cancelled the work; "" where nobody did.
        is_withdrawn: nobody wants it decided any more, as its work was cancelled or given up. It is
            not approved then.
        option: which was chosen; "" where there was no choice.
        what: as it was asked, like `details`.
    """

    id: str
    approved: bool
    by: str = ""
    reason: str = ""
    is_default: bool = False
    is_withdrawn: bool = False
    at: AwareDatetime
    option: str = ""
    what: str = ""
    details: dict[str, Any] = Field(default={})


class DecideApproval(Message, wire_name="guild.decide_approval"):
    """Decide what lies at a desk; `guild.deciding` sends it."""

    id: str = Field(min_length=1, max_length=100)
    approved: bool
    by: str = Field(min_length=1, max_length=200)
    reason: str = Field(default="", max_length=4000)
    option: str = Field(default="", max_length=200)


class WithdrawApprovals(Message, wire_name="guild.withdraw_approvals"):
    """Nobody wants to know any more what is decided for this work.

    Attributes:
        work: id of an approval, of a message for which something was asked, or of a conversation.
        agent: only what this agent asked; "" for all of it.
        by: who wants that; "" for nobody in particular.
        reason: a sentence.
    """

    work: str = Field(min_length=1)
    agent: str = ""
    by: str = ""
    reason: str = ""


class DecisionTaken(Message, wire_name="guild.decision_taken"):
    """To whoever decided: so it is. A type of its own, as routes follow the decision itself."""

    decision: ApprovalDecision


class DecisionRefused(Message, wire_name="guild.decision_refused"):
    """A decision that changed nothing.

    Attributes:
        text: a sentence with what is so instead.
    """

    id: str
    refusal: Refusal
    text: str


class ApprovalAsked(Message, wire_name="guild.approval_asked"):
    """Told on `guild.events`: somebody has to decide by `deadline`."""

    id: str
    desk: str
    asker: str
    what: str
    deadline: AwareDatetime
    default: Default


class ApprovalDecided(Message, wire_name="guild.approval_decided"):
    """Told on `guild.events`: what was decided, by whom; as `ApprovalDecision` has it."""

    id: str
    desk: str
    asker: str
    what: str
    approved: bool
    by: str
    reason: str
    is_default: bool
    is_withdrawn: bool = False
    option: str


class Approval(BaseModel):
    """What lies, or lay, at a desk.

    Attributes:
        id: that of the request.
        desk: the agent where it lies.
        asker: the agent that asked; "" where it was none.
        conversation: in which it was asked.
        cause: id of the message for whose handling it was asked; "" where none was.
        decision: None while it is open.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    desk: str
    asker: str
    conversation: str
    cause: str = ""
    asked_at: AwareDatetime
    deadline: AwareDatetime
    request: ApprovalRequest
    decision: ApprovalDecision | None = None

    @property
    def askers(self) -> tuple[str, ...]:
        """The agent that asked and whoever it asked for, as far as they are known."""
        return tuple(filter(None, (self.asker, self.request.asked_by)))

    @property
    def works(self) -> tuple[str, ...]:
        """What it is withdrawn with, beside itself: messages and a conversation."""
        works = dict.fromkeys((self.conversation, self.cause, self.request.work))
        return tuple(work for work in works if work and work != self.id)

    @property
    def state(self) -> State:
        if self.decision is None:
            return "open"
        if self.decision.is_withdrawn:
            return "withdrawn"
        return "approved" if self.decision.approved else "rejected"


class Lying(BaseModel):
    """An open approval as the state of its desk has it, with the requester to answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    approval: Approval
    requester: Requester | None = None


def open_key(approval_id: str) -> str:
    """Where a desk's state has an open approval, a `Lying`."""
    return f"{OPEN}{approval_id}"


def decided_key(approval_id: str) -> str:
    """Where a desk's state has one that was decided, an `Approval`."""
    return f"{DECIDED}{approval_id}"


def withdrawn_with_key(work: str) -> str:
    """Where a desk's state has the ids of what is withdrawn with a message or conversation."""
    return f"of.{work}"


APPROVAL_EVENTS = (ApprovalAsked, ApprovalDecided)
