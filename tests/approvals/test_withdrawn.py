"""What a person was asked for work that was cancelled or given up is withdrawn."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import agents.approvals.agent as desk
from agents.approvals.agent import ApprovalsAgent
from agents.llm.bus import approving
from agents.llm.bus.approving import ApproveByMessages
from guild import AgentBuilder, Context, Guild
from guild.approvals import Approval, ApprovalDecision, ApprovalRequest, WithdrawApprovals
from guild.asking import why_not
from guild.checking.plan import Plan
from guild.client import GuildClient
from guild.deciding import approve, list_approvals, reject, show_approval
from guild.errors import DecisionRefusedError
from guild.running.withdrawing import withdraw
from guild.spec.spec import GuildSpec
from guild.testing import PATIENCE_S, guild_of, launched, settled
from messaging.bus import Bus
from messaging.errors import RequestCancelledError, RequestFailedError
from messaging.wire.envelope import new_id
from tests.approvals.shop import (
    BUYER,
    DESK,
    Bought,
    Buy,
    Buyer,
    Spend,
    Spender,
    Spent,
    asking,
    buying,
    decided,
    keys,
    lying,
    running,
    shop,
    told,
)
from tests.messaging.buses import settled_all
from tests.messaging.conftest import Site, site, url_of

__all__ = ["site", "url_of"]  # fixtures


async def until_kept(client: GuildClient, agent: str, wanted: list[str]) -> None:
    """Return once the state of `agent` has these keys, and no others."""
    async with asyncio.timeout(PATIENCE_S):
        while await keys(client, agent) != wanted:  # noqa: ASYNC110  a store tells of no change
            await asyncio.sleep(0.005)


async def test_what_was_asked_for_cancelled_work_is_withdrawn_and_a_decision_is_refused(
    site: Site,
) -> None:
    async with running(site) as client:
        kept = new_id()
        bought = asyncio.create_task(client.request("orders", Buy(item="tea"), message_id=kept))
        (approval,) = await lying(client)

        await client.cancel(kept, "enough", by="bob")

        with pytest.raises(RequestCancelledError, match="enough"):
            await bought
        withdrawn = await decided(client, approval.id)
        assert withdrawn.state == "withdrawn"
        assert await list_approvals(client) == []
        assert await list_approvals(client, wanted="decided") == [withdrawn]
        for act in (approve, reject):
            with pytest.raises(DecisionRefusedError) as late:
                await act(client, approval.id, by="ada")
            assert late.value.refusal == "withdrawn"
            assert "was withdrawn at" in str(late.value)
            assert "its work was cancelled by bob: enough" in str(late.value)
        (event,) = await told(client)
        assert (event.is_withdrawn, event.approved, event.by) == (True, False, "bob")
        await until_kept(client, BUYER, [])
        assert Buyer.bought == {}
        assert f"_bus.timer.deadline.{approval.id}" not in await keys(client, DESK, own=True)


async def test_a_conversation_that_is_cancelled_takes_all_that_was_asked_in_it_along(
    site: Site,
) -> None:
    async with running(site) as client:
        conversation, other = new_id(), buying(client, "other")
        for number in range(3):
            await client.publish("orders", Buy(item=str(number)), conversation=conversation)
        approvals = await lying(client, 4)

        await client.cancel(conversation)

        for approval in approvals:
            if approval.conversation == conversation:
                assert (await decided(client, approval.id)).state == "withdrawn"
        (left,) = await list_approvals(client)
        await approve(client, left.id, by="ada")
        assert await other == Bought(item="other")


async def test_more_than_a_commit_holds_are_withdrawn_and_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(desk, "_AT_ONCE", 3)
    async with launched(shop()) as guild:
        client, conversation = guild.client, new_id()
        orders = [Buy(item=str(number)) for number in range(20)]
        await client.publish_many("orders", orders, conversation=conversation)
        approvals = await lying(client, 20)

        await client.cancel(conversation)

        for approval in approvals:
            await decided(client, approval.id)
        await settled(guild)
        assert len(await told(client)) == 20
        assert [key for key in await keys(client, DESK) if key.startswith("of.")] == []
        assert await keys(client, BUYER) == []


async def test_a_question_that_is_cancelled_itself_is_withdrawn(site: Site) -> None:
    async with running(site) as client:
        asked = asking(client)
        (approval,) = await lying(client)

        await client.cancel(approval.id, "asked too early")

        with pytest.raises(RequestCancelledError, match="asked too early"):
            await asked
        assert (await decided(client, approval.id)).state == "withdrawn"


async def test_a_client_that_waits_in_a_cancelled_conversation_is_told(site: Site) -> None:
    async with running(site) as client:
        conversation, request = new_id(), ApprovalRequest(what="Spend 3 EUR")
        asked = asyncio.create_task(
            client.request("approvals", request, ApprovalDecision, conversation=conversation)
        )
        await lying(client)

        await client.cancel(conversation, "enough", by="bob")

        decision = await asked
        assert decision.is_withdrawn
        assert not decision.approved
        assert why_not(decision) == (
            "the question was withdrawn: its work was cancelled by bob: enough"
        )


async def test_what_was_decided_before_it_was_cancelled_stays_decided(site: Site) -> None:
    async with running(site) as client:
        asked = asking(client)
        (approval,) = await lying(client)
        decision = await approve(client, approval.id, by="ada")
        assert await asked == decision

        await client.cancel(approval.id)
        await settled_all(client.bus, DESK)

        assert (await show_approval(client, approval.id)).decision == decision
        assert len(await told(client)) == 1


async def test_a_desk_that_was_down_withdraws_what_it_finds(site: Site) -> None:
    """The bus tells of a cancellation at most once; the desk is told for good."""
    spec = shop()
    async with running(site):
        pass  # both are subscribed
    async with _part(site, spec, BUYER) as client:
        await client.publish("orders", Buy(item="tea"), conversation=(conversation := new_id()))
        await settled_all(client.bus, BUYER)
        await withdraw(client.bus, client.plan, conversation, reason="cancelled")

    async with _part(site, spec, DESK) as client:
        await settled_all(client.bus, DESK)
        (approval,) = await list_approvals(client, wanted="all")
        assert approval.state == "withdrawn"


@asynccontextmanager
async def _part(site: Site, spec: GuildSpec, agent: str) -> AsyncIterator[GuildClient]:
    bus = Bus(await site.open(), registry=Plan.of(spec).messages, owns_backend=False)
    async with bus, Guild.launch(spec, bus=bus, only=[agent]) as guild:
        yield guild.client


def spenders(attempts: int = 1) -> GuildSpec:
    desk_spec = AgentBuilder(ApprovalsAgent).set_id(DESK).add_additional_topic("approvals")
    spender = AgentBuilder(Spender).set_id("spender").add_additional_topic("spendings")
    return guild_of(
        desk_spec.listen_to_default_topic(False).build_spec(),
        spender.listen_to_default_topic(False)
        .set_retry(attempts=attempts, backoff_s=0.001)
        .build_spec(),
        guild_id="shop",
    )


@pytest.fixture(autouse=True)
def spender() -> None:
    Spender.fails = asyncio.Event()


async def test_what_was_asked_for_a_message_that_was_given_up_is_withdrawn_and_asked_anew() -> None:
    async with launched(spenders()) as guild:
        client = guild.client
        Spender.asks = ApproveByMessages(client)
        spent = asyncio.create_task(client.request("spendings", Spend(amounts=(3,))))
        (approval,) = await lying(client)
        assert approval.request.asked_by == "spender"

        Spender.fails.set()

        with pytest.raises(RequestFailedError, match="the model is away"):
            await spent
        withdrawn = await decided(client, approval.id)
        assert withdrawn.decision is not None
        assert withdrawn.state == "withdrawn"
        assert withdrawn.decision.reason == "spender gave up on the work that it was asked for"

        Spender.fails = asyncio.Event()
        (letter,) = await client.bus.dead_letters.list()
        await client.requeue(letter.id)
        (again,) = await lying(client)
        assert again.id != approval.id
        await approve(client, again.id, by="ada")
        await settled(guild)
        assert not await client.bus.dead_letters.list()


async def test_a_decision_is_refused_though_nobody_could_tell_that_the_work_was_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def died(*_: Any, **__: Any) -> None: ...

    monkeypatch.setattr("guild.running.announcer.withdraw", died)
    async with launched(spenders()) as guild:
        client = guild.client
        Spender.asks = ApproveByMessages(client)
        spent = asyncio.create_task(client.request("spendings", Spend(amounts=(3,))))
        (approval,) = await lying(client)
        Spender.fails.set()
        await asyncio.gather(spent, return_exceptions=True)

        with pytest.raises(DecisionRefusedError, match="spender gave up on the work") as late:
            await approve(client, approval.id, by="ada")

        assert late.value.refusal == "withdrawn"
        assert (await decided(client, approval.id)).state == "withdrawn"


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "died"])
@pytest.mark.parametrize(
    ("asked_by", "is_over"), [("", True), ("grace", True), ("spender", True), ("desk", False)]
)
async def test_a_decision_is_refused_once_the_work_was_given_up_whoever_it_was_asked_for(
    asked_by: str, is_over: bool, is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def died(*_: Any, **__: Any) -> None: ...

    if not is_told:
        monkeypatch.setattr("guild.running.announcer.withdraw", died)
    async with launched(spenders()) as guild:
        client = guild.client
        Spender.asks = ApproveByMessages(client)
        work = new_id()
        spent = asyncio.create_task(
            client.request("spendings", Spend(amounts=(3,)), message_id=work)
        )
        (own,) = await lying(client)
        asked = ApprovalRequest(what="Spend", asked_by=asked_by, work=work)
        approval_id = await client.publish("approvals", asked)
        other_id = await client.publish(
            "approvals", ApprovalRequest(what="Rest", asked_by=asked_by)
        )
        await lying(client, 3)
        Spender.fails.set()
        await asyncio.gather(spent, return_exceptions=True)
        if is_told:
            await decided(client, own.id)

        if is_over:
            with pytest.raises(DecisionRefusedError, match="spender gave up on the work") as late:
                await approve(client, approval_id, by="ada")
            assert late.value.refusal == "withdrawn"
            assert (await decided(client, approval_id)).state == "withdrawn"
        else:
            assert (await approve(client, approval_id, by="ada")).approved
        assert (await approve(client, other_id, by="ada")).approved


async def test_a_handler_that_is_run_again_finds_what_it_asked_before_and_its_decision() -> None:
    async with launched(spenders(attempts=3)) as guild:
        client = guild.client
        Spender.asks = ApproveByMessages(client)
        spent = asyncio.create_task(client.request("spendings", Spend(amounts=(3, 3, 5)), Spent))
        before = await lying(client, 3)
        decision = await reject(client, before[0].id, by="ada")

        first, Spender.fails = Spender.fails, asyncio.Event()
        first.set()
        for approval in before[1:]:
            await approve(client, approval.id, by="bob")

        amounts = (await spent).amounts
        assert len(amounts) == 2
        everything = await list_approvals(client, wanted="all")
        assert {each.id for each in everything} == {each.id for each in before}
        assert decision in [each.decision for each in everything]


@pytest.mark.parametrize("is_mutant", [False, True], ids=["derived", "mutant"])
async def test_another_process_finds_what_was_asked_before_by_the_id_of_the_question(
    is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two helpers, as two processes have one each."""
    if is_mutant:
        monkeypatch.setattr(approving, "_id_of", lambda *_: new_id())
    async with launched(spenders(attempts=3)) as guild:
        client = guild.client
        Spender.asks = ApproveByMessages(client)
        spent = asyncio.create_task(client.request("spendings", Spend(amounts=(3,)), Spent))
        (approval,) = await lying(client)

        Spender.asks = ApproveByMessages(client)
        first, Spender.fails = Spender.fails, asyncio.Event()
        first.set()
        for each in await lying(client, 2 if is_mutant else 1):
            await approve(client, each.id, by="ada")

        assert (await spent).amounts == (3,)
        everything = [each.id for each in await list_approvals(client, wanted="all")]
        assert (everything == [approval.id]) is not is_mutant


