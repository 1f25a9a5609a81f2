"""State that every message wants to change."""

from pydantic import BaseModel, Field

from guild import Agent, BaseAgentProps, Context, handles
from shop.messages import (
    AskStock,
    ReleaseStock,
    ReserveStock,
    StockLevel,
    StockMissing,
    StockReserved,
)


class StockProps(BaseAgentProps):
    """What was delivered before the shop opened, by article."""

    delivered: dict[str, int] = Field(default_factory=dict)


class Article(BaseModel):
    left: int


class Stock(Agent[StockProps]):
    """One number an article. Handlings of one key wait for each other, in this process and between
    processes, so that no reservation is lost or made twice.
    """

    @handles
    async def reserve(self, wanted: ReserveStock, ctx: Context) -> StockReserved | StockMissing:
        left = await self._left(wanted.article, ctx)
        if left < wanted.quantity:
            return StockMissing(left=left)
        return StockReserved(left=self._put(wanted.article, left - wanted.quantity, ctx))

    @handles
    async def release(self, released: ReleaseStock, ctx: Context) -> None:
        left = await self._left(released.article, ctx)
        self._put(released.article, left + released.quantity, ctx)

    @handles
    async def tell(self, question: AskStock, ctx: Context) -> StockLevel:
        return StockLevel(left=await self._left(question.article, ctx))

    async def _left(self, name: str, ctx: Context) -> int:
        article = await ctx.state.load(f"article.{name}", Article)
        return self.properties.delivered.get(name, 0) if article is None else article.left

    def _put(self, name: str, left: int, ctx: Context) -> int:
        ctx.state.save(f"article.{name}", Article(left=left))
        return left
