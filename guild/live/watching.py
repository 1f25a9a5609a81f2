"""Watching a guild: a lease that its processes hear of, and what they tell meanwhile."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from pydantic import BaseModel

from guild.live.messages import LiveHandlings, LiveSummary
from messaging.backend import FROM_START, Entry
from messaging.bus import Bus
from messaging.control.watchers import RENEW_EVERY_S
from messaging.errors import BackendError, BusClosedError, MessagingError
from messaging.process.logs import get_logger
from messaging.wire.decoding import Decoder
from messaging.wire.message import MessageRegistry
from messaging.wire.topic import LIVE_TOPIC

log = get_logger()

MOST_ENTRIES = 1_000
MOST_AT_ONCE = 128
TTL_S = 30.0
WAIT_S = 1.0
RECOVERY_S = 0.5

DECODER = Decoder(MessageRegistry(LiveSummary, LiveHandlings))


async def watch(bus: Bus) -> AsyncGenerator[LiveSummary | LiveHandlings, None]:
    """What the processes of the guild on `bus` tell from now on; see `Operations.live`.

    The lease is renewed between what is yielded, so that it runs out where nobody takes it. It ends
    when the bus is closed.

    Raises:
        BusClosedError: the bus is not open.
    """
    if not bus.is_open:
        raise BusClosedError("a guild is watched on an open bus; this one is not open")
    watcher = _Watcher(bus)
    while bus.is_open:
        try:
            entries = await watcher.read()
        except BackendError as error:
            log.debug("live.unavailable", error=str(error))
            await asyncio.sleep(RECOVERY_S)
            continue
        for entry in entries:
            message = told_in(entry)
            if message is not None:
                yield message


def told_in(entry: Entry) -> LiveSummary | LiveHandlings | None:
    """The message in `entry`; None for one that is not of this version, or not of ours."""
    try:
        message: BaseModel = DECODER.read(entry.envelope)
    except MessagingError:
        return None
    return message if isinstance(message, LiveSummary | LiveHandlings) else None


class _Watcher:
    """One reader of the live topic, and its lease."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._backend = bus.backend
        self._renews_at = 0.0
        self._position = FROM_START
        self._last = ""  # the position of an entry that was read
        self._was_silent = False

    async def read(self) -> Sequence[Entry]:
        """What comes next; nothing, if nothing comes for a while.

        Raises:
            BackendError: the store is away.
        """
        loop = asyncio.get_running_loop()
        if loop.time() >= self._renews_at:
            await self._renew()
            self._renews_at = loop.time() + RENEW_EVERY_S
        after = {LIVE_TOPIC: self._position}
        entries = await self._backend.tail(after, max_count=MOST_AT_ONCE, wait_s=WAIT_S)
        if entries:
            self._position = self._last = entries[-1].position
            self._was_silent = False
        return entries

    async def _renew(self) -> None:
        await self._backend.open_ephemeral(LIVE_TOPIC, ttl_s=TTL_S, max_entries=MOST_ENTRIES)
        if not self._last:
            now = await self._backend.time()
            self._position = (await self._backend.positions_at([LIVE_TOPIC], now))[LIVE_TOPIC]
        elif self._was_silent and not await self._is_there():
            self._position = FROM_START
        self._was_silent = True
        await self._bus.watchers.announce(LIVE_TOPIC)

    async def _is_there(self) -> bool:
        """Whether what was read last still is; a server that has lost it may count from below."""
        before = self._backend.just_before(self._last)
        found = await self._backend.tail({LIVE_TOPIC: before}, max_count=1, wait_s=0.0)
        return bool(found) and found[0].position == self._last
