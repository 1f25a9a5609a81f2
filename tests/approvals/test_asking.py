"""An agent that asks first: what was to be done is done once, or not at all."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from guild.approvals import MOST_DETAILS_BYTES, ApprovalDecision, ApprovalRequest
from guild.asking import AskFirst, why_not
from guild.deciding import approve, list_approvals, reject
from guild.testing import launched, settled
from messaging.errors import RequestFailedError
from messaging.wire.envelope import seal
from tests.approvals.shop import (
    BUYER,
    Bought,
    Buy,
    Buyer,
    buying,
    keys,
    lying,
    running,
    shop,
)
from tests.messaging.buses import settled_all
from tests.messaging.conftest import Site, site, url_of

__all__ = ["site", "url_of"]  # fixtures

NOW = datetime(2026, 11, 30, tzinfo=UTC)


async def test_what_was_approved_is_done_once_and_who_asked_is_not_run_again(site: Site) -> None:
    async with running(site) as client:
        bought = buying(client)
        (approval,) = await lying(client)
        assert (approval.asker, approval.request.what) == (BUYER, "Buy tea")
        assert approval.request.details == {"item": "tea"}
        assert Buyer.bought == {}

        await approve(client, approval.id, by="ada")

        assert await bought == Bought(item="tea")
        assert (Buyer.asked, Buyer.bought) == ({"tea": 1}, {"tea": 1})
        assert await keys(client, BUYER, own=True) == []


async def test_what_was_rejected_is_not_done_and_the_caller_is_told_why(site: Site) -> None:
    async with running(site) as client:
        bought = buying(client)
        (approval,) = await lying(client)

        await reject(client, approval.id, by="ada", reason="too dear")

        with pytest.raises(RequestFailedError, match="rejected by ada: too dear") as refused:
            await bought
        assert refused.value.error_type == "NotApprovedError"
        assert refused.value.dead_letter_id == ""
        assert Buyer.bought == {}
        assert await keys(client, BUYER, own=True) == []


async def test_what_nobody_decided_is_not_done(site: Site) -> None:
    async with running(site, shop(buyer={"approvals": {"deadline_s": 0.05}})) as client:
        with pytest.raises(RequestFailedError, match="rejected by default: nobody decided"):
            await buying(client)

        assert Buyer.bought == {}


async def test_what_fails_for_good_after_the_decision_is_an_answer(site: Site) -> None:
    async with running(site) as client:
        bought = buying(client, "nothing")
        (approval,) = await lying(client)

        await approve(client, approval.id, by="ada")

        with pytest.raises(RequestFailedError, match="nothing is left") as failed:
            await bought
        assert (failed.value.error_type, failed.value.dead_letter_id) == ("SoldOutError", "")
        assert not await client.bus.dead_letters.list()


async def test_what_breaks_after_the_decision_is_told_and_done_once_it_is_requeued(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decision is kept with it: nobody is asked a second time."""
    async with running(site) as client:
        bought = buying(client, "glass")
        (approval,) = await lying(client)

        await approve(client, approval.id, by="ada")

        with pytest.raises(RequestFailedError, match="RuntimeError: broken"):
            await bought
        (letter,) = await client.bus.dead_letters.list()
        assert letter.envelope.type == "guild.approval_decision"
        assert await keys(client, BUYER) == [f"held.{approval.id}"]

        monkeypatch.setattr(Buyer, "_buy", _mended)
        await client.bus.dead_letters.requeue(letter.id)
        await settled_all(client.bus, BUYER)

        assert Buyer.bought == {"glass": 1}
        assert await keys(client, BUYER) == []
        assert len(await list_approvals(client, wanted="all")) == 1


async def _mended(self: Buyer, order: Buy) -> Bought:
    self.bought[order.item] += 1
    return Bought(item=order.item)


async def test_hundreds_wait_without_holding_a_place() -> None:
    async with launched(shop()) as guild:
        waiting = [buying(guild.client, f"item {number}") for number in range(200)]
        approvals = await lying(guild.client, 200)

        for approval in approvals:
            await approve(guild.client, approval.id, by="ada")

        assert len(await asyncio.gather(*waiting)) == 200
        assert set(Buyer.bought.values()) == {1}


@pytest.mark.parametrize("cause", ["", "0" * 32], ids=["none", "another"])
async def test_a_decision_that_was_never_asked_for_does_nothing(cause: str) -> None:
    async with launched(shop()) as guild:
        client = guild.client
        bought = buying(client)
        (approval,) = await lying(client)
        forged = ApprovalDecision(id=approval.id, approved=True, at=NOW)
        inbox = f"inbox.{BUYER}"

        await client.bus.backend.append([client.bus.publisher.seal(inbox, forged, cause=cause)])
        await reject(client, approval.id, by="ada")

        with pytest.raises(RequestFailedError, match="rejected by ada"):
            await bought
        assert "tea" not in Buyer.bought


async def test_work_that_asks_again_and_again_is_not_taken_for_a_loop() -> None:
    async with launched(shop()) as guild:
        bus = guild.client.bus
        late = seal(Buy(item="tea"), "orders", by_reference=False, hops=62)

        await bus.backend.append([late])
        (approval,) = await lying(guild.client)
        await approve(guild.client, approval.id, by="ada")

        await settled(guild)
        assert approval.conversation == late.id
        assert not await bus.dead_letters.list()


def test_what_is_too_long_to_be_shown_is_shown_in_part() -> None:
    details: dict[str, Any] = {"text": "é" * MOST_DETAILS_BYTES}

    request = AskFirst().request("Write " + "x" * 5000, "because " + "y" * 9000, details)

    assert request.what.startswith("Write xxx")
    assert request.why.startswith("because yyy")
    assert len(request.what) <= 500
    assert AskFirst().request("x" * 501).what.startswith("xxx")
    assert request.details["characters"] > MOST_DETAILS_BYTES
    assert request.details["beginning"].startswith('{"text": "ééé')
    assert ApprovalRequest.model_validate_json(request.model_dump_json()) == request


def test_why_something_was_rejected_is_a_sentence() -> None:
    by_ada = ApprovalDecision(id="1", approved=False, by="ada", at=NOW, reason="too dear")
    by_default = ApprovalDecision(id="1", approved=False, is_default=True, at=NOW)

    assert why_not(by_ada) == "it was rejected by ada: too dear"
    assert why_not(by_default) == "it was rejected by default"
