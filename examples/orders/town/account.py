"""What everybody has counted at the end of the day, side by side."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from guild import GuildBuilder, GuildClient
from messaging import reason_of
from shop.messages import AskStock, AskTotals, BooksClosed, Shipped, StockLevel, Totals
from town.customers import Customers, Outcome
from town.processes import HERE, Town

DELIVERED = {"lamp": 10_000, "chair": 40}
PATIENCE_S = 30.0
LOOK_EVERY_S = 0.1


class Sales(NamedTuple):
    """So many orders, worth so much; None where only the orders are counted."""

    orders: int
    amount_cents: int | None = None


class Account(NamedTuple):
    """What was counted.

    Attributes:
        sold: by who counted, what was sold.
        left: by article, how much of it is left, and how much should be.
        refused: how often customers got which reason.
        dead: how many dead letters name which error.
        requests: how many the customers sent.
    """

    sold: Mapping[str, Sales]
    left: Mapping[str, tuple[int, int]]
    refused: Mapping[str, int]
    dead: Mapping[str, int]
    requests: int

    @property
    def agrees(self) -> bool:
        """Whether each order had each of its effects once."""
        orders = {sales.orders for sales in self.sold.values()}
        amounts = {sales.amount_cents for sales in self.sold.values()} - {None}
        is_left = all(counted == expected for counted, expected in self.left.values())
        return len(orders) == len(amounts) == 1 and is_left

    def table(self) -> str:
        rows = [_row(f"sold, {who} count", *sales) for who, sales in self.sold.items()]
        rows += [_row(f"{name}s left", *both) for name, both in self.left.items()]
        rows += [_row(f"refused: {reason}", count) for reason, count in self.refused.items()]
        rows += [_row(f"dead letters: {error}", count) for error, count in self.dead.items()]
        rows.append(_row("requests over HTTP", self.requests))
        return "\n".join([*rows, "all agree" if self.agrees else "THEY DO NOT AGREE"])


async def account_of(customers: Customers, town: Town) -> Account:
    """Ask everybody, once what is on its way has arrived."""
    outcomes = customers.outcomes
    confirmed = [outcome for outcome in outcomes if outcome.is_confirmed]
    spec = GuildBuilder.from_yaml_file(HERE / "orders.yaml", allow=("shop",)).build_spec()
    async with GuildClient.connect(spec, bus=town.bus) as client:
        with suppress(TimeoutError):  # then the table shows what is missing
            async with asyncio.timeout(PATIENCE_S):
                while (await _shipped(client)).orders < len(confirmed):
                    await asyncio.sleep(LOOK_EVERY_S)
        totals: Totals = await client.request("ledger", AskTotals(), Totals)
        shipped = await _shipped(client)
        books = await _books(client, totals)
        left = {name: await _left(client, name) for name in DELIVERED}
        dead = await client.bus.dead_letters.list(max_count=1_000)
    amounts = [outcome.order.placed.amount_cents for outcome in confirmed]
    charges = [json.loads(path.read_text()) for path in town.charges.iterdir()]
    return Account(
        sold={
            "the customers": Sales(len(confirmed), sum(amounts)),
            "the bank": Sales(len(charges), sum(charge["amount_cents"] for charge in charges)),
            "the ledger": Sales(totals.orders, totals.amount_cents),
            "the closed books": books,
            "the shipping department": Sales(shipped.orders),
        },
        left={name: (left[name], _expected(name, confirmed)) for name in DELIVERED},
        refused=Counter(str(o.answer["reason"]) for o in outcomes if not o.is_confirmed),
        dead=Counter(reason_of(letter).error_type for letter in dead),
        requests=customers.asked,
    )


async def _shipped(client: GuildClient) -> Shipped:
    return await client.request("shipping", AskTotals(), Shipped)


async def _left(client: GuildClient, article: str) -> int:
    return (await client.request("stock", AskStock(article=article), StockLevel)).left


async def _books(client: GuildClient, totals: Totals) -> Sales:
    """What all the closed books say together, once that is all that was sold."""
    orders = amount_cents = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            async for tapped in client.tap(["reports"], from_start=True):
                if isinstance(tapped.message, BooksClosed):
                    orders += tapped.message.orders
                    amount_cents += tapped.message.amount_cents
                if orders >= totals.orders:
                    break
    return Sales(orders, amount_cents)


def _expected(article: str, confirmed: list[Outcome]) -> int:
    sold = [o.order.placed.quantity for o in confirmed if o.order.placed.article == article]
    return DELIVERED[article] - sum(sold)


def _row(label: str, *numbers: int | None) -> str:
    return f"{label:<44}" + "".join(f"{'' if n is None else n:>9}" for n in numbers)
