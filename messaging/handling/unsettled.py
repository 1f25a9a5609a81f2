"""A handling that has ended in a task which cannot settle it."""

from collections.abc import Awaitable, Callable

from messaging.backend import Delivery
from messaging.handling.settlement import Outcome

Settle = Callable[[], Awaitable[Outcome]]
"""Settles what a handling came to. Called again when it was interrupted, it does the same."""


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
