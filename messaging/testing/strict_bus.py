"""A strict bus in memory, and a handler that remembers what it was handed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from pydantic import BaseModel

from messaging.backends.memory import MemoryBackend
from messaging.bus import Bus
from messaging.handling.context import Context
from messaging.handling.retry import RetryPolicy
from messaging.handling.subscription import Result, Subscription, SubscriptionOptions
from messaging.observing import Observer
from messaging.process.clock import SYSTEM
from messaging.testing.clock import TestClock
from messaging.wire.envelope import new_id
from messaging.wire.message import MessageRegistry
from messaging.wire.topic import DEFAULT_TOPIC

PATIENCE_S = 30.0
POLL_S = 0.002

QUICK_RETRY = RetryPolicy(attempts=3, backoff_s=0.0, jitter=0.0)


@asynccontextmanager
async def memory_bus(
    *message_classes: type[BaseModel],
    name: str = "tests",
    clock: TestClock | None = None,
    observer: Observer | None = None,
) -> AsyncIterator[Bus]:
    """A bus of its own in memory that knows `message_classes`, and goes by `clock` if there is one.

    It is strict: messages travel as headers and JSON, as they do between processes, so that a
    test finds what only a real server would show.
    """
    backend = MemoryBackend(f"tests-{new_id()}", strict=True, clock=clock or SYSTEM)
    registry = MessageRegistry(*message_classes)
    async with Bus(backend, name=name, registry=registry, observer=observer) as bus:
        if clock is not None:
            clock.watch(bus)
        yield bus


class Recorder:
    """A handler that remembers what it was handed.

    Args:
        answer: what it returns each time; an exception is raised instead.
        release: it waits for this event before it returns.
    """

    def __init__(
        self, answer: Result | Exception = None, *, release: asyncio.Event | None = None
    ) -> None:
        self.contexts: list[Context] = []
        self._messages: list[BaseModel] = []
        self._answer = answer
        self._release = release
        self._arrived = asyncio.Condition()

    async def __call__(self, message: BaseModel, context: Context) -> Result:
        async with self._arrived:
            self._messages.append(message)
            self.contexts.append(context)
            self._arrived.notify_all()
        if self._release is not None:
            await self._release.wait()
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    async def messages(self, count: int, *, timeout_s: float = PATIENCE_S) -> list[BaseModel]:
        """What came, once it is at least `count` messages.

        Raises:
            TimeoutError: fewer came in time.
        """
        async with asyncio.timeout(timeout_s), self._arrived:
            await self._arrived.wait_for(lambda: len(self._messages) >= count)
        return list(self._messages)

    def subscription(
        self,
        group: str,
        *message_classes: type[BaseModel],
        topic: str = DEFAULT_TOPIC,
        options: SubscriptionOptions | None = None,
    ) -> Subscription:
        """A subscription of `group` that hands this recorder everything of these classes."""
        handlers = dict.fromkeys(message_classes, self)
        options = options or SubscriptionOptions(retry=QUICK_RETRY, lease_s=2.0)
        return Subscription(group, (topic,), handlers, options)


async def eventually(holds: Callable[[], bool], *, timeout_s: float = PATIENCE_S) -> None:
    """Return once `holds()`, asking again and again.

    Raises:
        TimeoutError: it never did.
    """
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(POLL_S)
