"""Watching a guild: a lease that its processes hear of, and what they tell meanwhile."""

from collections.abc import AsyncGenerator

from guild.live.messages import LiveHandlings, LiveSummary
from messaging.bus import Bus


async def watch(bus: Bus) -> AsyncGenerator[LiveSummary | LiveHandlings, None]:
    """What the processes of the guild on `bus` tell from now on."""
    raise NotImplementedError
    yield
