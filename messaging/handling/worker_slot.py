"""The task in which a worker handles one message after the other, and what is left for another."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from messaging.backend import Consumer, Delivery
from messaging.handling.context import Context
from messaging.handling.settlement import Outcome
from messaging.wire.envelope import Envelope

Settle = Callable[[], Awaitable[Outcome]]
"""Settles what a handling came to. Called again when it was interrupted, it does the same."""


class WorkerSlot:
    """Where a worker handles one message after the other, and where others may cancel it.

    Args:
        consumer: what lends these messages, records steps of handlers and gives turns at state.
        is_leaving: whether the worker was cancelled because it has to stop.

    Attributes:
        task: the worker's.
        is_worn: a handler has left traces in the task; another one should go on.
        settle: what settles the message in hand, once its handler has ended and more is to settle
            than what it sent.
    """

    __slots__ = ("consumer", "context", "is_leaving", "is_worn", "reason", "settle", "task")

    def __init__(self, consumer: Consumer, is_leaving: Callable[[], bool]) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.task = task
        self.is_leaving = is_leaving
        self.is_worn = False
        self.settle: Settle | None = None
        self.consumer = consumer
        self.context: Context | None = None  # while a handler runs
        self.reason: str | None = None

    @property
    def envelope(self) -> Envelope | None:
        return None if self.context is None else self.context.envelope

    def cancel(self, reason: str) -> None:
        if self.context is not None and self.reason is None:
            self.reason = reason
            self.context.over = reason or "cancelled"
            self.task.cancel()

    @property
    def is_at_work(self) -> bool:
        """False where the loop is gone and Python only tidies up behind it."""
        try:
            return asyncio.current_task() is self.task
        except RuntimeError:
            return False

    async def settle_down(self) -> str:
        """Let nothing of the cancellation reach what the worker does next; its reason."""
        reason, self.reason = self.reason, None
        assert reason is not None
        self.is_worn = True  # what else the cancellation has set off may come later
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)  # a cancellation that the handler never got to see
        self.task.uncancel()
        return reason


class UnsettledError(Exception):
    """A handling has ended, and its task is not fit to settle it: another one has to.

    Somebody cancelled the task, and neither the bus nor a user: the handler itself, or a library
    that it uses, as `asyncio.TaskGroup` does on Python 3.11 when one of its tasks fails. More of it
    may come at each further await.
    """

    def __init__(self, delivery: Delivery, settle: Settle) -> None:
        super().__init__(delivery)
        self.delivery = delivery
        self.settle = settle
