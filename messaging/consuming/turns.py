"""Handlers that take turns, so that one limit holds for all who use them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager

from messaging.backend import Consumer, Delivery, Settlement
from messaging.handling.handling import HandlesDeliveries, Seat
from messaging.handling.settling import Again
from messaging.handling.unsettled import UnsettledError
from messaging.state.steps import Journal


class Turns:
    """`handlers`, of which `concurrency` run at a time, whichever partition they run for."""

    def __init__(self, handlers: HandlesDeliveries, concurrency: int) -> None:
        self._handlers = handlers
        self._turns = asyncio.Semaphore(concurrency)

    @property
    def is_slow(self) -> bool:
        return self._handlers.is_slow

    def seat(
        self, consumer: Consumer, is_leaving: Callable[[], bool]
    ) -> AbstractContextManager[Seat]:
        return self._handlers.seat(consumer, is_leaving)

    async def handle(self, delivery: Delivery, seat: Seat) -> Settlement | Again:
        async with self._turns:
            return await self._handlers.handle(delivery, seat)

    def give_up_on(self, delivery: Delivery, error: BaseException) -> Awaitable[Settlement | Again]:
        return self._handlers.give_up_on(delivery, error)

    def interrupted(
        self, delivery: Delivery, seat: Seat, stray: asyncio.CancelledError
    ) -> UnsettledError:
        return self._handlers.interrupted(delivery, seat, stray)

    def settle(self, left: UnsettledError, seat: Seat) -> Awaitable[Settlement | Again]:
        return self._handlers.settle(left, seat)

    def conflicted(self, settlement: Settlement) -> None:
        self._handlers.conflicted(settlement)

    def take_back(self, deliveries: Iterable[Delivery], journal: Journal) -> Awaitable[None]:
        return self._handlers.take_back(deliveries, journal)

    def let_go(self, deliveries: Iterable[Delivery]) -> None:
        self._handlers.let_go(deliveries)
