"""A thousand readers at once, half of whom leave at random: nothing is left over."""

import asyncio
import gc
import random
from pathlib import Path

import pytest

from guild.gateway.limits import Limits
from guild.runtime import Guild
from messaging.wire.envelope import new_id
from tests.gateway.conftest import Serve, reading, until
from tests.gateway.crew import gates
from tests.gateway.test_streams import saying

READERS = 1000
SEED = 11


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_thousand_readers_half_of_whom_leave_at_random_leave_nothing_over(
    serve: Serve, crew: Guild
) -> None:
    """sysid/sse-starlette 28 and 40: generators went on for readers that had left."""
    served = await serve(Limits(streams=READERS, streams_of_one=READERS, burst=2 * READERS))
    rng = random.Random(SEED)
    gate = new_id()
    opened = gates.setdefault(gate, asyncio.Event())
    answered = 0

    async def stay() -> None:
        nonlocal answered
        asked = saying(text="stays", words=20, gate=gate)
        async with reading(served.port, "POST", "topics/says/requests", asked) as page:
            await page.until("event: answer")
            answered += 1

    async def leave() -> None:
        path = rng.choice(["topics/says/requests", "messages", "events", "live"])
        is_request = path.startswith("topics")
        asked = saying(text="leaves", words=20, gate=gate) if is_request else None
        method = "POST" if is_request else "GET"
        async with reading(served.port, method, path, asked) as page:
            with_answer = asyncio.create_task(page.until("200 OK"))
            await asyncio.wait({with_answer}, timeout=rng.random() * 5)
            page.cut()
            await asyncio.gather(with_answer, return_exceptions=True)

    async with served.http() as http:  # what is opened once is not left over
        await http.post("topics/says/requests", json=saying(text="first"))
    gc.collect()
    tasks, files = len(asyncio.all_tasks()), descriptors()
    readers = [asyncio.create_task(stay() if number % 2 else leave()) for number in range(READERS)]
    await until(lambda: served.streams.open >= READERS // 2)
    opened.set()
    await asyncio.gather(*readers)
    await until(lambda: served.streams.open == 0)
    await until(lambda: not served.server.server_state.connections)
    await until(lambda: len(asyncio.all_tasks()) <= tasks)

    assert answered == READERS // 2
    assert not list(crew.client.bus._requests._attachments.everybody())
    assert descriptors() <= files