async def test_only_what_the_agent_asked_that_gave_up_is_withdrawn() -> None:
    async with launched(shop()) as guild:
        client = guild.client
        bought = buying(client)
        (approval,) = await lying(client)

        for agent, state in (("somebody", "open"), (BUYER, "withdrawn")):
            withdrawal = WithdrawApprovals(work=approval.cause, agent=agent, reason="given up")
            await client.publish("approvals", withdrawal)
            await settled(guild)
            assert (await show_approval(client, approval.id)).state == state

        with pytest.raises(RequestFailedError, match="withdrawn: given up"):
            await asyncio.wait_for(bought, PATIENCE_S)


@pytest.mark.parametrize("is_mutant", [False, True], ids=["desk", "mutant"])
async def test_if_it_were_answered_where_it_was_asked_what_was_held_would_lie_there_for_ever(
    is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        tell = desk._tell

        def tell_there(lying: Any, decision: Any, ctx: Context) -> None:
            ctx.answer(lying.requester, decision)

        monkeypatch.setattr(desk, "_tell", tell_there)
        assert tell is not desk._tell
    async with launched(shop()) as guild:
        bought = buying(guild.client)
        (approval,) = await lying(guild.client)

        await guild.client.cancel(approval.conversation)

        await decided(guild.client, approval.id)
        await settled(guild)
        assert (await keys(guild.client, BUYER) == []) is not is_mutant
        await asyncio.gather(bought, return_exceptions=True)


def test_an_approval_that_was_stored_with_seconds_and_without_a_cause_is_read() -> None:
    stored = Approval.model_validate(
        {
            "id": "1",
            "desk": DESK,
            "asker": "",
            "conversation": "1",
            "asked_at": 1764525600.5,
            "deadline": 1764612000,
            "request": {"what": "Spend"},
            "decision": {"id": "1", "approved": True, "by": "ada", "at": 1764525601.25},
        }
    )

    assert stored.asked_at.isoformat() == "2025-11-30T18:00:00.500000+00:00"
    assert stored.works == ()
    assert '"at":"2025-11-30T18:00:01.250000Z"' in stored.model_dump_json()
