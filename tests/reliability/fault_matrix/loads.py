"""The rows about load, at any size: what happened, for a test or a reader to judge."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any

import redis.asyncio

from messaging.backend import FROM_START
from messaging.backends.urls import open_backend
from messaging.bus import Bus
from messaging.errors import BusFullError
from messaging.handling.context import Context
from messaging.handling.subscription import Subscription, SubscriptionOptions
from messaging.testing import eventually
from messaging.wire.envelope import new_id
from messaging.wire.message import Message

HARD, SOFT = 400, 200
PUBLISHERS = 20
HANDLING_S = 0.002
PADDING = "x" * 1_000
AGENTS = 10
PROBES_EVERY_S = 0.02
SETTLING = 5  # probes while an agent comes or goes, which is not what is asked about
PATIENCE_S = 120.0


class Job(Message, wire_name="load.job"):
    number: int = 0
    sent_at: float = 0.0
    text: str = ""


class Result(Message, wire_name="load.result"):
    number: int


@dataclass
class Overload:
    """What came of more publishing than handling.

    Attributes:
        accepted: by number, as publishers were told.
        refused: how often a publisher met `BusFullError`.
        handled: by number.
        longest: most entries seen in the topic.
        used_bytes: the server's memory, looked at again and again while publishing went on.
    """

    accepted: set[int] = field(default_factory=set)
    refused: int = 0
    handled: Counter[int] = field(default_factory=Counter)
    longest: int = 0
    used_bytes: list[int] = field(default_factory=list)

    @property
    def grown_bytes(self) -> int:
        """By how much the server's memory had its peak later in the second half."""
        half = len(self.used_bytes) // 2
        return max(self.used_bytes[half:]) - max(self.used_bytes[:half])

    def __str__(self) -> str:
        return (
            f"{len(self.accepted):,} accepted, {self.refused:,} refused, "
            f"{sum(self.handled.values()):,} handled, at most {self.longest:,} in the topic; "
            f"{max(self.used_bytes):,} bytes used, in the second half {self.grown_bytes:+,}"
        )


async def overload(
    url: str, duration_s: float, enough: Callable[[Overload], bool], **limits: Any
) -> Overload:
    """Twenty publishers that never rest, and one agent that does a few hundred a second.

    They publish for `duration_s`, or until what has come of it is `enough`.
    """
    result, numbers = Overload(), iter(range(10**9))
    limits = {"max_backlog": HARD, "soft_backlog": SOFT, "soft_wait_s": 0.2, **limits}

    async def handle(job: Job, _: Context) -> None:
        await asyncio.sleep(HANDLING_S)
        result.handled[job.number] += 1

    async def publish(bus: Bus) -> None:
        while is_going_on():
            number = next(numbers)
            try:
                await bus.publish("jobs", Job(number=number, text=PADDING))
                result.accepted.add(number)
            except BusFullError:
                result.refused += 1
                await asyncio.sleep(HANDLING_S)

    def is_going_on() -> bool:
        return time.monotonic() < ends_at and not enough(result)

    async def watch(bus: Bus, server: Any) -> None:
        while True:
            if is_going_on():
                result.used_bytes.append((await server.info("memory"))["used_memory"])
            result.longest = max(result.longest, await _length_of("jobs", bus))
            await asyncio.sleep(0.02)

    async with (
        redis.asyncio.Redis.from_url(url) as server,
        Bus(open_backend(url, f"load-{new_id()}", **limits)) as bus,
    ):
        options = SubscriptionOptions(concurrency=1, prefetch=16)
        await bus.subscribe(Subscription("busy", ("jobs",), {Job: handle}, options))
        ends_at = time.monotonic() + duration_s
        watching = asyncio.create_task(watch(bus, server))
        await asyncio.gather(*[publish(bus) for _ in range(PUBLISHERS)])
        await eventually(lambda: result.accepted <= result.handled.keys(), timeout_s=PATIENCE_S)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    return result


async def _length_of(topic: str, bus: Bus) -> int:
    return sum(each.entries for each in await bus.backend.topics() if each.topic == topic)


Disturbance = Callable[[Bus], Coroutine[Any, Any, None]]


