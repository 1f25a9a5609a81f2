"""What users of other systems with a person in between have reported, tried here.

langgraph 6208, 7780         a node is run again for each of its interrupts that is resumed
openai-agents-js 1435        the second approval in a row sends the result of the first again
letta 3156                   what was left of a cancelled run refuses the next message
smithers 487                 a question whose engine died cannot be listed or decided
temporal money-transfer 8    a decision that comes early is dropped: `test_desk`
zigflow 53                   what timed out can be approved still: `test_desk`, `test_withdrawn`
agentric 116, eigent 1862    what was asked for work that is over lies there: `test_withdrawn`
openai-agents-python 2660    the reason of a rejection is lost: `test_asking`, `tests.llm.tools`
lobu 2055                    a watchdog ends who waits for a person: `test_asking`, `test_killed`
crewAI 6072                  a person decides about what is not shown: `test_asking`, `test_command`
"""

import asyncio
from collections import Counter
from typing import ClassVar

import pytest

from agents.approvals.agent import ApprovalsAgent
from guild import Agent, AgentBuilder, Context, Guild, handles
from guild.approvals import ApprovalDecision
from guild.asking import AskFirst, hold, take_up
from guild.checking.plan import Plan
from guild.client import GuildClient
from guild.deciding import approve, list_approvals, reject, show_approval
from guild.testing import guild_of, launched, settled
from messaging.bus import Bus
from messaging.errors import RequestTimeoutError
from messaging.wire.envelope import new_id
from messaging.wire.message import Message
from tests.approvals.shop import (
    BUYER,
    DESK,
    Bought,
    Buy,
    Buyer,
    buying,
    decided,
    keys,
    lying,
    running,
    shop,
)
from tests.messaging.buses import settled_all
from tests.messaging.conftest import Site, site, url_of

__all__ = ["site", "url_of"]  # fixtures


class Build(Message, wire_name="shop.build"):
    steps: tuple[str, ...]


class Built(Message, wire_name="shop.built"):
    steps: tuple[str, ...]


class Builder(Agent):
    """Asks before each step, the next once the one before is decided."""

    done: ClassVar[Counter[str]] = Counter()

    @handles(answers=[Built])
    async def build(self, order: Build, ctx: Context) -> None:
        hold(order, AskFirst(), ctx, what=f"Do {order.steps[0]}")

    @handles(answers=[Built])
    async def decided(self, decision: ApprovalDecision, ctx: Context) -> None:
        held = await take_up(decision, Build, ctx)
        if held is None:
            return
        step, *left = held.kept.steps
        self.done[step] += 1
        if left:
            order = Build(steps=tuple(left))
            hold(order, AskFirst(), ctx, what=f"Do {left[0]}", requester=held.requester)
        else:
            held.answer(Built(steps=tuple(self.done)), ctx)


async def test_of_two_questions_one_is_decided_and_nothing_else_happens() -> None:
    Buyer.asked.clear()
    async with launched(shop()) as guild:
        first, second = buying(guild.client, "tea"), buying(guild.client, "milk")
        approvals = {each.request.what: each for each in await lying(guild.client, 2)}

        await approve(guild.client, approvals["Buy tea"].id, by="ada")
        assert await first == Bought(item="tea")
        await settled(guild)

        assert Buyer.asked["milk"] == Buyer.asked["tea"] == 1
        assert [each.id for each in await list_approvals(guild.client)] == [
            approvals["Buy milk"].id
        ]
        assert not second.done()
        await reject(guild.client, approvals["Buy milk"].id, by="ada")
        await asyncio.gather(second, return_exceptions=True)


async def test_questions_in_a_row_are_each_asked_and_done_once() -> None:
    Builder.done.clear()
    desk = AgentBuilder(ApprovalsAgent).set_id(DESK).add_additional_topic("approvals")
    builder = AgentBuilder(Builder).set_id("builder").add_additional_topic("sites")
    agents = [each.listen_to_default_topic(False).build_spec() for each in (desk, builder)]
    async with launched(guild_of(*agents, guild_id="shop")) as guild:
        steps = ("dig", "pour", "raise", "roof")
        building = guild.client.request("sites", Build(steps=steps), Built)
        built = asyncio.create_task(building)
        for step in steps:
            (approval,) = await lying(guild.client)
            assert approval.request.what == f"Do {step}"
            await approve(guild.client, approval.id, by="ada")

        assert await built == Built(steps=steps)
        assert Builder.done == dict.fromkeys(steps, 1)
        assert len(await list_approvals(guild.client, wanted="decided")) == 4
        assert await keys(guild.client, "builder") == []


async def test_an_agent_whose_work_was_cancelled_takes_the_next_at_once(site: Site) -> None:
    async with running(site) as client:
        kept = new_id()
        cancelled = asyncio.create_task(client.request("orders", Buy(item="tea"), message_id=kept))
        (approval,) = await lying(client)
        await client.cancel(kept)
        await decided(client, approval.id)
        await asyncio.gather(cancelled, return_exceptions=True)

        bought = buying(client, "tea")
        (again,) = await lying(client)
        await approve(client, again.id, by="ada")

        assert await bought == Bought(item="tea")
        assert Buyer.bought == {"tea": 1}


async def test_what_is_asked_is_listed_and_decided_while_no_agent_runs(site: Site) -> None:
    spec = shop()
    async with running(site) as client:
        await client.publish("orders", Buy(item="tea"))
        (approval,) = await lying(client)
        await settled_all(client.bus, BUYER)
        await settled_all(client.bus, DESK)

    bus = Bus(await site.open(), registry=Plan.of(spec).messages, owns_backend=False)
    async with bus:
        client = GuildClient(bus, Plan.of(spec))
        assert [each.id for each in await list_approvals(client)] == [approval.id]
        assert (await show_approval(client, approval.id)).state == "open"
        with pytest.raises(RequestTimeoutError):
            await approve(client, approval.id, by="ada", timeout_s=0.05)

    bus = Bus(await site.open(), registry=Plan.of(spec).messages, owns_backend=False)
    async with bus, Guild.launch(spec, bus=bus) as guild:
        found = await decided(guild.client, approval.id)
        assert found.decision is not None
        assert (found.state, found.decision.by) == ("approved", "ada")
        await settled_all(guild.client.bus, BUYER)
        assert Buyer.bought == {"tea": 1}
