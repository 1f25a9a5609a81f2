"""A desk: what is asked there is decided once, by a person or by its deadline."""

import asyncio
from datetime import timedelta
from hashlib import blake2b
from typing import Any

import pytest

from agents.approvals.agent import ApprovalsAgent, DeadlinePassed
from guild import AgentBuilder, Context, handles
from guild.approvals import (
    Approval,
    ApprovalAsked,
    ApprovalDecision,
    ApprovalRequest,
    DecideApproval,
    Lying,
    open_key,
)
from guild.deciding import _known, approve, desks_of, list_approvals, reject, show_approval
from guild.errors import DecisionRefusedError, NoDeskError, UnknownApprovalError
from guild.testing import guild_of, launched, seen
from messaging.errors import InvalidMessageError
from messaging.testing import TestClock
from messaging.wire.envelope import new_id
from tests.approvals.shop import DESK, asking, buying, decided, keys, lying, running, shop, told
from tests.guild.samples import Echo
from tests.messaging.conftest import Site, site, url_of
from tests.servers import SERVER_KINDS

__all__ = ["site", "url_of"]  # fixtures

DAY_S = 86_400.0


async def test_who_asks_hears_what_was_decided_by_whom_and_why(site: Site) -> None:
    async with running(site) as client:
        asked = asking(client, why="tea is out", details={"item": "tea"})
        (approval,) = await lying(client)

        decision = await approve(client, approval.id, by="ada", reason="we need it")

        assert await asked == decision
        assert (decision.approved, decision.by, decision.reason) == (True, "ada", "we need it")
        assert (decision.what, decision.details) == ("Spend 3 EUR", {"item": "tea"})
        assert not decision.is_default
        shown = await show_approval(client, approval.id)
        assert (shown.state, shown.decision) == ("approved", decision)
        assert await list_approvals(client) == []
        assert await list_approvals(client, wanted="decided") == [shown]


async def test_a_rejection_is_an_answer_too(site: Site) -> None:
    async with running(site) as client:
        asked = asking(client)
        (approval,) = await lying(client)

        await reject(client, approval.id, by="ada", reason="too dear")

        decision = await asked
        assert (decision.approved, decision.reason) == (False, "too dear")
        assert (await show_approval(client, approval.id)).state == "rejected"


@pytest.mark.parametrize(("default", "approved"), [("reject", False), ("approve", True)])
async def test_the_deadline_decides_where_nobody_did(
    site: Site, default: Any, approved: bool
) -> None:
    async with running(site) as client:
        decision = await asking(client, deadline_s=0.05, default=default, options=("a", "b"))

        assert (decision.approved, decision.is_default, decision.by) == (approved, True, "")
        assert decision.option == ("a" if approved else "")
        (event,) = await told(client)
        assert (event.approved, event.is_default, event.desk) == (approved, True, DESK)
        with pytest.raises(DecisionRefusedError, match="by default") as late:
            await approve(client, decision.id, by="ada")
        assert late.value.refusal == "late"


async def test_a_second_decision_is_refused_with_who_made_the_first(site: Site) -> None:
    async with running(site) as client:
        asked = asking(client)
        (approval,) = await lying(client)
        await approve(client, approval.id, by="ada", reason="fine")

        with pytest.raises(DecisionRefusedError, match=r"approved by ada at .*: fine") as second:
            await reject(client, approval.id, by="bob")

        assert second.value.refusal == "decided"
        assert (await asked).approved
        assert len(await told(client)) == 1


async def test_of_many_who_decide_at_once_one_does(site: Site) -> None:
    async with running(site) as client:
        asked = asking(client)
        (approval,) = await lying(client)
        acts = (
            (approve if number % 2 else reject)(client, approval.id, by=f"person {number}")
            for number in range(20)
        )

        results = await asyncio.gather(*acts, return_exceptions=True)

        made = [result for result in results if isinstance(result, ApprovalDecision)]
        refused = [result for result in results if isinstance(result, DecisionRefusedError)]
        assert (len(made), len(refused)) == (1, 19)
        assert await asked == made[0]
        assert [event.by for event in await told(client)] == [made[0].by]


