"""Times and processor time of one benchmark round."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from benchmarks.contestant import Contestant, Note


class Round(NamedTuple):
    """One round of one contestant. `latencies_s` is empty where only the rate counts."""

    wall_s: float
    cpu_s: float
    messages: int
    latencies_s: tuple[float, ...] = ()

    @property
    def rate(self) -> float:
        return self.messages / self.wall_s

    @property
    def cpu_us(self) -> float:
        return self.cpu_s / self.messages * 1e6


async def awaited(contestant: Contestant, messages: int, publishers: int = 64) -> Round:
    notes = _notes(messages)
    return await _timed(lambda: contestant.publish_awaited(notes, publishers), messages)


async def bulk(contestant: Contestant, messages: int) -> Round:
    notes = _notes(messages)
    return await _timed(lambda: contestant.publish_bulk(notes), messages)


async def requests(contestant: Contestant, messages: int, at_once: int) -> Round:
    latencies: list[float] = []

    async def ask(share: Sequence[Note]) -> None:
        for note in share:
            start = time.perf_counter()
            await contestant.request(note)
            latencies.append(time.perf_counter() - start)

    notes = _notes(messages)
    timed = await _timed(
        lambda: asyncio.gather(*(ask(notes[start::at_once]) for start in range(at_once))), messages
    )
    return timed._replace(latencies_s=tuple(latencies))


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that `percent` of `values` do not exceed."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _notes(count: int) -> list[Note]:
    return [Note(number=number) for number in range(count)]


async def _timed(work: Callable[[], Awaitable[object]], messages: int) -> Round:
    wall, cpu = time.perf_counter(), time.process_time()
    await work()
    return Round(time.perf_counter() - wall, time.process_time() - cpu, messages)
