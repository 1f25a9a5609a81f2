"""Asks a person on the bus whether the calls of a model may run."""

import hashlib
import itertools
import json
from collections import Counter, OrderedDict

import structlog

from agents.llm.parsing import ToolCall
from guild import GuildClient
from guild.approvals import ApprovalDecision, ApprovalRequest
from guild.asking import AskFirst, why_not
from guild.deciding import show_approval
from guild.errors import NoDeskError, UnknownApprovalError
from messaging.backend import Delivery
from messaging.handling.log_context import in_hand
from messaging.wire.envelope import new_id

_SPARE_S = 60.0  # for the desk to say that the deadline has passed
_MOST_REMEMBERED = 1000
_TIME_DIGITS = 12  # what an id begins with, by which approvals are in order


class ApproveByMessages:
    """What `run_tools` and a `Toolbox` take as `approve`: a desk of the guild is asked.

    Whoever runs the calls waits meanwhile. Asked while an agent handles a message, the question is
    known by that message and the call: handled again after a crash, the call finds the question
    that was asked before, and its decision. Cancelled or given up, the question is withdrawn.

    Args:
        client: of the guild.
        asks: where, and what holds without an answer.
    """

    def __init__(self, client: GuildClient, asks: AskFirst | None = None) -> None:
        self._client = client
        self._asks = asks or AskFirst()
        self._asked: OrderedDict[str, tuple[Delivery, Counter[str]]] = OrderedDict()

    async def __call__(self, call: ToolCall) -> bool | str:
        """Whether it may be run; if not, why.

        Raises:
            BusError: as `GuildClient.request`.
        """
        details = {"tool": call.name, "arguments": dict(call.arguments)}
        request = self._asks.request(
            f"Call {call.name}", "A language model wants to call it.", details
        )
        delivery = in_hand.get()
        if delivery is None:
            decision = await self._ask(request, new_id(), "")
        else:
            decision = await self._ask_for(delivery, request, call)
        return decision.approved or why_not(decision)

    async def _ask_for(
        self, delivery: Delivery, request: ApprovalRequest, call: ToolCall
    ) -> ApprovalDecision:
        agent = str(structlog.contextvars.get_contextvars().get("agent", ""))
        work, conversation = delivery.envelope.id, delivery.envelope.conversation_id
        request = request.model_copy(update={"work": work, "asked_by": agent})
        asked = json.dumps([agent, call.name, call.arguments], sort_keys=True, default=str)
        number = self._number_of(delivery, asked)
        for again in itertools.count():
            approval_id = _id_of(work, f"{asked}{number}.{again}")
            decision = await self._decided(approval_id)
            if decision is None:
                return await self._ask(request, approval_id, conversation)
            if not decision.is_withdrawn:
                return decision
            # It was withdrawn when an earlier attempt was given up: this one asks anew.
        raise AssertionError("it counts on")

    async def _decided(self, approval_id: str) -> ApprovalDecision | None:
        """What was decided before; its answer may not be kept any more."""
        try:
            return (await show_approval(self._client, approval_id)).decision
        except (UnknownApprovalError, NoDeskError):
            return None

    async def _ask(
        self, request: ApprovalRequest, approval_id: str, conversation: str
    ) -> ApprovalDecision:
        return await self._client.request(
            self._asks.topic,
            request,
            ApprovalDecision,
            timeout_s=self._asks.deadline_s + _SPARE_S,
            message_id=approval_id,
            conversation=conversation,
        )

    def _number_of(self, delivery: Delivery, asked: str) -> int:
        """How often the same was asked before in this attempt at the message."""
        work = delivery.envelope.id
        known, counter = self._asked.get(work, (None, Counter[str]()))
        if known is not delivery:
            counter = Counter()
            self._asked[work] = delivery, counter
        if len(self._asked) > _MOST_REMEMBERED:
            self._asked.popitem(last=False)
        counter[asked] += 1
        return counter[asked]


def _id_of(work: str, asked: str) -> str:
    """An id of its own for a question: in the order of time, as all ids are."""
    digest = hashlib.sha256(f"{work} {asked}".encode(errors="surrogatepass")).hexdigest()
    return work[:_TIME_DIGITS] + digest[: len(work) - _TIME_DIGITS]
