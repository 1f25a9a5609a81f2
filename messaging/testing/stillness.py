"""When nothing is left to do on buses in memory: for tests, which wait for that and never sleep."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from messaging.bus import Bus
from messaging.process.time_limits import check_finite

QUIET_TICKS = 25  # of the loop; between a handler and the commit of its work lie a few
STALL_S = 0.1


class _Look(NamedTuple):
    """How many handlers run, and how many messages wait for them and are lent."""

    running: int
    waiting: int
    held: int


async def until_still(
    buses: Sequence[Bus],
    *,
    timeout_s: float,
    begun_at: float | None = None,
    goes_on: Callable[[], Awaitable[bool]] | None = None,
) -> None:
    """Return once everything that the groups at work on `buses` were owed is handled.

    What is held back for later, or for a retry, is not owed yet. Nor does it wait for what is kept
    for paused groups and for those that do not run here.

    Args:
        buses: open ones in memory.
        timeout_s: for how long handlers may go on.
        begun_at: from when on, by the clock of the loop; None for now.
        goes_on: asked when handlers run and nothing has moved for a while: True when they may wait
            for something that is still to come, so that they are not to be waited for.

    Raises:
        TimeoutError: some did not come to an end; says which groups have how much in hand.
    """
    check_finite(timeout_s=timeout_s)
    loop = asyncio.get_running_loop()
    give_up_at = (loop.time() if begun_at is None else begun_at) + timeout_s
    before, ticks, moved_at = await _look(buses), 0, loop.time()
    while True:
        await asyncio.sleep(0)
        now = await _look(buses)
        if now != before:
            before, ticks, moved_at = now, 0, loop.time()
            continue
        ticks += 1
        is_idle = not (now.running or now.waiting)
        if is_idle and ticks >= QUIET_TICKS:
            return
        if loop.time() > give_up_at:
            raise TimeoutError(f"not handled after {timeout_s:g} s: {await _in_hand(buses)}")
        if not is_idle and goes_on is not None and loop.time() > moved_at + STALL_S:
            if await goes_on():
                return
            moved_at = loop.time()


async def _look(buses: Sequence[Bus]) -> _Look:
    running = waiting = held = 0
    for bus in buses:
        running += bus.handlers_running
        living = set(bus.groups_here) - set(await bus.backend.paused())
        for info in await bus.backend.topics():
            waiting += sum(count for group, count in info.waiting.items() if group in living)
            held += sum(count for group, count in info.pending.items() if group in living)
    return _Look(running, waiting, held)


async def _in_hand(buses: Sequence[Bus]) -> str:
    counts: dict[str, int] = {}
    for bus in buses:
        for info in await bus.backend.topics():
            for group, count in (*info.waiting.items(), *info.pending.items()):
                if count and group in bus.groups_here:
                    counts[group] = counts.get(group, 0) + count
    return ", ".join(f"{group} has {count}" for group, count in sorted(counts.items()))
