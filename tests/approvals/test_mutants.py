"""A desk with one look less: what its promises would be worth."""

import asyncio
from typing import Any

import pytest

import agents.approvals.agent as desk
import guild.asking as asking_first
from agents.approvals.agent import ApprovalsAgent
from guild.approvals import Lying, open_key
from guild.deciding import approve, reject, show_approval
from guild.errors import DecisionRefusedError
from guild.testing import launched, settled
from messaging.handling.context import Context, Requester
from messaging.testing import TestClock
from tests.approvals.shop import Buyer, asking, buying, lying, shop, told

with_mutant = pytest.mark.parametrize("is_mutant", [False, True], ids=["desk", "mutant"])


@with_mutant
async def test_if_an_approval_stayed_open_it_would_be_decided_twice(
    is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        settle = ApprovalsAgent._settle

        async def leave_open(self: Any, lying: Lying, *more: Any) -> None:
            await settle(self, lying, *more)
            more[-1].state.save(open_key(lying.approval.id), lying)

        monkeypatch.setattr(ApprovalsAgent, "_settle", leave_open)
    async with launched(shop()) as guild:
        asked = asking(guild.client)
        (approval,) = await lying(guild.client)
        await approve(guild.client, approval.id, by="ada")
        await asked

        refused = await asyncio.gather(
            reject(guild.client, approval.id, by="bob"), return_exceptions=True
        )

        assert isinstance(refused[0], DecisionRefusedError) is not is_mutant
        assert len(await told(guild.client)) == (2 if is_mutant else 1)


@with_mutant
async def test_if_no_timer_were_set_nothing_would_be_decided_by_default(
    is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        monkeypatch.setattr(Context, "_set_timer", lambda self, name, envelope: envelope.id)
    clock = TestClock()
    async with launched(shop(), clock=clock) as guild:
        asked = asking(guild.client, deadline_s=60.0)
        (approval,) = await lying(guild.client)

        await clock.advance(120.0)

        state = (await show_approval(guild.client, approval.id)).state
        assert state == ("open" if is_mutant else "rejected")
        asked.cancel()


@with_mutant
async def test_if_silence_were_consent_everything_would_be_allowed(
    is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        by_nobody = desk._by_nobody
        monkeypatch.setattr(
            desk,
            "_by_nobody",
            lambda *args, **kwargs: by_nobody(*args, **{**kwargs, "approved": True}),
        )
    clock = TestClock()
    async with launched(shop(), clock=clock) as guild:
        asked = asking(guild.client, deadline_s=60.0)
        await lying(guild.client)
        await clock.advance(120.0)

        assert (await asked).approved is is_mutant


@with_mutant
async def test_if_the_asker_were_not_looked_at_it_would_decide_for_itself(
    is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        monkeypatch.setattr(desk, "_why_refused", lambda *_: None)
    async with launched(shop()) as guild:
        asked = asking(guild.client, asked_by="ada")
        (approval,) = await lying(guild.client)

        await asyncio.gather(approve(guild.client, approval.id, by="ada"), return_exceptions=True)

        state = (await show_approval(guild.client, approval.id)).state
        assert state == ("approved" if is_mutant else "open")
        asked.cancel()


@with_mutant
async def test_if_what_waits_were_not_taken_out_a_decision_handled_twice_would_be_done_twice(
    is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        monkeypatch.setattr(asking_first, "take_up", _leaving(asking_first.take_up))
        monkeypatch.setattr("tests.approvals.shop.take_up", asking_first.take_up)
    Buyer.bought.clear()
    async with launched(shop()) as guild:
        client = guild.client
        bought = buying(client)
        (approval,) = await lying(client)
        decision = await approve(client, approval.id, by="ada")
        await bought

        again = client.bus.publisher.seal("inbox.buyer", decision, cause=approval.id)
        await client.bus.backend.append([again])
        other = buying(client, "other")  # behind it
        (second,) = await lying(client)
        await approve(client, second.id, by="ada")
        await other

        assert Buyer.bought["tea"] == (2 if is_mutant else 1)


def _leaving(take_up: Any) -> Any:
    async def left(decision: Any, model: Any, ctx: Context) -> Any:
        held = await take_up(decision, model, ctx)
        if held is not None:
            ctx.state.save(f"held.{decision.id}", held)
        return held

    return left


@with_mutant
async def test_if_the_caller_beyond_were_forgotten_it_would_not_hear_of_a_failure(
    is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        requester = Context.requester.fget
        assert requester is not None

        def forgetful(self: Context) -> Requester | None:
            found = requester(self)
            return found and found.model_copy(update={"waiter": ""})

        monkeypatch.setattr(Context, "requester", property(forgetful))
    async with launched(shop()) as guild:
        bought = buying(guild.client, "glass")
        (approval,) = await lying(guild.client)
        await approve(guild.client, approval.id, by="ada")
        await settled(guild)

        done, _ = await asyncio.wait([bought], timeout=0.5 if is_mutant else 30)

        assert bool(done) is not is_mutant
        bought.cancel()
        await asyncio.gather(bought, return_exceptions=True)
