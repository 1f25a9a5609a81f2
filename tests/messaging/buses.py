"""Small words for tests of the bus: messages, buses on one site, what lies in a topic."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from messaging.backend import Backend, DeadLetter, Entry
from messaging.bus import Bus
from messaging.handling.context import Context
from messaging.handling.retry import RetryPolicy
from messaging.handling.subscription import Handler, Subscription, SubscriptionOptions
from messaging.testing import PATIENCE_S
from messaging.wire.message import Message, MessageRegistry
from tests.messaging.conftest import Site

QUICK = SubscriptionOptions(
    lease_s=2.0, retry=RetryPolicy(attempts=3, backoff_s=0.0, jitter=0.0), drain_s=10.0
)


class Ask(Message):
    text: str


class Told(Message):
    text: str


class Progress(Message):
    step: int


class Count(BaseModel):
    value: int = 0


REGISTRY = MessageRegistry(Ask, Told, Progress)


async def echo(ask: Ask, context: Context) -> Told:
    return Told(text=ask.text)


async def tell(ask: Ask, context: Context) -> None:
    context.send(Told(text=ask.text), "told")


class Gate:
    """A handler that tells, then waits to be let through; and then answers, if it has an answer."""

    def __init__(self, answer: Told | None = None) -> None:
        self._answer = answer
        self.started: list[Context] = []
        self.cancelled = 0
        self.opened = asyncio.Event()

    async def __call__(self, ask: Ask, context: Context) -> Told | None:
        context.send(Told(text=ask.text), "told")
        self.started.append(context)
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self._answer


def options(**changes: Any) -> SubscriptionOptions:
    return replace(QUICK, **changes)


def listening(
    group: str,
    handler: Handler,
    *message_classes: type[BaseModel],
    topics: Sequence[str] = ("asks",),
    **changes: Any,
) -> Subscription:
    """`group` hands every `Ask` on `asks`, unless told otherwise, to `handler`."""
    handlers: Mapping[type[BaseModel], Handler] = dict.fromkeys(message_classes or (Ask,), handler)
    return Subscription(group, topics, handlers, options(**changes))


@asynccontextmanager
async def open_bus(site: Site, *, backend: Backend | None = None) -> AsyncIterator[Bus]:
    """A bus on a backend of its own, as another process would have it."""
    backend = backend or await site.open()
    async with Bus(backend, name="tests", registry=REGISTRY, owns_backend=False) as bus:
        yield bus


def at_work() -> set[str]:
    """The incarnations that handle messages in this event loop."""
    names = {task.get_name() for task in asyncio.all_tasks()}
    return {name for name in names if name.startswith("consumer-loop-")}


async def lying_in(bus: Bus, topic: str, count: int = 1) -> list[Entry]:
    """What lies in `topic`, once it is at least `count` entries."""
    entries: list[Entry] = []
    async with asyncio.timeout(PATIENCE_S):
        while True:
            after = entries[-1].position if entries else ""
            entries += await bus.backend.tail({topic: after}, max_count=1_000, wait_s=0.2)
            if len(entries) >= count:
                return entries


async def texts_in(bus: Bus, topic: str, count: int = 1) -> list[str]:
    entries = await lying_in(bus, topic, count)
    return [bus._decoder.read(entry.envelope).text for entry in entries]  # type: ignore[attr-defined]  # all are Told


async def dead_letters(bus: Bus, count: int = 1) -> Sequence[DeadLetter]:
    """The dead letters, once there are `count`."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            letters = await bus.dead_letters.list()
            if len(letters) >= count:
                return letters
            await asyncio.sleep(0.005)


async def settled_all(bus: Bus, group: str) -> None:
    """Return once `group` is owed nothing any more."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            topics = await bus.backend.topics()
            if not any(t.waiting.get(group, 0) + t.pending.get(group, 0) for t in topics):
                return
            await asyncio.sleep(0.005)
