"""A bad day of the shop: 200 orders, while a worker, a web worker and Redis are killed.

    python story.py [--orders 200]

Starts Redis, the bank, `guildbus run` and two web workers, places the orders over HTTP, kills each
of the three once with -9, and compares at the end what everybody has counted. Needs redis-server
or valkey-server on the PATH.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from messaging import new_id
from shop.messages import PlaceOrder
from town.account import Account, account_of
from town.customers import Customers, Order
from town.processes import Town

AWAY_S = 1.0
KILL_EVERY = 4  # a fault after each quarter of the orders


def order_of(number: int) -> Order:
    """Of twenty orders one has a card without money, one a card that no bank knows, and two ask for
    chairs, of which there are too few.
    """
    card = {3: "0002", 13: "9999"}.get(number % 20, "4242")
    article, quantity = ("chair", 3) if number % 10 == 7 else ("lamp", 1 + number % 3)
    return Order(
        new_id(),
        PlaceOrder(article=article, quantity=quantity, amount_cents=100 * quantity, card=card),
    )


async def bad_day(folder: Path, count: int) -> Account:
    """Run the story in `folder` and return what everybody has counted."""
    with ExitStack() as stack:
        town = Town(folder, stack)
        for name in ("redis", "bank", "guild", "web"):
            town.start(name)
        for name in ("redis", "bank", "web"):
            await town.listens(name)
        customers = Customers(town.url("web"))
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(customers.place(order_of(number)))
            await customers.answered(count // KILL_EVERY)
            _tell("kill -9: the process of all agents")
            town.kill("guild")
            town.start("guild")
            await customers.answered(2 * count // KILL_EVERY)
            _tell("kill -9: one of the two web workers")
            os.kill(await customers.worker_pid(), signal.SIGKILL)
            await customers.answered(3 * count // KILL_EVERY)
            _tell(f"kill -9: Redis, which is away for {AWAY_S:g} s")
            town.kill("redis")
            await asyncio.sleep(AWAY_S)
            town.start("redis")
        return await account_of(customers, town)


def _tell(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=200)
    count = parser.parse_args().orders
    with tempfile.TemporaryDirectory(prefix="shop-") as folder:
        account = asyncio.run(bad_day(Path(folder), count))
    _tell(account.table())
    return 0 if account.agrees else 1


if __name__ == "__main__":
    sys.exit(main())
