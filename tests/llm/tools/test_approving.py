"""A loop of tools whose calls a person decides about, at the desk of a guild."""

import asyncio

import pytest

from agents.llm.bus.approving import ApproveByMessages
from agents.llm.chat import ChatMessage
from agents.llm.parsing import Parsed, ToolCall
from agents.llm.tools import run_tools
from guild.asking import AskFirst
from guild.deciding import approve, reject
from guild.testing import launched
from tests.approvals.shop import lying, shop


async def test_of_two_calls_at_once_each_has_its_own_decision() -> None:
    outputs = iter(
        [
            Parsed("", "", (ToolCall("spend", {"n": 1}, "a"), ToolCall("spend", {"n": 2}, "b"))),
            Parsed("", "done"),
        ]
    )
    spent: list[int] = []

    def spend(n: int) -> str:
        spent.append(n)
        return f"spent {n}"

    async def ask(_: list[ChatMessage]) -> Parsed:
        return next(outputs)

    async with launched(shop()) as guild:
        asks = ApproveByMessages(guild.client)
        running = asyncio.create_task(
            run_tools(ask, [{"role": "user", "content": "x"}], [spend], approve=asks)
        )
        approvals = await lying(guild.client, 2)
        by_number = {each.request.details["arguments"]["n"]: each for each in approvals}
        await approve(guild.client, by_number[2].id, by="ada")
        await reject(guild.client, by_number[1].id, by="ada", reason="too dear")
        run = await running

    assert spent == [2]
    assert [result.text for result in run.results] == [
        "Error: the call was not allowed: it was rejected by ada: too dear",
        "spent 2",
    ]


@pytest.mark.parametrize(("default", "allowed"), [("approve", True), ("reject", False)])
async def test_a_deadline_decides(default: str, allowed: bool) -> None:
    asks = AskFirst.model_validate({"deadline_s": 0.05, "default": default})
    async with launched(shop()) as guild:
        answer = await ApproveByMessages(guild.client, asks)(ToolCall("spend", {}, "a"))

    assert (answer is True) is allowed
