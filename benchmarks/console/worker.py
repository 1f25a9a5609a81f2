"""The guild that is looked at, in a process of its own, and who publishes to it.

`python -m benchmarks.console.worker URL` runs the pipeline. For each line of JSON it does what it
is told, and answers with one: `["pace", messages, rate]` and `["race", messages]` measure a round,
handled at that many a second or as quickly as it goes; `["watched", yes]` waits until the guild
is watched, or is not any more. It ends with its input.
"""

import asyncio
import gc
import json
import logging
import sys
import time
from typing import Any

import structlog
from redis import Redis

from benchmarks.console.pipeline import ARRIVED, FIRST, STAGES, pipeline
from benchmarks.contestant import Note
from benchmarks.guildbus_peer import SLICE
from benchmarks.measure import Meter, Round, notes_of
from guild import Guild
from guild.client import GuildClient
from messaging.wire.topic import LIVE_TOPIC

SLICE_S = 0.02
LOOK_EVERY_S = 0.02


class Worker:
    """Does what it is told, one after the other."""

    def __init__(self, client: GuildClient, meter: Meter) -> None:
        self._client = client
        self._meter = meter

    async def do(self, what: str, *how: Any) -> object:
        if what == "watched":
            return await self._watched(is_watched=bool(how[0]))
        messages = int(how[0])
        notes = notes_of(messages // len(STAGES))
        work = self._race(notes) if what == "race" else self._pace(notes, float(how[1]))
        gc.collect()  # no round pays for what another has left
        ARRIVED.expect(len(notes))

        async def until_arrived() -> None:
            await work
            await ARRIVED.complete()

        count = len(notes) * len(STAGES)
        round_: Round = await self._meter.timed(until_arrived, count, is_on_server=True)
        return round_

    async def _watched(self, *, is_watched: bool) -> bool:
        watchers = self._client.bus.watchers
        while watchers.is_watched(LIVE_TOPIC) is not is_watched:  # noqa: ASYNC110 - none tells us
            await asyncio.sleep(LOOK_EVERY_S)
        return is_watched

    async def _race(self, notes: list[Note]) -> None:
        starts = range(0, len(notes), SLICE)
        publish = self._client.publish_many
        await asyncio.gather(*(publish(FIRST, notes[at : at + SLICE]) for at in starts))

    async def _pace(self, notes: list[Note], rate: float) -> None:
        """A slice every few milliseconds; what came too late is made up for."""
        began_at, published = time.monotonic(), 0
        while published < len(notes):
            due = (time.monotonic() - began_at + SLICE_S) * rate / len(STAGES)
            now = notes[published : int(due)]
            if now:
                await self._client.publish_many(FIRST, now)
                published += len(now)
            await asyncio.sleep(SLICE_S)


async def main(url: str) -> None:
    requests = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(requests), sys.stdin
    )
    spec = pipeline()
    with Redis.from_url(url) as server:
        async with Guild.launch(spec, bus=url, allow=["benchmarks"]) as guild:
            worker = Worker(guild.client, Meter(server))
            _answer("ready")
            async for line in requests:
                _answer(await worker.do(*json.loads(line)))


def _answer(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    asyncio.run(main(sys.argv[1]))
