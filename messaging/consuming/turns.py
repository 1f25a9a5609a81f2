"""Handlers that take turns, so that one limit holds for all who use them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager

from messaging.backend import Consumer, Delivery, Settlement
from messaging.handling.runner import HandlesDeliveries, WorkerSlot
from messaging.handling.settlement import RetryInPlace
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

    def slot(
        self, consumer: Consumer, is_leaving: Callable[[], bool]
    ) -> AbstractContextManager[WorkerSlot]:
        return self._handlers.slot(consumer, is_leaving)

    async def handle(self, delivery: Delivery, slot: WorkerSlot) -> Settlement | RetryInPlace:
        async with self._turns:
            return await self._handlers.handle(delivery, slot)

    def give_up_on(
        self, delivery: Delivery, error: BaseException
    ) -> Awaitable[Settlement | RetryInPlace]:
        return self._handlers.give_up_on(delivery, error)

    def interrupted(
        self, delivery: Delivery, slot: WorkerSlot, stray: asyncio.CancelledError
    ) -> UnsettledError:
        return self._handlers.interrupted(delivery, slot, stray)

    def settle(
        self, left: UnsettledError, slot: WorkerSlot
    ) -> Awaitable[Settlement | RetryInPlace]:
        return self._handlers.settle(left, slot)

    def conflicted(self, settlement: Settlement) -> None:
        self._handlers.conflicted(settlement)

    def take_back(self, deliveries: Iterable[Delivery], journal: Journal) -> Awaitable[None]:
        return self._handlers.take_back(deliveries, journal)

    def let_go(self, deliveries: Iterable[Delivery]) -> None:
        self._handlers.let_go(deliveries)
