"""Delayed envelopes: asked of every backend."""

import asyncio
from collections import Counter

import pytest

from messaging.backend import Backend
from messaging.errors import BusFullError
from messaging.wire.topic import retry_topic_of
from tests.messaging.conftest import Site
from tests.messaging.notes import (
    PATIENCE_S,
    everything_in,
    is_owed_nothing,
    joined,
    note,
    numbered,
    take,
    texts,
)


async def release_all(*backends: Backend) -> None:
    """Let every backend release at the same time, until nothing is held back."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            waits = await asyncio.gather(*[backend.release_due() for backend in backends])
            if None in waits:
                return
            await asyncio.sleep(min(wait for wait in waits if wait is not None))


async def test_a_delayed_envelope_does_not_come_before_its_time(backend: Backend) -> None:
    reader = await joined(backend, "readers")
    await backend.append([note("later", delay_s=60)])

    due_in_s = await backend.release_due()

    assert due_in_s is not None
    assert 50 < due_in_s <= 60
    assert await is_owed_nothing(backend, reader)
    assert texts(await everything_in(backend, "notes")) == ["marker"]


async def test_a_delayed_envelope_comes_once_its_time_is_there(backend: Backend) -> None:
    reader = await joined(backend, "readers")
    sent = note("later", delay_s=0.05)
    await backend.append([sent])

    await release_all(backend)

    (delivery,) = await take(reader, 1)
    assert delivery.envelope == sent._replace(delay_s=0.0)
    assert await is_owed_nothing(backend, reader)


async def test_nothing_delayed_means_nothing_due(backend: Backend) -> None:
    assert await backend.release_due() is None


async def test_what_is_due_first_comes_first(backend: Backend) -> None:
    reader = await joined(backend, "readers")
    await backend.append(
        [note("third", delay_s=0.15), note("first", delay_s=0.05), note("second", delay_s=0.1)]
    )

    await release_all(backend)

    assert texts(await take(reader, 3)) == ["first", "second", "third"]


async def test_due_envelopes_are_released_exactly_once_however_many_ask(site: Site) -> None:
    backends = [await site.open() for _ in range(4)]
    reader = await joined(backends[0], "readers")
    await backends[0].append([note(f"notes {n}", delay_s=0.02) for n in range(100)])

    await release_all(*backends)

    seen = Counter(texts(await take(reader, 100)))
    assert seen == Counter(numbered(100))
    assert await is_owed_nothing(backends[0], reader)


async def test_a_release_moves_no_more_than_was_asked_for(backend: Backend) -> None:
    await backend.append([note(f"notes {n}", delay_s=0.001) for n in range(5)])
    await asyncio.sleep(0.05)

    due_in_s = await backend.release_due(max_count=2)

    assert due_in_s == 0.0
    assert len(await everything_in(backend, "notes")) == 2
    assert await backend.release_due() is None
    assert len(await everything_in(backend, "notes")) == 5


async def test_a_delayed_retry_reaches_its_group_alone(backend: Backend) -> None:
    reader, auditor = await joined(backend, "readers"), await joined(backend, "auditors", ">")
    await backend.append([note("again", retry_topic_of("readers"), delay_s=0.01)])

    await release_all(backend)

    assert texts(await take(reader, 1)) == ["again"]
    assert await is_owed_nothing(backend, auditor)


async def test_a_released_envelope_wakes_a_waiting_reader(backend: Backend) -> None:
    reader = await joined(backend, "readers")
    await backend.append([note("later", delay_s=0.01)])
    reading = asyncio.create_task(reader.read(10, wait_s=60))

    await release_all(backend)

    async with asyncio.timeout(PATIENCE_S):
        assert texts(await reading) == ["later"]


async def test_unsubscribing_forgets_delayed_retries(backend: Backend) -> None:
    await joined(backend, "readers")
    await backend.append([note("again", retry_topic_of("readers"), delay_s=0.01)])

    await backend.unsubscribe("readers")
    returned = await joined(backend, "readers")
    await release_all(backend)

    assert await is_owed_nothing(backend, returned)


async def test_delayed_envelopes_have_a_hard_limit_too(site: Site) -> None:
    backend = await site.open(max_backlog=3)
    await backend.append([note("later", delay_s=60)] * 3)

    with pytest.raises(BusFullError):
        await backend.append([note("one too many", delay_s=60)])
