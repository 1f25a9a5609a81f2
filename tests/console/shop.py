"""A guild with something to see in each view: it works, fails, is slow, writes text, asks back."""

import asyncio
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field

from guild.agent.agent import Agent, handles
from guild.approvals import ApprovalDecision, ApprovalRequest
from guild.checking.loader import load_yaml
from guild.progress import Progress, TextDelta
from guild.spec.spec import GuildSpec
from messaging.handling.context import Context
from messaging.wire.message import Message

RIGHT_TO_LEFT = "\u202e"


class Card(BaseModel):
    """Paid by card."""

    kind: Literal["card"] = "card"
    number: str = Field(min_length=4, max_length=19)
    valid_until: str = Field(default="12/30", pattern=r"^\d\d/\d\d$")


class Invoice(BaseModel):
    """Paid later."""

    kind: Literal["invoice"] = "invoice"
    days: int = Field(default=30, ge=1, le=90)


class Box(BaseModel):
    """What is packed, and the boxes in it."""

    item: str
    inside: list[Self] = []


class Speed(StrEnum):
    SLOW = "slow"
    FAST = "fast"


class PlaceOrder(Message, wire_name="shop.place_order"):
    """Order something.

    Attributes:
        customer: who gets it.
    """

    customer: str = Field(min_length=1, max_length=200)
    boxes: list[Box] = Field(min_length=1, max_length=20)
    payment: Annotated[Card | Invoice, Field(discriminator="kind")]
    speed: Speed = Speed.SLOW
    gift: bool = False
    weight_kg: float | None = Field(default=None, gt=0)
    labels: dict[str, int] = Field(default={})
    note: str = ""


class OrderPlaced(Message, wire_name="shop.order_placed"):
    """An order is on its way."""

    order: str
    boxes: int


class Reserve(Message, wire_name="shop.reserve"):
    """Take goods from the shelf."""

    order: str
    boxes: int


class Charge(Message, wire_name="shop.charge"):
    """Take money."""

    order: str
    number: str
    cents: int


class Say(Message, wire_name="shop.say"):
    """Talk with the desk."""

    text: str = Field(min_length=1)


class Ship(Message, wire_name="shop.ship"):
    """Send an order away, if a person lets it go."""

    order: str
    carriers: tuple[str, ...] = ()


class Said(Message, wire_name="shop.said"):
    """What the desk said."""

    text: str


class Clerk(Agent):
    """Takes orders."""

    @handles(sends=[Reserve, Charge], emits=[Progress])
    async def place(self, order: PlaceOrder, ctx: Context) -> OrderPlaced:
        for done in (1, 2):
            ctx.emit(Progress(task="packing", done=done, total=2, text=order.customer))
        ctx.send(Reserve(order=ctx.message_id, boxes=len(order.boxes)), topic="shelf")
        number = order.payment.number if isinstance(order.payment, Card) else "invoice"
        ctx.send(Charge(order=ctx.message_id, number=number, cents=990), topic="till")
        return OrderPlaced(order=ctx.message_id, boxes=len(order.boxes))


class Shelf(Agent):
    """Has everything."""

    @handles
    async def reserve(self, request: Reserve) -> None: ...


class CardRefusedError(Exception):
    """The bank said no."""


class Till(Agent):
    """Takes any card but one."""

    @handles
    async def charge(self, request: Charge) -> None:
        if request.number.startswith("0000"):
            raise CardRefusedError(f"<b>no</b> money on {request.number}{RIGHT_TO_LEFT}gnp.exe")


class Desk(Agent):
    """Repeats what it hears, word by word, and waits when told to."""

    @handles(emits=[TextDelta])
    async def say(self, request: Say, ctx: Context) -> Said:
        words = request.text.split(" ")
        for number, word in enumerate(words):
            ctx.emit(TextDelta(text=word if number == 0 else f" {word}"))
        if "wait" in words:
            await asyncio.Event().wait()
        return Said(text=request.text)


def order(number: str = "4111 1111", customer: str = "Ada") -> PlaceOrder:
    """An order of one book, paid by card."""
    return PlaceOrder(customer=customer, boxes=[Box(item="book")], payment=Card(number=number))


class Dock(Agent):
    """Asks before anything leaves the house."""

    @handles(sends=[ApprovalRequest])
    async def ship(self, request: Ship, ctx: Context) -> None:
        asked = ApprovalRequest(
            what=f"Ship <i>{request.order}</i>{RIGHT_TO_LEFT}",
            why="It cannot be taken back.",
            details={"order": request.order, "grams": 1152921504606846977},
            options=request.carriers,
        )
        ctx.send(asked, topic="approvals")

    @handles
    async def decided(self, decision: ApprovalDecision) -> None: ...


SPEC = """
id: {id}
name: Shop
description: Sells boxes.
bus: {bus}
drain_s: 0.2
agents:
  - {{id: clerk, type: "{here}:Clerk", topics: [orders]}}
  - {{id: shelf, type: "{here}:Shelf", topics: [shelf], replicas: 2}}
  - {{id: till, type: "{here}:Till", topics: [till], retry: {{attempts: 2, backoff_s: 0.01}}}}
  - {{id: desk, type: "{here}:Desk", topics: [desk]}}
  - {{id: dock, type: "{here}:Dock", topics: [dock]}}
  - {{id: approvals, type: "agents.approvals.agent:ApprovalsAgent", topics: [approvals]}}
"""


def shop(guild_id: str, bus: str = "memory://") -> GuildSpec:
    """The shop on this bus."""
    return load_yaml(
        SPEC.format(id=guild_id, bus=bus, here=__name__), allow=[__package__, "agents"]
    )
