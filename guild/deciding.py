"""What whoever decides does with the approvals of a guild: list, show, approve, reject.

What lies at a desk is read from its state, so it can be listed while its agent is paused or down.
A decision is a message to the desk: the desk alone decides which of two came first.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import reduce
from operator import getitem
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from guild.approvals import (
    DECIDED,
    OPEN,
    Approval,
    ApprovalDecision,
    DecideApproval,
    DecisionRefused,
    DecisionTaken,
    Lying,
    decided_key,
    open_key,
)
from guild.checking.plan import Plan
from guild.client import GuildClient
from guild.errors import (
    DecisionRefusedError,
    NoDeskError,
    UnexpectedReplyError,
    UnknownApprovalError,
)
from guild.operations.passing import made_at
from guild.running.withdrawing import given_up_by, withdraw
from messaging.bus import DEFAULT_TIMEOUT_S, Bus
from messaging.errors import InvalidMessageError
from messaging.wire.message import problems_of, wire_type_of
from messaging.wire.topic import inbox_of

AT_ONCE = 500

ModelT = TypeVar("ModelT", bound=BaseModel)

Wanted = Literal["open", "decided", "all"]

_PREFIXES: Mapping[Wanted, tuple[str, ...]] = {
    "open": (OPEN,),
    "decided": (DECIDED,),
    "all": (OPEN, DECIDED),
}


class _Place(NamedTuple):
    """Where the state of a desk has an approval."""

    id: str
    desk: str
    key: str


def desks_of(plan: Plan) -> Sequence[str]:
    """The agents of a guild where approvals lie."""
    return [
        agent.id for agent in plan.spec.agents if DecideApproval in plan.agents[agent.id].accepted()
    ]


async def list_approvals(
    client: GuildClient, *, wanted: Wanted = "open", after: str = "", count: int | None = None
) -> Sequence[Approval]:
    """What lies at the desks of the guild, the oldest first.

    Args:
        client: of the guild.
        wanted: what is to be decided, what was decided, or both.
        after: id of an approval: only what was asked later.
        count: the most of them.

    Raises:
        NoDeskError: the guild has no desk.
        UnknownApprovalError: `after` is not kept any more, and its id does not tell when it was.
    """
    places: list[_Place] = []
    for desk in _desks(client):
        async for stored in client.state(desk).keys():
            for prefix in _PREFIXES[wanted]:
                approval_id = stored.key.removeprefix(prefix)
                if approval_id != stored.key:
                    places.append(_Place(approval_id, desk, stored.key))
    # The id of a call of a tool, or of a key, tells no time: it has to be read what it stands for.
    read = await _read_all(client.bus, [each for each in places if not made_at(each.id)])
    begin = (await _asked_at(client, after), after) if after else None
    found = [
        ((at, each.id), each)
        for each in places
        if (at := made_at(each.id) or (read[each.id].asked_at if each.id in read else None))
    ]
    chosen = [each for order, each in sorted(found) if begin is None or order > begin][:count]
    read |= await _read_all(client.bus, [each for each in chosen if each.id not in read])
    return list({each.id: read[each.id] for each in chosen if each.id in read}.values())


async def show_approval(client: GuildClient, approval_id: str) -> Approval:
    """One approval, open or decided.

    Raises:
        NoDeskError: the guild has no desk.
        UnknownApprovalError: none of them has it.
    """
    desks = _desks(client)
    for desk in desks:
        # In this order: it may be decided between the two.
        for key in (open_key(approval_id), decided_key(approval_id)):
            if (approval := await _read(client.bus, desk, key)) is not None:
                return approval
    raise UnknownApprovalError(approval_id, desks)


async def approve(
    client: GuildClient,
    approval_id: str,
    *,
    by: str,
    reason: str = "",
    option: str = "",
    message_id: str = "",
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> ApprovalDecision:
    """Let what was asked for be done; whoever asked hears of it.

    Args:
        client: of the guild.
        approval_id: which.
        by: who decides: a person, or the name of a token.
        reason: for whoever asked, and for those who look later.
        option: one of the request's, where it has some.
        message_id: a `new_id()` that you keep: decided again under it, it is decided once.
        timeout_s: how long to wait for the desk. The decision stays accepted afterwards, and counts
            if the desk takes it before the deadline.

    Raises:
        NoDeskError: the guild has no desk.
        UnknownApprovalError: none of them has it.
        DecisionRefusedError: it was decided before or withdrawn, it is too late, `by` asked for it,
            or `option` is none of its options.
        InvalidMessageError: `by` is empty, or it or a text is too long.
        MessagingError: as `GuildClient.request`.
    """
    wanted = {"approved": True, "by": by, "reason": reason, "option": option}
    return await _decide(client, approval_id, wanted, message_id, timeout_s)


async def reject(
    client: GuildClient,
    approval_id: str,
    *,
    by: str,
    reason: str = "",
    message_id: str = "",
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> ApprovalDecision:
    """Refuse what was asked for; the rest as `approve`.

    Args:
        client: of the guild.
        approval_id: which.
        by: who decides.
        reason: for whoever asked, and for those who look later.
        message_id: as for `approve`.
        timeout_s: as for `approve`.
    """
    wanted = {"approved": False, "by": by, "reason": reason}
    return await _decide(client, approval_id, wanted, message_id, timeout_s)


async def _decide(
    client: GuildClient,
    approval_id: str,
    wanted: Mapping[str, Any],
    message_id: str,
    timeout_s: float,
) -> ApprovalDecision:
    approval = await show_approval(client, approval_id)
    if approval.decision is None:
        await _refuse_what_was_given_up(client, approval)
    try:
        decision = DecideApproval(id=approval.id, **wanted)
    except ValidationError as error:
        raise InvalidMessageError(_name(DecideApproval), problems_of(error)) from None
    answer = await client.request(
        inbox_of(approval.desk), decision, timeout_s=timeout_s, message_id=message_id
    )
    if isinstance(answer, DecisionRefused):
        raise DecisionRefusedError(answer.id, answer.refusal, answer.text)
    if not isinstance(answer, DecisionTaken):
        raise UnexpectedReplyError(_name(DecisionTaken), _name(type(answer)))
    return answer.decision


async def _refuse_what_was_given_up(client: GuildClient, approval: Approval) -> None:
    """A process that died as it gave the work up has told no desk of it.

    Where no agent is known to have asked, as for a person, it is over once any agent gave it up.
    """
    work = approval.request.work
    if not work:
        return
    agents = [asker for asker in approval.askers if asker in client.plan.agents]
    async for letter in client.bus.dead_letters.find():
        if letter.envelope.id == work and (letter.group in agents or not agents):
            over, agent = (work, letter.group) if agents else (approval.id, "")
            reason = given_up_by(letter.group)
            await withdraw(client.bus, client.plan, over, agent=agent, reason=reason)
            text = f"{approval.id} is withdrawn: {reason}"
            raise DecisionRefusedError(approval.id, "withdrawn", text)


def _desks(client: GuildClient) -> Sequence[str]:
    desks = desks_of(client.plan)
    if not desks:
        raise NoDeskError(client.plan.spec.id)
    return desks


async def _asked_at(client: GuildClient, approval_id: str) -> datetime:
    return made_at(approval_id) or (await show_approval(client, approval_id)).asked_at


async def _read_all(bus: Bus, places: Sequence[_Place]) -> dict[str, Approval]:
    """By their ids, without those that were decided, or forgotten, since their keys were read."""
    approvals: dict[str, Approval] = {}
    for start in range(0, len(places), AT_ONCE):
        reading = (_read(bus, each.desk, each.key) for each in places[start:][:AT_ONCE])
        found = await asyncio.gather(*reading)
        approvals |= {approval.id: approval for approval in found if approval is not None}
    return approvals


async def _read(bus: Bus, desk: str, key: str) -> Approval | None:
    stored = await bus.backend.load_state(desk, key)
    if stored is None:
        return None
    if key.startswith(OPEN):
        return _known(Lying, stored.value).approval
    return _known(Approval, stored.value)


def _known(model: type[ModelT], stored: bytes) -> ModelT:
    """What is known here of what a desk has stored that may be newer: it is only looked at."""
    try:
        return model.model_validate_json(stored)
    except ValidationError as error:
        document = json.loads(stored)
        for problem in error.errors(include_url=False, include_input=False):
            if problem["type"] != "extra_forbidden":
                raise InvalidMessageError(model.__name__, problems_of(error)) from None
            *path, name = problem["loc"]
            del reduce(getitem, path, document)[name]
        return model.model_validate_json(json.dumps(document))


def _name(message: type[BaseModel]) -> str:
    return wire_type_of(message).name
