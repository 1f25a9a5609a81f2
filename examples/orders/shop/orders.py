"""A conversation of several messages, as a state machine that survives a crash anywhere."""

from typing import Literal

from pydantic import BaseModel

from guild import Agent, Context, handles
from messaging import Requester, RequestFailed
from shop.messages import (
    CardCharged,
    CardDeclined,
    ChargeCard,
    OrderConfirmed,
    OrderRefused,
    PlaceOrder,
    ReleaseStock,
    ReserveStock,
    ShipOrder,
    StockMissing,
    StockReserved,
)


class Order(BaseModel):
    """Where an order stands, and whom to tell how it ends."""

    placed: PlaceOrder
    customer: Requester | None
    step: Literal["reserving", "charging", "confirmed", "refused"]


class Orders(Agent):
    """Each handler reads the order, sends what comes next, and writes the order down: all of that
    is one atomic step. Answers come to the agent's inbox, by their type to their handler.
    """

    @handles(sends=[ReserveStock])
    async def place(self, request: PlaceOrder, ctx: Context) -> None:
        ctx.send(ReserveStock(article=request.article, quantity=request.quantity), "stock")
        await self._save(ctx, Order(placed=request, customer=ctx.requester, step="reserving"))

    @handles(sends=[ChargeCard])
    async def reserved(self, _: StockReserved, ctx: Context) -> None:
        order = await self._load(ctx)
        placed = order.placed
        ctx.send(ChargeCard(card=placed.card, amount_cents=placed.amount_cents), "payments")
        await self._save(ctx, order.model_copy(update={"step": "charging"}))

    @handles(sends=[ShipOrder], answers=[OrderConfirmed])
    async def charged(self, charged: CardCharged, ctx: Context) -> None:
        order = await self._load(ctx)
        placed = order.placed
        ctx.send(ShipOrder(article=placed.article, quantity=placed.quantity), "shipping")
        await self._finish(
            ctx,
            order.model_copy(update={"step": "confirmed"}),
            OrderConfirmed(
                article=placed.article,
                quantity=placed.quantity,
                amount_cents=placed.amount_cents,
                charge_id=charged.charge_id,
            ),
        )

    @handles(answers=[OrderRefused])
    async def missing(self, missing: StockMissing, ctx: Context) -> None:
        await self._refuse(ctx, f"only {missing.left} left")

    @handles(sends=[ReleaseStock], answers=[OrderRefused])
    async def declined(self, declined: CardDeclined, ctx: Context) -> None:
        await self._refuse(ctx, declined.reason)

    @handles(sends=[ReleaseStock], answers=[OrderRefused])
    async def gave_up(self, failure: RequestFailed, ctx: Context) -> None:
        """Another agent gave up on this order; what it failed at lies in the dead letters."""
        await self._refuse(ctx, f"{failure.agent}: {failure.text}")

    async def _refuse(self, ctx: Context, reason: str) -> None:
        order = await self._load(ctx)
        placed = order.placed
        if order.step == "charging":
            released = ReleaseStock(article=placed.article, quantity=placed.quantity)
            ctx.send(released, "stock", reply_to="")
        refused = order.model_copy(update={"step": "refused"})
        await self._finish(ctx, refused, OrderRefused(reason=reason))

    async def _finish(
        self, ctx: Context, order: Order, answer: OrderConfirmed | OrderRefused
    ) -> None:
        if order.customer is not None:
            ctx.answer(order.customer, answer)
        await self._save(ctx, order)

    async def _load(self, ctx: Context) -> Order:
        order = await ctx.state.load(f"order.{ctx.conversation}", Order)
        assert order is not None, "an answer comes after its question was committed"
        return order

    async def _save(self, ctx: Context, order: Order) -> None:
        ctx.state.save(f"order.{ctx.conversation}", order)
