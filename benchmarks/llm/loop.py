"""What streaming costs, how long the event loop stalls meanwhile, and when a cancel is felt."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Self

from agents.llm.engines import TextDelta
from agents.llm.engines.generation import Generation
from agents.llm.engines.local_engine import LocalEngine
from benchmarks.llm.report import at_most
from benchmarks.llm.subject import Subject
from benchmarks.llm.work import Dice, Work, request_of

_TICK_S = 0.002


async def measure_loop(subject: Subject, dice: Dice) -> None:
    report, size = subject.report, subject.size
    work = dice.heavy(size.answers)
    async with subject.engine(prompt_cache_bytes=0) as engine:
        await _timed(engine, work[:1], Generation.result)
        ends, streams, stalls = [], [], []
        for _ in range(size.repeats):
            ends.append(await _timed(engine, work, Generation.result))
            async with Ticker() as ticker:
                streams.append(await _timed(engine, work, _read))
            stalls += ticker.late_s
        idle = await _idle(max(streams))
        cost = 100 * (min(streams) / min(ends) - 1)
        report.add("cost of streaming to every reader", cost, at_most(5), unit="%")
        note = f"{_p99_ms(idle):.2g} ms idle"
        report.add(
            "event-loop stall while generating, p99",
            _p99_ms(stalls),
            at_most(10),
            unit="ms",
            note=note,
        )
        steps = [await _steps_to_cancel(subject, engine, work) for _ in range(3)]
        report.add("cancel to compute freed", max(steps), at_most(2), unit="steps")


class Ticker:
    """Wakes up again and again while the block runs; says how late each time."""

    def __init__(self) -> None:
        self.late_s: list[float] = []

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def _tick(self) -> None:
        while True:
            due = time.perf_counter() + _TICK_S
            await asyncio.sleep(_TICK_S)
            self.late_s.append(time.perf_counter() - due)


async def _idle(seconds: float) -> list[float]:
    async with Ticker() as ticker:
        await asyncio.sleep(min(seconds, 5.0))
    return ticker.late_s


def _p99_ms(late_s: list[float]) -> float:
    return statistics.quantiles(late_s, n=100)[98] * 1e3


async def _timed(
    engine: LocalEngine, work: Work, read: Callable[[Generation], Awaitable[object]]
) -> float:
    begun = time.perf_counter()
    generations = [await engine.submit(request_of(piece)) for piece in work]
    await asyncio.gather(*(read(generation) for generation in generations))
    return time.perf_counter() - begun


async def _read(generation: Generation) -> int:
    return len([event async for event in generation if isinstance(event, TextDelta)])


async def _steps_to_cancel(subject: Subject, engine: LocalEngine, work: Work) -> int:
    """Steps of the model that begin after a cancel and before its answer is forgotten."""
    model = subject.counted
    assert model is not None
    generations = [await engine.submit(request_of(piece)) for piece in work]
    await anext(aiter(generations[0]))
    before = model.steps
    generations[0].cancel()
    await generations[0].result()
    steps = model.ended_at - before
    for generation in generations:
        generation.cancel()
    await asyncio.gather(*(generation.result() for generation in generations))
    return steps