@pytest.mark.parametrize("site", SERVER_KINDS, indirect=True)
async def test_of_many_who_decide_at_two_replicas_of_a_desk_one_does(site: Site) -> None:
    async with running(site) as client, running(site) as other:
        for _ in range(5):
            asked = asking(client)
            (approval,) = await lying(client)
            acts = (
                (approve if number % 2 else reject)(
                    client if number % 3 else other, approval.id, by=f"person {number}"
                )
                for number in range(12)
            )

            results = await asyncio.gather(*acts, return_exceptions=True)

            made = [result for result in results if isinstance(result, ApprovalDecision)]
            refused = [result for result in results if isinstance(result, DecisionRefusedError)]
            assert (len(made), len(refused)) == (1, 11)
            assert await asked == made[0]
        assert len(await told(client)) == 5


async def test_a_decision_repeated_under_its_id_is_the_same_decision(site: Site) -> None:
    async with running(site) as client:
        asked, kept = asking(client), new_id()
        (approval,) = await lying(client)

        first = await approve(client, approval.id, by="ada", message_id=kept)
        again = await approve(client, approval.id, by="ada", message_id=kept)

        assert first == again == await asked


async def test_an_id_that_nobody_knows_is_refused(site: Site) -> None:
    async with running(site) as client:
        for act in (approve, reject):
            with pytest.raises(UnknownApprovalError, match=f"no approval {'0' * 32} at {DESK}"):
                await act(client, "0" * 32, by="ada")


async def test_a_decision_that_arrives_before_anything_was_asked_is_refused_not_dropped(
    site: Site,
) -> None:
    async with running(site) as client:
        early = DecideApproval(id=new_id(), approved=True, by="ada")

        refused = await client.request("approvals", early)

        assert (refused.refusal, refused.id) == ("unknown", early.id)


async def test_who_asked_cannot_decide(site: Site) -> None:
    async with running(site) as client:
        asked = asking(client, asked_by="ada")
        bought = buying(client)
        by_person, by_agent = await lying(client, 2)
        if by_person.asker:
            by_person, by_agent = by_agent, by_person

        for approval, by in ((by_person, "ada"), (by_person, " A\uff24a"), (by_agent, "Buyer")):
            with pytest.raises(DecisionRefusedError, match=f"{by} asked for this") as own:
                await approve(client, approval.id, by=by)
            assert own.value.refusal == "own"
            assert (await show_approval(client, approval.id)).state == "open"

        await approve(client, by_person.id, by="bob")
        await approve(client, by_agent.id, by="ada")
        assert (await asked).by == "bob"
        assert (await bought).item == "tea"


async def test_the_agent_that_asked_cannot_decide_in_the_name_of_a_person(site: Site) -> None:
    async with running(site) as client:
        bought = buying(client)
        (approval,) = await lying(client)
        forged = DecideApproval(id=approval.id, approved=True, by="ada")
        as_the_asker = client.bus.publisher.seal(
            "approvals", forged, sender="buyer", reply_to="told"
        )
        in_its_conversation = client.bus.publisher.seal(
            "approvals", forged, sender="helper", conversation=approval.conversation
        )

        await client.bus.backend.append([as_the_asker, in_its_conversation])
        with pytest.raises(DecisionRefusedError):  # behind the other two
            await approve(client, approval.id, by="buyer")

        assert (await show_approval(client, approval.id)).state == "open"
        await reject(client, approval.id, by="bob")
        assert await asyncio.wait([bought])
        assert (await told(client))[0].by == "bob"


@pytest.mark.parametrize(
    ("option", "text"),
    [("", "and choose one: small, large"), ("huge", "not 'huge': small, large")],
)
async def test_where_there_are_options_one_of_them_is_chosen(
    site: Site, option: str, text: str
) -> None:
    async with running(site) as client:
        asked = asking(client, options=("small", "large"))
        (approval,) = await lying(client)

        with pytest.raises(DecisionRefusedError, match=text):
            await approve(client, approval.id, by="ada", option=option)
        await approve(client, approval.id, by="ada", option="large")

        assert (await asked).option == "large"


