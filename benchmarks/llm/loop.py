"""What streaming costs, how long the event loop stalls meanwhile, and when a cancel is felt."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Self

from agents.llm.engines import TextDelta
from agents.llm.engines.generation import Generation
from agents.llm.engines.local_engine import LocalEngine
from agents.llm.engines.local_model import Tokens
from agents.llm.engines.options import TransformersOptions
from agents.llm.engines.transformers_model import TransformersModel
from benchmarks.llm.report import at_most
from benchmarks.llm.subject import WINDOW, Subject
from benchmarks.llm.work import Dice, Work, request_of

_TICK_S = 0.002


async def measure_loop(subject: Subject, dice: Dice) -> None:
    work = dice.heavy(subject.size.answers)
    async with subject.engine(prompt_cache_bytes=0) as engine:
        await _timed(engine, work[:1], Generation.result)
        await _streaming(subject, engine, work)
        await _stalls(subject, engine, work)
        steps = [await _steps_to_cancel(subject, engine, work) for _ in range(3)]
        subject.report.add("cancel to compute freed", max(steps), at_most(2), unit="steps")


async def _streaming(subject: Subject, engine: LocalEngine, work: Work) -> None:
    """By processor time on the CPU, which others on the machine do not disturb."""
    on_cpu = subject.device == "cpu"
    beneath, ends, streams = [], [], []
    for _ in range(subject.size.repeats):  # by turns: the machine changes its mind
        beneath.append(_decoded(subject, work))
        ends.append(await _timed(engine, work, Generation.result))
        streams.append(await _timed(engine, work, _read))
    costs = [
        min(times, key=lambda cost: cost[on_cpu])[on_cpu] for times in (beneath, ends, streams)
    ]
    note = "of processor time" if on_cpu else "of time"
    label = f"cost of streaming to {len(work)} readers"
    subject.report.add(label, 100 * (costs[2] / costs[1] - 1), at_most(5), unit="%", note=note)
    label = "engine, streamed ÷ its decoder alone"
    subject.report.add(label, costs[2] / costs[0], note=note)


async def _stalls(subject: Subject, engine: LocalEngine, work: Work) -> None:
    async with Ticker() as ticker:
        seconds, _ = await _timed(engine, work, _read)
    async with Ticker() as idle:
        await asyncio.sleep(min(seconds, 5.0))
    subject.report.add(
        "event-loop stall while generating, p99",
        _p99_ms(ticker.late_s),
        at_most(10),
        unit="ms",
        note=f"{_p99_ms(idle.late_s):.2g} ms idle",
    )


def _decoded(subject: Subject, work: Work) -> tuple[float, float]:
    """The same answers by the decoder alone, without texts, in this thread."""
    options = TransformersOptions(prompt_cache_bytes=0)
    model = TransformersModel(subject.model, subject.tokenizer, WINDOW, options)
    begun, cpu = time.perf_counter(), time.process_time()
    left = {model.start(p.prompt, request_of(p)): p.new_tokens for p in work}
    while left:
        states = list(left)
        for state, outcome in zip(states, model.step(states), strict=True):
            if isinstance(outcome, Exception):
                raise outcome
            if isinstance(outcome, Tokens):
                left[state] -= len(outcome.token_ids)
                if left[state] <= 0 or model.end_token_ids.intersection(outcome.token_ids):
                    model.end(state)
                    del left[state]
    return time.perf_counter() - begun, time.process_time() - cpu


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


def _p99_ms(late_s: list[float]) -> float:
    return statistics.quantiles(late_s, n=100)[98] * 1e3


async def _timed(
    engine: LocalEngine, work: Work, read: Callable[[Generation], Awaitable[object]]
) -> tuple[float, float]:
    """Seconds, and seconds of processor time."""
    begun, cpu = time.perf_counter(), time.process_time()
    generations = [await engine.submit(request_of(piece)) for piece in work]
    await asyncio.gather(*(read(generation) for generation in generations))
    return time.perf_counter() - begun, time.process_time() - cpu


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
