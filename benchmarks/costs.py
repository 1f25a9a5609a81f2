"""What the server pays for one call of the bus, fitted from calls of many sizes."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from benchmarks.contestant import Note
from benchmarks.measure import Meter, notes_of
from messaging.backend import Backend, Consumer, Delivery, Settlement
from messaging.backends.urls import open_backend
from messaging.wire.envelope import Envelope, seal

TOPIC = "bench.costs"
SIZES = (1, 4, 16, 64, 256, 512)


class Cost(NamedTuple):
    """Processor time of the server for a call that carries some messages."""

    fixed_us: float
    each_us: float

    def of_s(self, messages: int) -> float:
        return (self.fixed_us + self.each_us * messages) / 1e6


class Costs(NamedTuple):
    """The three calls in the life of a message: publish, lend, settle."""

    append: Cost
    read: Cost
    commit: Cost

    @property
    def each_us(self) -> float:
        """Per message, where calls are so large that what they cost by themselves vanishes."""
        return sum(cost.each_us for cost in self)


async def measure_costs(url: str, meter: Meter, messages: int) -> Costs:
    """Costs of this server, from rounds of `messages` in calls of every size."""
    backend = open_backend(url, "bench-costs")
    await backend.open()
    try:
        await backend.subscribe("readers", (TOPIC,))
        consumer = await backend.join("readers")
        rounds = [await _round(backend, consumer, meter, messages, size) for size in SIZES]
    finally:
        await backend.close()
    return Costs(
        *[fit(list(zip(SIZES, per_call, strict=True))) for per_call in zip(*rounds, strict=True)]
    )


def fit(points: Sequence[tuple[int, float]]) -> Cost:
    """The least-squares line through `(messages in a call, microseconds of the call)`.

    Each point counts by the share of its error, or the largest calls alone would decide.
    """
    weighed = [(1 / us**2, n, us) for n, us in points]
    total = sum(weight for weight, _, _ in weighed)
    mean_n = sum(weight * n for weight, n, _ in weighed) / total
    mean_us = sum(weight * us for weight, _, us in weighed) / total
    spread = sum(weight * (n - mean_n) ** 2 for weight, n, _ in weighed)
    slope = sum(weight * (n - mean_n) * (us - mean_us) for weight, n, us in weighed) / spread
    return Cost(max(0.0, mean_us - slope * mean_n), slope)


async def _round(
    backend: Backend, consumer: Consumer, meter: Meter, messages: int, size: int
) -> tuple[float, float, float]:
    """Microseconds of the server for each append, read and commit of `size` messages."""
    calls = max(2, messages // size)
    batches = [sealed(size) for _ in range(calls)]
    lent: list[list[Delivery]] = []

    async def append() -> None:
        for batch in batches:
            await backend.append(batch)

    async def read() -> None:
        while sum(map(len, lent)) < calls * size:
            lent.append(await consumer.read(size, 1.0))

    async def commit() -> None:
        for deliveries in lent:
            await consumer.commit([Settlement(delivery) for delivery in deliveries])

    async def cost_us(work: Callable[[], Awaitable[None]]) -> float:
        return (await meter.timed(work, calls, is_on_server=True)).server_cpu_us

    return await cost_us(append), await cost_us(read), await cost_us(commit)


def sealed(count: int) -> list[Envelope]:
    notes: list[Note] = notes_of(count)
    return [seal(note, TOPIC, by_reference=False, sender="bench") for note in notes]