async def test_a_rejection_chooses_nothing(site: Site) -> None:
    async with running(site) as client:
        asked = asking(client, options=("small", "large"))
        (approval,) = await lying(client)

        await reject(client, approval.id, by="ada")

        assert not (await asked).approved


@pytest.mark.parametrize("site", SERVER_KINDS, indirect=True)
async def test_open_approvals_and_their_deadlines_outlive_every_process(site: Site) -> None:
    async with running(site) as client:
        bought = buying(client)
        await lying(client)
        bought.cancel()
        late = asking(client, deadline_s=1.0)
        _, short = await lying(client, 2)
        late.cancel()

    async with running(site) as client:
        assert len(await list_approvals(client, wanted="all")) == 2
        passed = await decided(client, short.id)
        assert passed.decision is not None
        assert passed.decision.is_default
        (approval,) = await lying(client)
        decision = await approve(client, approval.id, by="ada")
        assert decision.what == "Buy tea"


async def test_a_deadline_of_days_passes_once() -> None:
    clock = TestClock()
    async with launched(shop(), clock=clock) as guild:
        client = guild.client
        asked = asking(client, deadline_s=3 * DAY_S)
        asked_event = await seen(guild, ApprovalAsked)
        await clock.advance(2.9 * DAY_S)
        assert (await show_approval(client, asked_event.id)).state == "open"

        await clock.advance(0.2 * DAY_S)

        decision = await asyncio.wait_for(asked, 10)
        assert decision.is_default
        assert abs(decision.at - asked_event.deadline) < timedelta(days=1)
        assert len(await told(client)) == 1


async def test_a_decision_beats_a_deadline_that_has_not_passed_and_nothing_comes_later() -> None:
    clock = TestClock()
    async with launched(shop(), clock=clock) as guild:
        client = guild.client
        asked = asking(client, deadline_s=DAY_S)
        (approval,) = await lying(client)
        await approve(client, approval.id, by="ada")
        assert (await asked).by == "ada"

        await clock.advance(2 * DAY_S)

        assert [event.by for event in await told(client)] == ["ada"]
        assert f"_bus.timer.deadline.{approval.id}" not in await keys(client, DESK, own=True)


async def test_what_was_decided_is_kept_up_to_a_number() -> None:
    async with launched(shop({"keep_decided": 3})) as guild:
        client = guild.client
        ids = []
        for _ in range(7):
            asked = asking(client)
            (approval,) = await lying(client)
            await approve(client, approval.id, by="ada")
            await asked
            ids.append(approval.id)

        kept = await list_approvals(client, wanted="decided")
        assert [approval.id for approval in kept] == ids[-3:]
        with pytest.raises(UnknownApprovalError):
            await show_approval(client, ids[0])
        stored = await keys(client, DESK)
        assert len(stored) == 3 + 3 + 1, "of each the decision and its place, and the ledger"


async def test_what_was_decided_is_kept_for_a_while() -> None:
    clock = TestClock()
    async with launched(shop({"keep_s": 2 * DAY_S}), clock=clock) as guild:
        client = guild.client
        for _ in range(2):
            asked = asking(client)
            (approval,) = await lying(client)
            await approve(client, approval.id, by="ada")
            await asked
            await clock.advance(DAY_S)
        assert len(await list_approvals(client, wanted="decided")) in {1, 2}

        await clock.advance(DAY_S / 2)
        assert [each.id for each in await list_approvals(client, wanted="all")] == [approval.id]
        await clock.advance(DAY_S)

        assert await list_approvals(client, wanted="all") == []
        assert await keys(client, DESK, own=True) == ["ledger"]


async def test_a_full_desk_says_so_and_allows_nothing() -> None:
    async with launched(shop({"most_open": 2})) as guild:
        client = guild.client
        waiting = [asking(client) for _ in range(2)]
        first, _ = await lying(client, 2)

        refused = await asking(client, default="approve")

        assert not refused.approved
        assert "is full: 2 approvals lie there" in refused.reason
        await approve(client, first.id, by="ada")
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        waiting.append(asking(client))
        assert len(await lying(client, 2)) == 2
        for task in waiting:
            task.cancel()


