"""`python -m benchmarks fence`: what the fence and the sequence of a commit cost the server.

Commits of equal batches with and without are compared in pairs, in either order by turns, by the
nanoseconds that the scheduler gave the server's main thread. Long rounds drift with the machine by
more than the fence costs; the median of many small differences stands still.
"""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from redis import Redis

from benchmarks.costs import TOPIC, sealed
from benchmarks.measure import Meter
from messaging.backend import Consumer, Delivery, Settlement
from messaging.backends.redis.backend import RedisBackend
from messaging.backends.redis.scripts import Script, make_script
from messaging.backends.urls import open_backend

BATCHES = (1, 64)
PAIRS = 1_000
WARM_UP = 20
_FENCE = ("local member = redis.call", "if doubts then")
_RECORD = "redis.call('HSET', KEYS[1], incarnation, sequence .. ':' .. skipped_now)\n"


class Cost(NamedTuple):
    """Server time of one batch."""

    whole_us: float
    commit_us: float


class Estimate(NamedTuple):
    """A median, and between what it lies with a certainty of 95 %."""

    middle: float
    least: float
    most: float


async def measure(url: str, _meter: Meter, _messages: int) -> str:
    """A line for each size of a commit."""
    lines = [
        "| messages in a commit | server CPU µs, publish to commit | the fence in it, 95 % sure |",
        "|--:|--:|--:|",
    ]
    for batch in BATCHES:
        fenced, bare = await _costs(url, batch)
        whole_us = statistics.median(cost.whole_us for cost in fenced)
        fence = median(
            [one.commit_us - other.commit_us for one, other in zip(fenced, bare, strict=True)]
        )
        middle, least, most = (us / whole_us for us in fence)
        lines.append(f"| {batch} | {whole_us:.0f} | {middle:.1%} ({least:.1%} to {most:.1%}) |")
    return "\n".join(lines)


def median(values: Sequence[float]) -> Estimate:
    """By ranks, so that no assumption is made of how `values` are spread."""
    ordered, reach = sorted(values), 0.98 * math.sqrt(len(values))
    least, most = (round((len(values) - 1) / 2 + side * reach) for side in (-1, 1))
    return Estimate(
        statistics.median(ordered), ordered[max(0, least)], ordered[min(len(values) - 1, most)]
    )


def unfenced(script: Script) -> Script:
    """A commit that settles for whoever asks, as often as he asks."""
    start, end = (script.text.index(mark) for mark in _FENCE)
    assert _RECORD in script.text
    text = script.text[:start] + script.text[end:].replace(_RECORD, "")
    return make_script("unfenced", text)


async def _costs(url: str, batch: int) -> tuple[list[Cost], list[Cost]]:
    """With the fence and without, in pairs."""
    backend = open_backend(url, f"bench-fence-{batch}")
    assert isinstance(backend, RedisBackend)
    await backend.open()
    try:
        await backend.subscribe("readers", (TOPIC,))
        assert backend._parts is not None  # noqa: SLF001 - no user may take the fence away
        scripts = backend._parts.server.scripts  # noqa: SLF001
        clock = _Clock(url)
        costs: dict[Script, list[Cost]] = {scripts.settle: [], unfenced(scripts.settle): []}
        # Each has a consumer of its own: whoever commits unfenced leaves no sequence behind.
        consumers = {script: await backend.join("readers") for script in costs}
        for number in range(WARM_UP + PAIRS):
            for script in list(costs)[:: -1 if number % 2 else 1]:
                scripts.settle = script
                costs[script].append(await _cost(backend, consumers[script], clock, batch))
    finally:
        await backend.close()
    fenced, bare = (each[WARM_UP:] for each in costs.values())
    return fenced, bare


async def _cost(backend: RedisBackend, consumer: Consumer, clock: "_Clock", batch: int) -> Cost:
    envelopes = sealed(batch)
    started = clock.us()
    await backend.append(envelopes)
    lent: list[Delivery] = []
    while len(lent) < batch:
        lent += await consumer.read(batch, 1.0)
    read = clock.us()
    await consumer.commit([Settlement(delivery) for delivery in lent])
    committed = clock.us()
    return Cost(committed - started, committed - read)


class _Clock:
    """Processor time of the server's main thread, read without asking the server."""

    def __init__(self, url: str) -> None:
        with Redis.from_url(url) as server:
            self._path = Path(f"/proc/{server.info('server')['process_id']}/schedstat")

    def us(self) -> float:
        return int(self._path.read_text().split()[0]) / 1e3
