"""Real processes, really killed, over a real server."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from messaging.backend import Entry
from messaging.bus import Bus
from messaging.testing import PATIENCE_S
from tests.messaging.buses import Ask, Told, listening, lying_in, open_bus, settled_all
from tests.messaging.conftest import Site

COUNT = 600
REPOSITORY = Path(__file__).parents[3]


async def test_killing_workers_again_and_again_loses_nothing_and_repeats_nothing(
    site: Site,
) -> None:
    if site.kind != "external-redis":
        pytest.skip("needs a server that several processes may use")
    async with open_bus(site) as bus:
        await bus.register(listening("team", _never_here))
        await bus.publish_many("asks", [Ask(text=str(number)) for number in range(COUNT)])

        for told in (1, COUNT // 3, 2 * COUNT // 3):
            worker = await _worker(site)
            await lying_in(bus, "told", told)
            worker.send_signal(signal.SIGKILL)
            await worker.wait()
        worker = await _worker(site)
        try:
            entries = await lying_in(bus, "told", COUNT)
            await settled_all(bus, "team")
        finally:
            worker.kill()
            await worker.wait()

        told_texts = [_text(bus, entry) for entry in await lying_in(bus, "told", len(entries))]
        assert sorted(map(int, told_texts)) == list(range(COUNT))


async def _worker(site: Site) -> asyncio.subprocess.Process:
    command = (
        sys.executable,
        "-m",
        "tests.messaging.consuming.killed_worker",
        site.url,
        site.guild_id,
    )
    async with asyncio.timeout(PATIENCE_S):
        return await asyncio.create_subprocess_exec(*command, cwd=REPOSITORY)


async def _never_here(ask: Ask, context: object) -> None:
    raise AssertionError("this process only registers the group")


def _text(bus: Bus, entry: Entry) -> str:
    told = bus._decoder.read(entry.envelope)
    assert isinstance(told, Told)
    return told.text
