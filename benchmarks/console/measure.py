"""`python -m benchmarks console`: what it costs to look at a guild in the browser.

A guild, its gateway and a browser are processes of their own, as its users have them. The guild is
measured in stages that change in turn, there and back: without a gateway, with one that has no
reader, with the topology in a tab, with the messages in a tab. What is compared is the processor
time of a message within one turn: this machine does the browser's work, too, and may be busy.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks.console.browser import (
    Browser,
    NoBrowserError,
    Paints,
    Tab,
    running_browser,
)
from benchmarks.console.pipeline import pipeline
from benchmarks.console.processes import Process, Worker, running_console, running_guild
from benchmarks.console.stages import ALONE, ATTACHED, STAGES, VIEWS, Stages
from benchmarks.goals import Goal, Unit, told
from benchmarks.measure import Meter, Round
from guild.checking.loader import dump_yaml

LOADS = 7
IDLE_S = 20.0
RATE = 10_000
WATCHED_S = 60.0
HEAP_LOOKS = 5
TURNS = 4
ROUNDS = 3
"""Of each stage, each time."""

MOST_PAINT_S, MOST_TASK_S = 0.5, 0.1
MOST_IDLE, MOST_IDLE_WITH_TAB = 0.01, 0.02
MOST_SLOWED, MOST_SLOWED_UNWATCHED = 1.05, 1.01
MOST_GROWN = 1.1


class Load(NamedTuple):
    """What happened meanwhile, in shares of a core."""

    gateway: float
    browser: float


class Watched(NamedTuple):
    """What a view did at full rate.

    Attributes:
        rate: messages a second, as it came out.
        longest_task_s: of the page's thread; 0.0 where none took 50 ms.
        busiest_task_s: the processor time of the one that took most of it.
        page: for which share of the time the page's thread worked.
        heap_bytes: of the page, before and at the end.
    """

    rate: float
    load: Load
    longest_task_s: float
    busiest_task_s: float
    page: float
    heap_bytes: tuple[int, int]


async def measure(url: str, _meter: Meter, messages: int) -> str:
    """The table of goals, or what is missing to measure it."""
    try:
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            spec = folder / "guild.yaml"
            spec.write_text(dump_yaml(pipeline()))
            browser = await stack.enter_async_context(running_browser())
            guild = await stack.enter_async_context(running_guild(url))
            goals = [
                *await _at_rest(spec, url, guild, browser),
                *await _compared(Stages(spec, url, guild, browser), messages),
            ]
    except NoBrowserError as error:
        return f"skipped: {error}"
    return told(goals)


async def _at_rest(spec: Path, url: str, guild: Worker, browser: Browser) -> Sequence[Goal]:
    """One gateway, from its first page to a view at full rate."""
    async with running_console(spec, url) as (console, address):
        goals = list(_painted([await _loaded(browser, address) for _ in range(LOADS)]))
        alone = await _load(console, browser, IDLE_S)
        goals.append(_most("gateway, idle guild, no tab", alone.gateway, MOST_IDLE))
        async with browser.tab(address) as tab:
            await tab.paints()
            with_tab = await _load(console, browser, IDLE_S)
            goals += [
                _most("gateway, idle guild, a tab", with_tab.gateway, MOST_IDLE_WITH_TAB),
                _told("browser meanwhile", with_tab.browser),
            ]
        for view in VIEWS:
            async with browser.tab(address) as tab:
                await tab.paints()
                await tab.show(view)
                goals += _watched(view, await _at_full_rate(guild, console, browser, tab))
    return goals


async def _loaded(browser: Browser, address: str) -> Paints:
    async with browser.tab(address) as tab:
        return await tab.paints()


async def _load(console: Process, browser: Browser, seconds: float) -> Load:
    gateway_s, browser_s, at = console.cpu_s, await browser.cpu_s(), time.monotonic()
    await asyncio.sleep(seconds)
    took_s = time.monotonic() - at
    return Load(
        (console.cpu_s - gateway_s) / took_s, ((await browser.cpu_s()) - browser_s) / took_s
    )


async def _at_full_rate(guild: Worker, console: Process, browser: Browser, tab: Tab) -> Watched:
    """What the tab does while the guild handles `RATE` messages a second."""
    pacing = asyncio.create_task(guild.pace(int(RATE * WATCHED_S), RATE))
    await asyncio.sleep(WATCHED_S / 4)  # until its rows and lists are full
    began = await _heap_bytes(tab)
    await tab.longest_task_s()  # to collect rubbish was one
    busy_s, at = await tab.busy_s(), time.monotonic()
    async with browser.tracing(tab) as tasks_s:
        load = await _load(console, browser, WATCHED_S / 2)
    page = (await tab.busy_s() - busy_s) / (time.monotonic() - at)
    longest_s = await tab.longest_task_s()
    ended = await _heap_bytes(tab)
    busiest_s = max(tasks_s, default=0.0)
    return Watched((await pacing).rate, load, longest_s, busiest_s, page, (began, ended))


async def _heap_bytes(tab: Tab) -> int:
    """The least of a few looks: of rows that have gone, some are only let go at the next step."""
    looks = []
    for _ in range(HEAP_LOOKS):
        looks.append(await tab.heap_bytes())
        await asyncio.sleep(WATCHED_S / 10 / HEAP_LOOKS)
    return min(looks)


async def _compared(stages: Stages, messages: int) -> Sequence[Goal]:
    """How much slower the guild is in each stage than in the one it is compared with."""
    turns: list[dict[str, list[Round]]] = []
    async with stages:
        for number in range(TURNS):
            turn: dict[str, list[Round]] = {}
            for stage in STAGES[:: -1 if number % 2 else 1]:
                await stages.enter(stage)
                await stages.guild.race(messages)  # warms up
                turn[stage] = [await stages.guild.race(messages) for _ in range(ROUNDS)]
            turns.append(turn)
    return list(_slowed(turns)) if turns else []


def _painted(paints: Sequence[Paints]) -> Iterator[Goal]:
    first, contentful, agents = (statistics.median(each) for each in zip(*paints, strict=True))
    yield Goal("first paint, cold cache", first, Unit.SECONDS, MOST_PAINT_S, is_most=True)
    yield Goal("first contentful paint", contentful, Unit.SECONDS, MOST_PAINT_S, is_most=True)
    yield Goal("agents are shown", agents, Unit.SECONDS, None)


def _watched(view: str, seen: Watched) -> Iterator[Goal]:
    name = f"{view} at {seen.rate:,.0f} messages/s"
    longest, grown = seen.longest_task_s, seen.heap_bytes[1] / seen.heap_bytes[0]
    busiest = seen.busiest_task_s
    yield Goal(f"{name}: longest task", longest, Unit.SECONDS, MOST_TASK_S, is_most=True)
    yield Goal("its processor time, at most", busiest, Unit.SECONDS, MOST_TASK_S, is_most=True)
    yield Goal(f"{name}: page's memory, last ÷ first", grown, Unit.TIMES, MOST_GROWN, is_most=True)
    yield _told(f"{name}: page's thread", seen.page)
    yield _told(f"{name}: gateway", seen.load.gateway)
    yield _told(f"{name}: browser", seen.load.browser)


def _slowed(turns: Sequence[dict[str, list[Round]]]) -> Iterator[Goal]:
    for stage, beside, limit in (
        (ATTACHED, ALONE, MOST_SLOWED_UNWATCHED),
        *((view, ATTACHED, MOST_SLOWED) for view in VIEWS),
    ):
        cpu = _ratio(turns, stage, beside, lambda one: one.cpu_us)
        server = _ratio(turns, stage, beside, lambda one: one.server_cpu_us)
        wall = _ratio(turns, stage, beside, lambda one: one.wall_s)
        yield Goal(f"guild's CPU: {stage} ÷ {beside}", cpu, Unit.TIMES, limit, is_most=True)
        yield Goal("the same of the server", server, Unit.TIMES, None)
        yield Goal("the same of its time", wall, Unit.TIMES, None)
    alone = [one.cpu_us for turn in turns for one in turn[ALONE]]
    yield Goal("guild's CPU, a message", statistics.median(alone), Unit.MICROSECONDS, None)


def _ratio(
    turns: Sequence[dict[str, list[Round]]], stage: str, beside: str, of: Callable[[Round], float]
) -> float:
    """The median of all turns, in each of them of its best rounds: the machine only adds."""
    return statistics.median(
        min(map(of, turn[stage])) / min(map(of, turn[beside])) for turn in turns
    )


def _most(what: str, share: float, limit: float) -> Goal:
    return Goal(what, share, Unit.SHARE, limit, is_most=True)


def _told(what: str, share: float) -> Goal:
    return Goal(what, share, Unit.SHARE, None)
