"""A guild with a desk, and an agent that asks there before it buys."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar

from agents.approvals.agent import ApprovalsAgent
from agents.llm.parsing import ToolCall
from guild import Agent, AgentBuilder, BaseAgentProps, Context, Guild, handles
from guild.approvals import Approval, ApprovalDecided, ApprovalDecision, ApprovalRequest
from guild.asking import AskFirst, hold, take_up
from guild.checking.plan import Plan
from guild.client import GuildClient
from guild.deciding import list_approvals, show_approval
from guild.spec.spec import GuildSpec
from guild.testing import PATIENCE_S, guild_of
from messaging.bus import Bus
from messaging.wire.message import Message
from messaging.wire.replies import RequestFailed
from messaging.wire.topic import EVENTS_TOPIC
from tests.messaging.conftest import Site

DESK, BUYER, SPENDER = "desk", "buyer", "spender"
LEASE_S = 1.0


class Buy(Message, wire_name="shop.buy"):
    item: str


class Bought(Message, wire_name="shop.bought"):
    item: str


class SoldOutError(Exception):
    retryable = False


class BuyerProps(BaseAgentProps):
    approvals: AskFirst = AskFirst()


class Buyer(Agent[BuyerProps]):
    """Counts what it was asked and what it did, in this process."""

    asked: ClassVar[Counter[str]] = Counter()
    bought: ClassVar[Counter[str]] = Counter()

    @handles(answers=[Bought, RequestFailed])
    async def buy(self, order: Buy, ctx: Context) -> None:
        self.asked[order.item] += 1
        what, details = f"Buy {order.item}", order.model_dump()
        hold(order, self.properties.approvals, ctx, what=what, details=details)

    @handles(answers=[Bought, RequestFailed])
    async def decided(self, decision: ApprovalDecision, ctx: Context) -> None:
        held = await take_up(decision, Buy, ctx)
        if held is not None:
            await held.settle(decision, self._buy, ctx)

    async def _buy(self, order: Buy) -> Bought:
        """Whatever a test of this process is to see of it."""
        if order.item == "nothing":
            raise SoldOutError("nothing is left")
        if order.item == "glass":
            raise RuntimeError("broken")
        self.bought[order.item] += 1
        return Bought(item=order.item)


class Booked(Message, wire_name="shop.booked"):
    """Sent in the commit of what was done."""

    item: str


class Bookkeeper(Buyer):
    """Books what it buys, so that it can be counted whatever process did it."""

    @handles(answers=[Bought, RequestFailed], sends=[Booked])
    async def decided(self, decision: ApprovalDecision, ctx: Context) -> None:
        held = await take_up(decision, Buy, ctx)
        if held is not None:
            await held.settle(decision, self._buy, ctx)
            if decision.approved:
                ctx.send(Booked(item=held.kept.item), "books", reply_to="")


class Spend(Message, wire_name="shop.spend"):
    amounts: tuple[int, ...]


class Spent(Message, wire_name="shop.spent"):
    amounts: tuple[int, ...]


class Spender(Agent):
    """Asks while it handles, as a loop of tools does."""

    asks: ClassVar[Any] = None
    fails: ClassVar[asyncio.Event] = asyncio.Event()

    @handles
    async def spend(self, order: Spend, ctx: Context) -> Spent:
        calls = [
            asyncio.create_task(self.asks(ToolCall("spend", {"amount": amount})))
            for amount in order.amounts
        ]
        failing = asyncio.create_task(Spender.fails.wait())
        try:
            all_decided = asyncio.gather(*calls)
            await asyncio.wait([failing, all_decided], return_when=asyncio.FIRST_COMPLETED)
            if failing.done():
                raise RuntimeError("the model is away")
            answers = await all_decided
        finally:
            for task in (failing, *calls):
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*calls)
        chosen = zip(order.amounts, answers, strict=True)
        return Spent(amounts=tuple(amount for amount, answer in chosen if answer is True))


def crashing_shop() -> GuildSpec:
    """The guild for processes that are killed: others take over after a second."""
    desk = AgentBuilder(ApprovalsAgent).set_id(DESK).add_additional_topic("approvals")
    buyer = AgentBuilder(Bookkeeper).set_id(BUYER).add_additional_topic("orders")
    spender = AgentBuilder(Spender).set_id(SPENDER).add_additional_topic("spendings")
    agents = [
        agent.listen_to_default_topic(False).set_lease(LEASE_S).build_spec()
        for agent in (desk, buyer, spender)
    ]
    spec = guild_of(*agents, guild_id="shop")
    return spec.replaced({**spec.as_data(), "ends": ["shop.booked"], "topics": ["books"]})


def shop(desk: dict[str, Any] | None = None, buyer: dict[str, Any] | None = None) -> GuildSpec:
    """The guild, with these properties."""
    return guild_of(
        AgentBuilder(ApprovalsAgent)
        .set_id(DESK)
        .listen_to_default_topic(False)
        .add_additional_topic("approvals")
        .set_properties(desk or {})
        .build_spec(),
        AgentBuilder(Buyer)
        .set_id(BUYER)
        .listen_to_default_topic(False)
        .add_additional_topic("orders")
        .set_retry(attempts=1)
        .set_properties(buyer or {})
        .build_spec(),
        guild_id="shop",
    )


@asynccontextmanager
async def running(site: Site, spec: GuildSpec | None = None) -> AsyncIterator[GuildClient]:
    """The guild on a store that the test may open again."""
    Buyer.asked.clear()
    Buyer.bought.clear()
    spec = spec or shop()
    bus = Bus(await site.open(), registry=Plan.of(spec).messages, owns_backend=False)
    async with bus, Guild.launch(spec, bus=bus) as guild:
        yield guild.client


async def lying(
    client: GuildClient, count: int = 1, *, patience_s: float = PATIENCE_S
) -> Sequence[Approval]:
    """The open approvals, once there are `count`."""
    async with asyncio.timeout(patience_s):
        while True:
            found = await list_approvals(client)
            if len(found) >= count:
                return found
            await asyncio.sleep(0.005)


def asking(
    client: GuildClient, *, timeout_s: float = 30.0, **request: Any
) -> asyncio.Task[ApprovalDecision]:
    """A client that asks and waits."""
    asked = ApprovalRequest(**{"what": "Spend 3 EUR", **request})
    waiting = client.request("approvals", asked, ApprovalDecision, timeout_s=timeout_s)
    return asyncio.create_task(waiting)


def buying(client: GuildClient, item: str = "tea") -> asyncio.Task[Any]:
    """A client that waits for what an agent asks about first."""
    return asyncio.create_task(client.request("orders", Buy(item=item)))


async def told(client: GuildClient) -> list[ApprovalDecided]:
    """What `guild.events` tells of decisions."""
    taps = client.tap([EVENTS_TOPIC], from_start=True, follow=False)
    return [tapped.message async for tapped in taps if isinstance(tapped.message, ApprovalDecided)]


async def decided(client: GuildClient, approval_id: str) -> Approval:
    """An approval, once it is no longer open."""
    async with asyncio.timeout(3 * PATIENCE_S):
        while True:
            approval = await show_approval(client, approval_id)
            if approval.decision is not None:
                return approval
            await asyncio.sleep(0.02)


async def keys(client: GuildClient, agent: str, *, own: bool = False) -> list[str]:
    """Of the state of an agent; with those of the bus's own."""
    found = client.state(agent).keys(with_the_buses_own=own)
    return [key.key async for key in found]