async def neighbours_p99_s(
    url: str, disturb: Disturbance, probes: int, rounds: int
) -> list[tuple[float, float]]:
    """How long messages take to nine quiet agents, by themselves and while something befalls the
    tenth: both in each round, so that whatever else the machine does befalls both."""
    took_s: list[float] = []

    async def probe(job: Job, _: Context) -> None:
        took_s.append(time.monotonic() - job.sent_at)

    async def p99_s(publisher: Bus, probes: int) -> float:
        took_s.clear()
        for number in range(probes):
            await publisher.publish("work", Job(number=number, sent_at=time.monotonic()))
            await asyncio.sleep(PROBES_EVERY_S)
        await eventually(lambda: len(took_s) == probes * (AGENTS - 1), timeout_s=PATIENCE_S)
        return quantiles(took_s, n=100)[-1]

    guild_id = f"load-{new_id()}"
    async with AsyncExitStack() as stack:
        buses = [
            await stack.enter_async_context(Bus(open_backend(url, guild_id))) for _ in range(AGENTS)
        ]
        for number, bus in enumerate(buses[1:], 1):
            await bus.subscribe(Subscription(f"agent{number}", ("work",), {Job: probe}))
        found = []
        for _ in range(rounds):
            await p99_s(buses[-1], SETTLING)
            calm_s = await p99_s(buses[-1], probes)
            disturbing = asyncio.create_task(disturb(buses[0]))
            await p99_s(buses[-1], SETTLING)
            found.append((calm_s, await p99_s(buses[-1], probes)))
            disturbing.cancel()
            with suppress(asyncio.CancelledError):
                await disturbing
    return found


async def slow_agent(bus: Bus) -> None:
    """Gets its copy of what the others get, and needs a second for each."""

    async def crawl(_: Job, __: Context) -> None:
        await asyncio.sleep(1)

    options = SubscriptionOptions(concurrency=1, prefetch=16, drain_s=0.0)
    await bus.run(Subscription("slow", ("work",), {Job: crawl}, options))


async def blocking_agent(bus: Bus) -> None:
    """Does what no handler may: it keeps everybody of its process from running."""

    async def block(_: Job, __: Context) -> None:
        time.sleep(0.1)  # noqa: ASYNC251 - the mutant

    await bus.run(Subscription("slow", ("work",), {Job: block}, SubscriptionOptions(drain_s=0.0)))


async def hot_agent(bus: Bus) -> None:
    """Gets a hundred messages for each that the others get, and handles them as they come.

    They come in a stream: a burst adds its own length to whatever comes at that moment.
    """

    async def note(_: Job, __: Context) -> None:
        pass

    await bus.subscribe(Subscription("hot", ("heat",), {Job: note}))
    while True:
        await bus.publish_many("heat", [Job(number=number) for number in range(25)])
        await asyncio.sleep(PROBES_EVERY_S / 4)


async def first_of_a_backlog_s(url: str, backlog: int) -> float:
    """How long it takes until the first result is stored when so much has waited for the agent."""

    async def handle(job: Job, context: Context) -> None:
        context.send(Result(number=job.number), "results")

    subscription = Subscription("late", ("jobs",), {Job: handle})
    async with Bus(open_backend(url, f"load-{new_id()}")) as bus:
        await bus.register(subscription)
        for start in range(0, backlog, 500):
            jobs = [Job(number=number) for number in range(start, min(start + 500, backlog))]
            await bus.publish_many("jobs", jobs)
        began_at = time.monotonic()
        running = await bus.subscribe(subscription)
        assert await bus.backend.tail({"results": FROM_START}, max_count=1, wait_s=PATIENCE_S)
        took_s = time.monotonic() - began_at
        await running.kill()
        return took_s


async def handled_on_topics(bus: Bus, count: int) -> int:
    """How many of so many topics had their message handled by one agent with a pattern."""
    handled: set[int] = set()

    async def handle(job: Job, _: Context) -> None:
        handled.add(job.number)

    await bus.subscribe(Subscription("all", ("many.>",), {Job: handle}))
    await asyncio.gather(*[bus.publish(f"many.t{n}", Job(number=n)) for n in range(count)])
    await eventually(lambda: len(handled) == count, timeout_s=PATIENCE_S)
    return len(handled)
