"""How many approvals lie at a desk, and which of those that were decided are kept.

Those that were decided stand in a queue in the desk's state, one key for each, so that a decision
writes the same few values however many there are.
"""

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from guild import Context
from guild.approvals import decided_key
from messaging.wire.message import Message

AT_A_DECISION, AT_A_TIMER = 4, 200

_KEY = "ledger"
_TIMER = "forget"


class ForgetDecided(Message, wire_name="approvals.forget_decided"):
    """Something that was decided has been kept for long enough."""


class Bounds(BaseModel):
    """What of the decided approvals is kept: at most so many, and each for so long."""

    count: int
    age_s: float


class Ledger(BaseModel):
    """The numbers of a desk.

    Attributes:
        lying: how many approvals are open.
        first: place in the queue of the oldest that is kept.
        end: of the queue: the place of the next one.
    """

    model_config = ConfigDict(extra="forbid")

    lying: int = 0
    first: int = 0
    end: int = 0

    @classmethod
    async def load(cls, ctx: Context) -> "Ledger":
        """Loaded first by each handling, so that all take their turns in one order."""
        return await ctx.state.load(_KEY, cls) or cls()

    def save(self, ctx: Context) -> None:
        ctx.state.save(_KEY, self)

    async def keep(self, approval_id: str, at: float, bounds: Bounds, ctx: Context) -> None:
        """Put one that was decided into the queue; what is past the bounds is forgotten."""
        if self.first == self.end:
            _wake(ctx, at + bounds.age_s)
        ctx.state.save(_place(self.end), _Kept(id=approval_id, at=at))
        self.end += 1
        await self._forget(bounds, AT_A_DECISION, ctx)

    async def forget_old(self, bounds: Bounds, ctx: Context) -> None:
        """Forget what was kept for long enough, and wake up for what is left."""
        oldest = await self._forget(bounds, AT_A_TIMER, ctx)
        if oldest is not None:
            _wake(ctx, oldest.at + bounds.age_s)

    async def _forget(self, bounds: Bounds, most: int, ctx: Context) -> "_Kept | None":
        """Forget up to `most`; the oldest that is left, as far as it was looked at."""
        too_old = ctx.now - bounds.age_s
        kept = None
        for _ in range(most):
            kept = await ctx.state.load(_place(self.first), _Kept)
            if kept is None or (self.end - self.first <= bounds.count and kept.at > too_old):
                return kept
            ctx.state.delete(_place(self.first))
            ctx.state.delete(decided_key(kept.id))
            self.first += 1
        return await ctx.state.load(_place(self.first), _Kept)


class _Kept(BaseModel):
    """One place of the queue."""

    id: str
    at: float


def _place(number: int) -> str:
    return f"kept.{number}"


def _wake(ctx: Context, at: float) -> None:
    when = datetime.fromtimestamp(at, UTC)
    ctx.send(ForgetDecided(), timer=_TIMER, at=when, reply_to="", detached=True)
