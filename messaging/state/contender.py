"""One handling that uses the state of its group, as `messaging.state.contention` sees it."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from messaging.backend import Consumer, Delivery


class Lost(NamedTuple):
    """A handling whose write came too late: it runs again once it has turns at `keys`.

    Attributes:
        times: how often it has lost so far.
        in_turn: how often of these although it had the turn.
    """

    keys: tuple[str, ...] = ()
    times: int = 0
    in_turn: int = 0


class Contender:
    """One handling, from the first key that it loads until it is settled.

    Attributes:
        entered: the keys that it has loaded.
        mine: the keys at which it has its turn in this process.
        shared: the keys for which it queues in the store, or has its turn there.
        wants: the keys at which it waits for a turn, each with those that have turns in its group.
        asks: how many answers it waits for.
        is_over: its handler has ended; a thread of it that goes on gets no turn any more.
        patience: the limit on its time, which stands still while it waits for a turn.
    """

    __slots__ = (
        "asks", "before", "consumer", "conversation", "entered", "is_over", "message_id", "mine",
        "patience", "shared", "type", "wants",
    )  # fmt: skip

    def __init__(self, delivery: Delivery, consumer: Consumer, before: Lost = Lost()) -> None:  # noqa: B008 - a frozen value
        self.type = delivery.envelope.type
        self.message_id = delivery.envelope.id
        self.conversation = delivery.envelope.conversation_id
        self.consumer = consumer
        self.before = before
        self.entered: dict[str, None] = {}  # in order, unlike a set: a seed has one outcome
        self.mine: dict[str, None] = {}
        self.shared: tuple[str, ...] = ()
        self.wants: list[tuple[str, Mapping[str, Contender]]] = []
        self.asks = 0
        self.is_over = False
        self.patience: asyncio.Timeout | None = None

    def may_have_asked(self, other: "Contender") -> bool:
        """Whether it may be waiting for the answer of `other`."""
        return self.asks > 0 and self.conversation == other.conversation

    @contextmanager
    def asking(self) -> Iterator[None]:
        """While it waits for an answer."""
        self.asks += 1
        try:
            yield
        finally:
            self.asks -= 1

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While it waits for a turn; the handler's own time does not run."""
        loop, patience = asyncio.get_running_loop(), self.patience
        ends_at = patience.when() if patience is not None else None
        if patience is None or ends_at is None or patience.expired():
            yield
            return
        left_s = ends_at - loop.time()
        patience.reschedule(None)
        try:
            yield
        finally:
            if self.patience is patience:
                patience.reschedule(loop.time() + left_s)
