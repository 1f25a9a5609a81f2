"""`python -m benchmarks recovery`: how long until others have done what a killed worker held.

The worker is a process of its own, killed with -9 while it holds a full prefetch. Others of the
same machine see that it is gone; those of another machine have to wait until its lease is over.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from benchmarks.measure import Meter
from benchmarks.victim import HANGING_FROM, Task
from messaging import Bus, Context, Subscription, SubscriptionOptions, connect
from messaging.wire.envelope import new_id

GROUP, TOPIC = "workers", "tasks"
TASKS = HANGING_FROM + SubscriptionOptions().prefetch
PATIENCE_S = 120.0
LOOK_EVERY_S = 0.02
STILL_S = 1.0


class Setting(NamedTuple):
    """One row; `goal_s` is the most it may take."""

    what: str
    lease_s: float
    is_elsewhere: bool
    goal_s: float


DEFAULT_LEASE_S = SubscriptionOptions().lease_s
SETTINGS = (
    Setting("defaults, same machine", DEFAULT_LEASE_S, False, 20.0),
    Setting("defaults, another machine", DEFAULT_LEASE_S, True, 20.0),
    Setting("lease of 2 s, another machine", 2.0, True, 5.0),
)


async def measure(url: str, _meter: Meter, _messages: int, tasks: int = TASKS) -> str:
    """The table."""
    lines = ["| settings | messages held | recovered in s | goal |", "|---|--:|--:|--:|"]
    for setting in SETTINGS:
        held, took_s = await _recover(url, setting, tasks)
        lines.append(f"| {setting.what} | {held:,} | {took_s:.1f} | ≤ {setting.goal_s:g} |")
    return "\n".join(lines)


async def _recover(url: str, setting: Setting, tasks: int) -> tuple[int, float]:
    guild = f"bench-recovery-{new_id()}"
    options = SubscriptionOptions(lease_s=setting.lease_s)
    subscription = Subscription(GROUP, [TOPIC], {Task: _do}, options)
    async with connect(url, guild) as bus:
        await bus.register(subscription)
        await bus.publish_many(TOPIC, [Task(number=number) for number in range(tasks)])
        async with asyncio.timeout(PATIENCE_S), _victim(url, guild, setting) as victim:
            held = await _held(bus, tasks)
            await bus.subscribe(subscription)
            await asyncio.sleep(STILL_S)  # by now it watches the others
            if await _owed(bus) != held:
                raise RuntimeError(
                    f"the worker lost its messages before it was killed, as this machine did not "
                    f"let it renew its lease of {setting.lease_s:g} s: measure again"
                )
            victim.kill()
            started = time.perf_counter()
            while await _owed(bus):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(LOOK_EVERY_S)
            return held, time.perf_counter() - started


async def _do(task: Task, ctx: Context) -> None:
    """The heir is quick."""


async def _held(bus: Bus, tasks: int) -> int:
    """How many of `tasks` the victim holds, once it has begun and does nothing any more."""
    seen, since = tasks, time.perf_counter()
    while seen == tasks or time.perf_counter() - since < STILL_S:
        owed = await _owed(bus)
        if owed != seen:
            seen, since = owed, time.perf_counter()
        await asyncio.sleep(LOOK_EVERY_S)
    return seen


async def _owed(bus: Bus) -> int:
    topics = await bus.backend.topics()
    return sum(topic.waiting.get(GROUP, 0) + topic.pending.get(GROUP, 0) for topic in topics)


@asynccontextmanager
async def _victim(
    url: str, guild: str, setting: Setting
) -> AsyncIterator[asyncio.subprocess.Process]:
    words = (url, guild, str(setting.lease_s), str(int(setting.is_elsewhere)))
    command = (sys.executable, "-m", "benchmarks.victim", *words)
    process = await asyncio.create_subprocess_exec(*command)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
