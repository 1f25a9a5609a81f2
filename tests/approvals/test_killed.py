"""The shop is killed at each moment of an approval: it is decided once, and done once."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from guild.approvals import ApprovalAsked, ApprovalDecision
from guild.client import GuildClient
from guild.deciding import approve, list_approvals
from messaging.wire.envelope import new_id
from messaging.wire.topic import EVENTS_TOPIC
from tests.approvals.shop import (
    BUYER,
    DESK,
    Booked,
    Bought,
    Buy,
    Spend,
    asking,
    crashing_shop,
    decided,
    keys,
    lying,
    told,
)
from tests.guild.processes import TIMEOUT_S, line, running_module
from tests.reliability.workers.orders import (
    AFTER_COMMIT,
    AFTER_READ,
    BEFORE_COMMIT,
    COMMIT_SENT,
    HELD,
)
from tests.servers import running_redis

WORKER = "tests.approvals.worker"
# An order, its approval, the decision, and what was held: each is read and committed.
MOMENTS = [
    (where, which)
    for where in (AFTER_READ, BEFORE_COMMIT, COMMIT_SENT, AFTER_COMMIT)
    for which in (1, 2, 3, 4)
]
SOME = {(COMMIT_SENT, 3), (BEFORE_COMMIT, 3)}  # of the decision

at_each_moment = pytest.mark.parametrize(
    ("where", "which"),
    [
        pytest.param(*moment, id=f"{moment[0]} {moment[1]}", marks=marks)
        for moment in MOMENTS
        for marks in [() if moment in SOME else pytest.mark.long]
    ],
)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with running_redis(tmp_path) as server:
        yield server.url


@at_each_moment
async def test_what_a_person_approved_is_done_once(url: str, where: str, which: int) -> None:
    async with (
        running_module(WORKER, url, where, str(which)) as doomed,
        GuildClient.connect(crashing_shop(), bus=url) as client,
    ):
        flow = asyncio.create_task(_bought(client))
        await line(doomed, HELD)  # behind the last commit the flow may have ended before
        doomed.kill()
        async with running_module(WORKER, url):
            decision = await flow
            events = await told(client)

    assert [event.by for event in events] == ["ada"]
    assert (events[0].approved, events[0].id) == (True, decision.id)


@at_each_moment
async def test_what_nobody_decided_is_rejected_once(url: str, where: str, which: int) -> None:
    """The moments are those of the question, of its timer, and of what comes when it rings."""
    async with (
        running_module(WORKER, url, where, str(which)) as doomed,
        GuildClient.connect(crashing_shop(), bus=url) as client,
    ):
        asked = asking(client, deadline_s=0.5, timeout_s=TIMEOUT_S)
        held = asyncio.create_task(line(doomed, HELD))
        await asyncio.wait([asked, held], return_when=asyncio.FIRST_COMPLETED)
        doomed.kill()  # also where it came by less often
        held.cancel()
        async with running_module(WORKER, url):
            decision = await asked
            events = await told(client)

    assert decision.is_default
    assert not decision.approved
    assert [(event.id, event.is_default) for event in events] == [(decision.id, True)]


@at_each_moment
async def test_what_was_cancelled_is_withdrawn_once(url: str, where: str, which: int) -> None:
    """The moments are those of the order, the question, its withdrawal, and what was held."""
    async with (
        running_module(WORKER, url, where, str(which)) as doomed,
        GuildClient.connect(crashing_shop(), bus=url) as client,
    ):
        flow = asyncio.create_task(_withdrawn(client))
        await line(doomed, HELD)  # behind the last commit the flow may have ended before
        doomed.kill()
        async with running_module(WORKER, url):
            await flow
            async with asyncio.timeout(TIMEOUT_S):
                while await keys(client, BUYER):  # noqa: ASYNC110  a store tells of no change
                    await asyncio.sleep(0.02)
            (event,) = await told(client)

    assert event.is_withdrawn
    assert not event.approved


async def test_a_loop_of_tools_that_is_killed_finds_what_it_asked(url: str) -> None:
    async with GuildClient.connect(crashing_shop(), bus=url) as client:
        async with running_module(WORKER, url) as doomed:
            spending = client.request("spendings", Spend(amounts=(3,)), timeout_s=TIMEOUT_S)
            spent = asyncio.create_task(spending)
            (before,) = await lying(client, patience_s=TIMEOUT_S)
            doomed.kill()
        async with running_module(WORKER, url):
            await approve(client, before.id, by="ada", timeout_s=TIMEOUT_S)

            assert (await spent).amounts == (3,)
            assert [each.id for each in await list_approvals(client, wanted="all")] == [before.id]


async def _withdrawn(client: GuildClient) -> None:
    """Order tea, cancel it once a person is asked, and see that nothing can be decided."""
    kept = new_id()
    await client.publish("orders", Buy(item="tea"), message_id=kept)
    (approval,) = await lying(client, patience_s=TIMEOUT_S)
    await client.cancel(kept, "enough", by="ada")
    assert (await decided(client, approval.id)).state == "withdrawn"
    assert await list_approvals(client) == []


async def _bought(client: GuildClient) -> ApprovalDecision:
    """Order tea, approve what is asked, and see that all of it came once."""
    bought = asyncio.create_task(
        client.request("orders", Buy(item="tea"), Bought, timeout_s=TIMEOUT_S)
    )
    (approval,) = await lying(client, patience_s=TIMEOUT_S)
    decision = await approve(
        client, approval.id, by="ada", message_id=new_id(), timeout_s=TIMEOUT_S
    )
    assert await bought == Bought(item="tea")
    assert (await decided(client, approval.id)).decision == decision
    assert await list_approvals(client) == []
    taps = [tap async for tap in client.tap(["books", EVENTS_TOPIC], from_start=True, follow=False)]
    booked = [tap for tap in taps if isinstance(tap.message, Booked)]
    asked = [tap for tap in taps if isinstance(tap.message, ApprovalAsked)]
    assert (len(booked), len(asked)) == (1, 1)
    assert await keys(client, BUYER) == []
    assert f"decided.{approval.id}" in await keys(client, DESK)
    return decision
