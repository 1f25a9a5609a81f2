"""What the agents of the shop say to each other. An order is known by the id of its `PlaceOrder`,
which is the conversation of everything that follows from it.
"""

from pydantic import Field

from messaging import Message


class PlaceOrder(Message, wire_name="shop.place_order"):
    article: str
    quantity: int = Field(ge=1, le=100)
    amount_cents: int = Field(ge=0)
    card: str


class OrderConfirmed(Message, wire_name="shop.order_confirmed"):
    article: str
    quantity: int
    amount_cents: int
    charge_id: str


class OrderRefused(Message, wire_name="shop.order_refused"):
    reason: str


class ReserveStock(Message, wire_name="shop.reserve_stock"):
    article: str
    quantity: int


class StockReserved(Message, wire_name="shop.stock_reserved"):
    left: int


class StockMissing(Message, wire_name="shop.stock_missing"):
    left: int


class ReleaseStock(Message, wire_name="shop.release_stock"):
    """Put back what an order that fell through had reserved."""

    article: str
    quantity: int


class ChargeCard(Message, wire_name="shop.charge_card"):
    card: str
    amount_cents: int


class CardCharged(Message, wire_name="shop.card_charged"):
    charge_id: str


class CardDeclined(Message, wire_name="shop.card_declined"):
    reason: str


class ShipOrder(Message, wire_name="shop.ship_order"):
    article: str
    quantity: int


class OrderPacked(Message, wire_name="shop.order_packed"):
    """The packing time of an order is over."""

    order: str


class StopShipping(Message, wire_name="shop.stop_shipping"):
    """Do not ship this order, unless it has left."""

    order: str


class ShippingStopped(Message, wire_name="shop.shipping_stopped"):
    order: str
    was_stopped: bool


class CloseBooks(Message, wire_name="shop.close_books"):
    """Report what was sold since the books were closed last."""


class BooksClosed(Message, wire_name="shop.books_closed"):
    orders: int
    amount_cents: int


class AskStock(Message, wire_name="shop.ask_stock"):
    article: str


class StockLevel(Message, wire_name="shop.stock_level"):
    left: int


class AskTotals(Message, wire_name="shop.ask_totals"):
    """What the ledger and the shipping department have counted since the shop was opened."""


class Totals(Message, wire_name="shop.totals"):
    orders: int = 0
    amount_cents: int = 0


class Shipped(Message, wire_name="shop.shipped"):
    orders: int = 0
