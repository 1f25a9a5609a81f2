"""A guild that is watched in a test."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from guild.client import GuildClient
from guild.live import LiveHandling, LiveHandlings, LiveSummary
from guild.runtime import Guild
from messaging.bus import Bus
from messaging.testing import eventually
from messaging.wire.topic import LIVE_TOPIC


class Told:
    """What a watcher was told so far."""

    def __init__(self) -> None:
        self.messages: list[LiveSummary | LiveHandlings] = []

    @property
    def rows(self) -> Sequence[LiveHandling]:
        return [row for m in self.messages if isinstance(m, LiveHandlings) for row in m.rows]

    @property
    def summaries(self) -> Sequence[LiveSummary]:
        return [each for each in self.messages if isinstance(each, LiveSummary)]

    @property
    def handled(self) -> int:
        """How many handlings all summaries count, whatever became of them, but ignored ones."""
        outcomes = [each.outcomes for summary in self.summaries for each in summary.activities]
        return sum(sum(each.values()) - each.get("ignored", 0) for each in outcomes)

    async def of(self, count: int) -> None:
        """Return once so many handlings were summed up."""
        await eventually(lambda: self.handled >= count)


@asynccontextmanager
async def watching(client: GuildClient, *buses: Bus) -> AsyncIterator[Told]:
    """Watch by `client`, once the processes that have these buses have heard of it."""
    told = Told()

    async def watch() -> None:
        async with aclosing(client.live()) as live:
            async for message in live:
                told.messages.append(message)

    task = asyncio.create_task(watch())
    try:
        for bus in buses:
            await eventually(lambda bus=bus: bus.watchers.is_watched(LIVE_TOPIC))  # type: ignore[misc]
        yield told
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def tellers() -> int:
    """How many processes tell something at this moment, of those in this event loop."""
    return sum(task.get_name() == "live" for task in asyncio.all_tasks())


def is_observed(guild: Guild) -> bool:
    runners = [each._replica._runner for each in guild.client.bus._running]
    return any(runner._begin is not None for runner in runners)
