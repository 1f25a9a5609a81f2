"""Asks a person on the bus about the calls of a model, for whoever runs these calls."""

from agents.llm.parsing import ToolCall
from guild import GuildClient
from guild.approvals import ApprovalDecision
from guild.asking import AskFirst, why_not

_SPARE_S = 60.0  # for the desk to say that the deadline has passed


class ApproveByMessages:
    """What `run_tools` and a `Toolbox` take as `approve`: a desk of the guild is asked.

    Whoever runs the calls waits meanwhile. Killed while it waits, it asks again: an agent that must
    not do that is `llm.stateful`, or one that uses `guild.asking`.

    Args:
        client: of the guild.
        asks: where, and what holds when nobody answers.
    """

    def __init__(self, client: GuildClient, asks: AskFirst | None = None) -> None:
        self._client = client
        self._asks = asks or AskFirst()

    async def __call__(self, call: ToolCall) -> bool | str:
        """Whether it may be run; if not, why.

        Raises:
            BusError: as `GuildClient.request`.
        """
        asks = self._asks
        details = {"tool": call.name, "arguments": dict(call.arguments)}
        request = asks.request(f"Call {call.name}", "A language model wants to call it.", details)
        decision = await self._client.request(
            asks.topic, request, ApprovalDecision, timeout_s=asks.deadline_s + _SPARE_S
        )
        return decision.approved or why_not(decision)