async def test_a_deadline_that_somebody_else_declares_passed_has_not() -> None:

    async with launched(shop()) as guild:
        client = guild.client
        asked = asking(client, default="approve")
        (approval,) = await lying(client)

        await client.publish(f"inbox.{DESK}", DeadlinePassed(id=approval.id))
        await approve(client, approval.id, by="ada")

        assert (await asked).by == "ada"


async def test_a_guild_without_a_desk_says_what_to_add() -> None:
    async with launched(Echo) as guild:
        assert desks_of(guild.client.plan) == []
        with pytest.raises(NoDeskError, match=r"no desk.*approvals\.desk"):
            await list_approvals(guild.client)


async def test_the_list_is_read_in_pages() -> None:
    async with launched(shop()) as guild:
        client = guild.client
        await client.publish_many("approvals", [ApprovalRequest(what=str(n)) for n in range(25)])
        every = await lying(client, 25)

        first = await list_approvals(client, count=10)
        rest = await list_approvals(client, after=first[-1].id)

        assert [*first, *rest] == list(every)
        assert [approval.id for approval in every] == sorted(approval.id for approval in every)


async def test_the_oldest_comes_first_though_its_id_tells_no_time() -> None:
    """As that of a call of a tool, or of a key: by their ids they would come in any order."""
    async with launched(shop()) as guild:
        client, asked = guild.client, list[str]()
        for number in range(12):
            request = ApprovalRequest(what=str(number))
            asked.append(blake2b(request.what.encode(), digest_size=16).hexdigest())
            await client.publish("approvals", request, message_id=asked[-1])
            await lying(client, len(asked))
        await client.publish("approvals", ApprovalRequest(what="12"), message_id=new_id())
        every = await lying(client, 13)
        await approve(client, asked[4], by="ada")

        first = await list_approvals(client, count=4)
        rest = await list_approvals(client, after=asked[4])

        assert [approval.id for approval in every[:12]] == asked
        assert [approval.request.what for approval in first] == ["0", "1", "2", "3"]
        assert [approval.request.what for approval in rest] == [str(n) for n in range(5, 13)]
        with pytest.raises(UnknownApprovalError):
            await list_approvals(client, after="of nothing")


class NewerLying(Lying):
    """As a desk stores it that knows more than this gateway."""

    colour: str


class NewerDesk(ApprovalsAgent):
    @handles(answers=[ApprovalDecision], sends=[DeadlinePassed])
    async def ask(self, request: ApprovalRequest, ctx: Context) -> None:
        await super().ask(request, ctx)
        lying = await ctx.state.load(open_key(ctx.message_id), Lying)
        assert lying is not None
        ctx.state.save(open_key(ctx.message_id), NewerLying(**dict(lying), colour="red"))


async def test_what_a_newer_desk_has_stored_is_listed_as_far_as_it_is_known() -> None:
    """One that could not be read hid all the others."""
    desk = AgentBuilder(NewerDesk).set_id(DESK).listen_to_default_topic(False)
    spec = guild_of(desk.add_additional_topic("approvals").build_spec(), guild_id="newer")
    async with launched(spec) as guild:
        await guild.client.publish("approvals", ApprovalRequest(what="Spend"))
        (approval,) = await lying(guild.client)

    assert (approval.request.what, approval.state) == ("Spend", "open")


def test_what_is_stored_and_wrong_is_refused() -> None:
    with pytest.raises(InvalidMessageError, match="desk: Field required"):
        _known(Approval, b'{"colour": "red", "id": "1"}')


@pytest.mark.parametrize(
    "wrong",
    [
        {"what": ""},
        {"deadline_s": 0},
        {"deadline_s": 1e9},
        {"default": "maybe"},
        {"details": {"text": "x" * 20_000}},
        {"options": ("",)},
    ],
)
async def test_a_request_that_makes_no_sense_is_refused_where_it_is_made(
    wrong: dict[str, Any],
) -> None:
    with pytest.raises((ValueError, InvalidMessageError)):
        ApprovalRequest(**{"what": "Spend", **wrong})
