"""What `guildbus approvals` does."""

import getpass
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from guild.approvals import Approval, ApprovalDecision
from guild.cli.calling.call import Call
from guild.cli.calling.exit_codes import OK, UsageError
from guild.client import GuildClient
from guild.deciding import (
    Wanted,
    approve,
    desks_of,
    list_approvals,
    reject,
    show_approval,
)
from guild.errors import UnknownApprovalError
from messaging.errors import RequestTimeoutError

_COLUMNS = ("id", "state", "asked", "deadline", "default", "asker", "what")
_NONE = {
    "open": "nothing is to be decided",
    "decided": "nothing was decided, or it is not kept any more",
    "all": "nothing was asked, or it is not kept any more",
}


async def list_all(call: Call, *, wanted: Wanted, after: str, count: int | None) -> int:
    """List them, one more than is shown so that it can be said that there are more."""
    async with call.client() as client:
        most = None if count is None else count + 1
        found = await list_approvals(client, wanted=wanted, after=after, count=most)
    shown = found[:count]
    if call.output.as_json:
        for approval in shown:
            call.output.json(_document(approval))
    else:
        call.output.rows(_COLUMNS, map(_row, shown), _NONE[wanted], ends_in_text=True)
    if len(found) > len(shown):
        call.output.note(f"there are more behind these: add --after {shown[-1].id}")
    return OK


async def show_one(call: Call, approval_id: str) -> int:
    """Show it whole, and how to decide."""
    async with call.client() as client, _explaining(call):
        approval = await show_approval(client, approval_id)
    if call.output.as_json:
        call.output.json(_document(approval))
        return OK
    for key, value in _facts(approval):
        if value:
            first, *others = value.splitlines()
            call.output.line(f"{key:<12} {first}")
            for line in others:  # which cannot be taken for other facts
                call.output.line(f"{'':<12} {line}")
    if approval.decision is None:
        chosen = " --option …" if approval.request.options else ""
        call.output.note(f"approve it: {call.command('approvals approve')} {approval.id}{chosen}")
        call.output.note(f"reject it: {call.command('approvals reject')} {approval.id} --reason …")
    return OK


async def approve_one(
    call: Call, approval_id: str, *, option: str, reason: str, by: str | None, timeout_s: float
) -> int:
    """Approve it in the name of `by`."""
    name = _name(by)
    async with call.client() as client, _explaining(call):
        await _warn_of_absence(call, client)
        decision = await approve(
            client, approval_id, by=name, reason=reason, option=option, timeout_s=timeout_s
        )
    return _tell(call, decision)


async def reject_one(
    call: Call, approval_id: str, *, reason: str, by: str | None, timeout_s: float
) -> int:
    """Reject it in the name of `by`."""
    name = _name(by)
    async with call.client() as client, _explaining(call):
        await _warn_of_absence(call, client)
        decision = await reject(client, approval_id, by=name, reason=reason, timeout_s=timeout_s)
    return _tell(call, decision)


@asynccontextmanager
async def _explaining(call: Call) -> AsyncIterator[None]:
    try:
        yield
    except UnknownApprovalError:
        call.output.note(f"those that there are: {call.command('approvals list')} --all")
        raise
    except RequestTimeoutError:
        call.output.note("the decision stays, and counts if the desk takes it before the deadline")
        raise


async def _warn_of_absence(call: Call, client: GuildClient) -> None:
    """A desk that does not run makes whoever decides wait for nothing."""
    desks = desks_of(client.plan)
    if desks and not await client.beats(desks):
        call.output.note(
            f"warning: {', '.join(desks)} is not running, and takes the decision when it is: "
            f"{call.command('run')}"
        )


def _tell(call: Call, decision: ApprovalDecision) -> int:
    if call.output.as_json:
        call.output.json(decision.model_dump(mode="json"))
        return OK
    verdict = "approved" if decision.approved else "rejected"
    option = f" with {decision.option}" if decision.option else ""
    call.output.note(f"{verdict} {decision.id}{option}, as {decision.by}: {decision.what}")
    return OK


def _name(by: str | None) -> str:
    if by is not None and not by.strip():
        raise UsageError("--by is empty: say who decides, or leave it out")
    if by is not None:
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in many containers
        return f"uid {os.getuid()}"


def _document(approval: Approval) -> dict[str, Any]:
    return {"state": approval.state, **approval.model_dump(mode="json")}


def _row(approval: Approval) -> dict[str, Any]:
    return {
        "id": approval.id,
        "state": approval.state,
        "asked": _local(approval.asked_at),
        "deadline": _local(approval.deadline),
        "default": approval.request.default,
        "asker": approval.asker or approval.request.asked_by or "a client",
        "what": approval.request.what,
    }


def _facts(approval: Approval) -> list[tuple[str, str]]:
    request, decision, row = approval.request, approval.decision, _row(approval)
    details = json.dumps(request.details, ensure_ascii=False) if request.details else ""
    facts = [
        *((key, row[key]) for key in ("id", "state", "what")),
        ("why", request.why),
        ("details", details),
        ("options", ", ".join(request.options)),
        *((key, row[key]) for key in ("asked", "asker")),
        ("asked by", request.asked_by),
        ("conversation", approval.conversation),
        *((key, row[key]) for key in ("deadline", "default")),
    ]
    if decision is not None:
        facts += [
            ("decided", _local(decision.at)),
            ("by", decision.by or ("nobody: by default" if decision.is_default else "")),
            ("option", decision.option),
            ("reason", decision.reason),
        ]
    return facts


def _local(at: datetime) -> str:
    return at.astimezone().isoformat(timespec="seconds")
