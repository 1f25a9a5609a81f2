"""Whatever is asked, decided and forgotten in whatever order: the desk keeps its promises."""

import asyncio
from random import Random

import pytest

from agents.approvals.ledger import Ledger
from guild.approvals import Approval, ApprovalDecision, WithdrawApprovals
from guild.deciding import approve, list_approvals, reject
from guild.errors import DecisionRefusedError, UnknownApprovalError
from guild.testing import launched, state_of
from messaging.testing import TestClock
from tests.approvals.shop import DESK, asking, keys, lying, shop, told

KEEP, KEEP_S = 5, 1_000.0


@pytest.mark.parametrize(
    "seed", [*range(6), *(pytest.param(n, marks=pytest.mark.long) for n in range(6, 60))]
)
async def test_each_request_gets_one_answer_and_the_numbers_are_right(seed: int) -> None:
    random, clock = Random(seed), TestClock()
    waiting: dict[str, asyncio.Task[ApprovalDecision]] = {}
    decided: dict[str, str] = {}
    async with launched(shop({"keep_decided": KEEP, "keep_s": KEEP_S}), clock=clock) as guild:
        client = guild.client

        async def ask() -> None:
            before = {each.id for each in await list_approvals(client)}
            default = random.choice(("approve", "reject"))
            task = asking(client, deadline_s=random.uniform(1, 500), default=default, timeout_s=1e6)
            (new,) = {each.id for each in await lying(client, len(before) + 1)} - before
            waiting[new] = task

        async def decide() -> None:
            if not waiting:
                return
            chosen = random.choice([*waiting])
            act = random.choice((approve, reject))
            try:
                decision = await act(client, chosen, by=f"person {len(decided)}")
            except (DecisionRefusedError, UnknownApprovalError):
                assert waiting[chosen].done(), "refused, though it was open"
            else:
                assert chosen not in decided
                decided[chosen] = decision.by

        async def cancel() -> None:
            if waiting and not waiting[chosen := random.choice([*waiting])].done():
                await client.publish("approvals", WithdrawApprovals(work=chosen, reason="enough"))
                assert (await waiting[chosen]).is_withdrawn

        async def pass_time() -> None:
            await clock.advance(random.uniform(1, 300))

        for _ in range(60):
            await random.choice((ask, ask, decide, decide, cancel, pass_time))()
            await asyncio.sleep(0)
        await clock.advance(600.0)
        decisions = {approval: await task for approval, task in waiting.items()}

        events = await told(client)
        assert sorted(event.id for event in events) == sorted(waiting)
        assert {each.id: each.by for each in decisions.values() if each.by} == decided
        assert await list_approvals(client) == []
        kept = await list_approvals(client, wanted="decided")
        assert len(kept) <= KEEP
        assert all(_is_kept(each, clock) for each in kept)
        ledger = await state_of(guild, DESK, "ledger", Ledger)
        assert ledger is not None
        assert (ledger.lying, ledger.end - ledger.first) == (0, len(kept))
        await clock.advance(2 * KEEP_S)
        assert await keys(client, DESK, own=True) == ["ledger"]


def _is_kept(approval: Approval, clock: TestClock) -> bool:
    assert approval.decision is not None
    return approval.decision.at.timestamp() > clock.time() - KEEP_S
