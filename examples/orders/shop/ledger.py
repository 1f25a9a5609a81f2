"""A schedule, and a route: the ledger is told of each confirmed order by the spec alone."""

from guild import Agent, Context, handles
from shop.messages import AskTotals, BooksClosed, CloseBooks, OrderConfirmed, Totals

ALL, OPEN = "since the shop was opened", "since the books were closed"


class Ledger(Agent):
    @handles
    async def count(self, sold: OrderConfirmed, ctx: Context) -> None:
        for key in (ALL, OPEN):
            totals = await ctx.state.load(key, Totals) or Totals()
            ctx.state.save(
                key,
                Totals(
                    orders=totals.orders + 1,
                    amount_cents=totals.amount_cents + sold.amount_cents,
                ),
            )

    @handles(sends=[BooksClosed])
    async def close(self, _: CloseBooks, ctx: Context) -> None:
        sold = await ctx.state.load(OPEN, Totals) or Totals()
        ctx.send(BooksClosed(orders=sold.orders, amount_cents=sold.amount_cents), "reports")
        ctx.state.delete(OPEN)

    @handles
    async def tell(self, _: AskTotals, ctx: Context) -> Totals:
        return await ctx.state.load(ALL, Totals) or Totals()
