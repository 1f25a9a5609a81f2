"""Steady traffic of every kind on a real server, and samples of all that might grow."""

import asyncio
import contextlib
import gc
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NamedTuple

import redis.asyncio

from messaging.bus import Bus, connect
from messaging.errors import RequestFailedError
from messaging.handling.context import Context
from messaging.handling.retry import RetryPolicy
from messaging.handling.subscription import Subscription, SubscriptionOptions
from messaging.wire.message import Message, MessageRegistry

ROUND_S = 0.1
FACTS_PER_ROUND = 50
REPLACED_EVERY_S = 5.0
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SETTLED_FROM = 1 / 3


class Fact(Message, wire_name="soak.fact"):
    number: int
    text: str = "x" * 200


class Question(Message, wire_name="soak.question"):
    number: int


class Token(Message, wire_name="soak.token"):
    number: int


class Answer(Message, wire_name="soak.answer"):
    number: int


class Sample(NamedTuple):
    """What one look saw."""

    at_s: float
    memory_bytes: int
    server_bytes: int
    descriptors: int
    keys: int
    tasks: int


@dataclass
class Report:
    """All looks, and how much was done between them."""

    samples: list[Sample]
    handled: int
    dead_letters: int

    def slope_per_hour(self, name: str) -> float:
        """Of the least-squares line, once the start has been left behind."""
        settled = self.samples[int(len(self.samples) * SETTLED_FROM) :]
        values = [float(getattr(sample, name)) for sample in settled]
        return 3600 * slope([sample.at_s for sample in settled], values)

    def __str__(self) -> str:
        lines = [f"{self.handled:,} messages handled, {self.dead_letters:,} dead letters dropped"]
        for name in Sample._fields[1:]:
            first, last = (getattr(self.samples[i], name) for i in (0, -1))
            per_hour = self.slope_per_hour(name)
            lines.append(f"{name:13} {first:>13,} -> {last:>13,}   {per_hour:+,.1f} an hour")
        return "\n".join(lines)


async def soak(url: str, *, duration_s: float, samples: int, least: int = 0) -> Report:
    """Work for `duration_s` and look `samples` times.

    And as often beyond that as it takes until `least` messages are handled and a letter is dropped.
    """
    registry = MessageRegistry(Fact, Question, Token, Answer)
    worker = _Worker()
    async with (
        connect(url, "soak", registry=registry) as bus,
        redis.asyncio.Redis.from_url(url) as server,
    ):
        await bus.register(worker.subscription("facts", Fact, worker.note))
        await bus.subscribe(worker.subscription("questions", Question, worker.answer))
        chores = [
            asyncio.create_task(chore)
            for chore in (
                _publish(bus),
                _ask(bus),
                _drop_letters(bus, worker),
                _replace(bus, worker),
            )
        ]
        started_at = time.monotonic()
        seen = list[Sample]()
        while len(seen) < samples or worker.handled < least or (least and not worker.dropped):
            await _until(started_at + (len(seen) + 1) * duration_s / samples, chores)
            seen.append(await _look(server, started_at))
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)
    return Report(seen, worker.handled, worker.dropped)


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Of the least-squares line through these points; 0 for fewer than two."""
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    together = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    return together / spread if spread else 0.0


class _Worker:
    def __init__(self) -> None:
        self.handled = 0
        self.dropped = 0

    async def note(self, fact: Fact, context: Context) -> None:
        self.handled += 1
        if fact.number % 100 == 0 and context.attempt == 1:
            raise ValueError("once")
        if fact.number % 1_000 == 1:
            raise ValueError("always")
        if fact.number % 500 == 2:
            await context.step("step", _nothing)
            context.send(fact.model_copy(update={"number": 3}), "facts", delay_s=0.5)

    async def answer(self, question: Question, context: Context) -> Answer:
        self.handled += 1
        for number in range(5):
            context.emit(Token(number=number))
        if question.number % 10 == 0:
            raise ValueError("no answer")
        await context.state.save(f"last.{question.number % 10}", question)
        return Answer(number=question.number)

    def subscription(
        self, group: str, message_class: type[Message], handler: object
    ) -> Subscription:
        retry = RetryPolicy(attempts=2, backoff_s=0.01)
        options = SubscriptionOptions(retry=retry, lease_s=2.0)
        handlers = {message_class: handler}
        return Subscription(group, (group,), handlers, options)  # type: ignore[arg-type]  # both are handlers


async def _publish(bus: Bus) -> None:
    for first in count(0, FACTS_PER_ROUND):
        numbers = range(first, first + FACTS_PER_ROUND)
        await bus.publish_many("facts", [Fact(number=number) for number in numbers])
        await asyncio.sleep(ROUND_S)


async def _ask(bus: Bus) -> None:
    for number in count():
        with contextlib.suppress(RequestFailedError):
            await bus.request("questions", Question(number=number), timeout_s=30)
            async for _ in bus.stream("questions", Question(number=number), timeout_s=30):
                pass
        await asyncio.sleep(ROUND_S)


async def _drop_letters(bus: Bus, worker: _Worker) -> None:
    while True:
        for letter in await bus.dead_letters.list():
            worker.dropped += await bus.dead_letters.drop(letter.id, "soaked")
        await asyncio.sleep(1)


async def _replace(bus: Bus, worker: _Worker) -> None:
    """Consumers that come and go: nothing may be left of those that went."""
    while True:
        running = await bus.subscribe(worker.subscription("facts", Fact, worker.note))
        await asyncio.sleep(REPLACED_EVERY_S)
        await running.drain()


async def _until(at: float, chores: Sequence[asyncio.Task[None]]) -> None:
    done, _ = await asyncio.wait(
        chores, timeout=at - time.monotonic(), return_when=asyncio.FIRST_COMPLETED
    )
    for chore in done:
        chore.result()  # none of them ends by itself but by an error


async def _look(server: "redis.asyncio.Redis", started_at: float) -> Sample:
    gc.collect()
    info = await server.info("memory")
    memory_bytes, descriptors = _own_use()
    return Sample(
        at_s=time.monotonic() - started_at,
        memory_bytes=memory_bytes,
        server_bytes=info["used_memory"],
        descriptors=descriptors,
        keys=await server.dbsize(),
        tasks=len(asyncio.all_tasks()),
    )


def _own_use() -> tuple[int, int]:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * PAGE_BYTES, sum(1 for _ in Path("/proc/self/fd").iterdir())


async def _nothing() -> None:
    """A step that takes no time."""
