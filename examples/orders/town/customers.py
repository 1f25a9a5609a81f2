"""Customers, who place an order until there is an answer."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from shop.messages import PlaceOrder

AT_ONCE = 20
PATIENCE_S = 120.0
ANSWER_S = 30.0
AGAIN_S = 0.2


class Order(NamedTuple):
    id: str
    placed: PlaceOrder


class Outcome(NamedTuple):
    """What a customer was told."""

    order: Order
    is_confirmed: bool
    answer: Mapping[str, Any]


class Customers:
    """Place orders over HTTP; the same order again, under its id, where no answer came.

    Attributes:
        asked: how many requests they sent.
    """

    def __init__(self, url: str) -> None:
        self.outcomes: list[Outcome] = []
        self.asked = 0
        self._url = url
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._changed = asyncio.Condition()

    async def place(self, order: Order) -> None:
        """Return when the order was answered.

        Raises:
            TimeoutError: it was not, for two minutes.
        """
        async with self._at_once, asyncio.timeout(PATIENCE_S):
            while (outcome := await self._ask(order)) is None:
                await asyncio.sleep(AGAIN_S)
        async with self._changed:
            self.outcomes.append(outcome)
            self._changed.notify_all()

    async def answered(self, count: int) -> None:
        """Return when that many orders were answered."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.outcomes) >= count)

    async def worker_pid(self) -> int:
        """The process of the web worker that happens to answer."""
        _, text = await asyncio.to_thread(_send, urllib.request.Request(f"{self._url}/health"))
        pid: int = json.loads(text)["pid"]
        return pid

    async def _ask(self, order: Order) -> Outcome | None:
        self.asked += 1
        request = urllib.request.Request(
            f"{self._url}/orders/{order.id}",
            data=order.placed.model_dump_json().encode(),
            method="PUT",
        )
        try:
            status, text = await asyncio.to_thread(_send, request)
        except OSError:  # the web worker has died, or is not there yet
            return None
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            return None
        if status not in (HTTPStatus.OK, HTTPStatus.CONFLICT):
            raise AssertionError(f"order {order.id} was answered by {status}: {text}")
        return Outcome(order, status == HTTPStatus.OK, json.loads(text))


def _send(request: urllib.request.Request) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
