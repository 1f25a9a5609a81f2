"""Timers: something that happens later, unless it is called off before."""

from pydantic import BaseModel

from guild import Agent, BaseAgentProps, Context, handles
from shop.messages import (
    AskTotals,
    OrderPacked,
    ShipOrder,
    Shipped,
    ShippingStopped,
    StopShipping,
)

COUNT = "shipped"


class ShippingProps(BaseAgentProps):
    packing_s: float = 60.0


class Parcel(BaseModel):
    has_left: bool = False


class Shipping(Agent[ShippingProps]):
    """A timer is set in the commit of a handling, rings once, and outlives every process."""

    @handles(sends=[OrderPacked])
    async def pack(self, _: ShipOrder, ctx: Context) -> None:
        order = ctx.conversation
        ctx.state.save(f"parcel.{order}", Parcel())
        ctx.send(
            OrderPacked(order=order),
            timer=f"packed.{order}",
            delay_s=self.properties.packing_s,
            reply_to="",
        )

    @handles
    async def ship(self, packed: OrderPacked, ctx: Context) -> None:
        shipped = await ctx.state.load(COUNT, Shipped) or Shipped()
        ctx.state.save(COUNT, Shipped(orders=shipped.orders + 1))
        ctx.state.save(f"parcel.{packed.order}", Parcel(has_left=True))

    @handles
    async def stop_shipping(self, request: StopShipping, ctx: Context) -> ShippingStopped:
        parcel = await ctx.state.load(f"parcel.{request.order}", Parcel)
        if parcel is None or parcel.has_left:
            return ShippingStopped(order=request.order, was_stopped=False)
        ctx.cancel_timer(f"packed.{request.order}")
        ctx.state.delete(f"parcel.{request.order}")
        return ShippingStopped(order=request.order, was_stopped=True)

    @handles
    async def tell(self, _: AskTotals, ctx: Context) -> Shipped:
        return await ctx.state.load(COUNT, Shipped) or Shipped()
