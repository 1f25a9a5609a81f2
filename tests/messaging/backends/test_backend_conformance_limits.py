"""Trimming and hard limits: asked of every backend."""

import asyncio

import pytest

from messaging.backend import Backend, Settlement
from messaging.errors import BusFullError, PayloadTooLargeError
from messaging.wire.topic import retry_topic_of
from tests.messaging.conftest import Site
from tests.messaging.notes import (
    PATIENCE_S,
    everything_in,
    heirloom,
    is_owed_nothing,
    joined,
    note,
    notes,
    numbered,
    settled,
    take,
    texts,
)

# A server trims whole nodes of a stream, a hundred entries or so: tests of trimming ask for more.
MANY = 1_000
NODE = 250
TINY = {"max_backlog": 5, "soft_backlog": 5}
SLOWING = {"max_backlog": 20, "soft_backlog": 5, "soft_wait_s": 60.0}


async def test_trimming_drops_what_every_group_has_settled(backend: Backend) -> None:
    reader = await joined(backend, "readers")
    await backend.append(notes(MANY))
    await reader.commit(settled(await take(reader, MANY)))

    dropped = await backend.trim()

    assert dropped >= MANY - NODE
    assert len(await everything_in(backend, "notes")) == MANY - dropped
    assert await is_owed_nothing(backend, reader)


async def test_trimming_keeps_what_waits(backend: Backend) -> None:
    reader = await joined(backend, "readers")
    await backend.append(notes(MANY))

    assert await backend.trim() == 0

    assert texts(await take(reader, MANY)) == numbered(MANY)


async def test_trimming_keeps_what_is_lent_and_what_one_group_has_not_read(
    backend: Backend,
) -> None:
    quick, slow = await joined(backend, "quick"), await joined(backend, "slow")
    await backend.append(notes(MANY))
    lent = await take(quick, MANY)
    await quick.commit(settled(lent[1:]))
    read_by_slow = await take(slow, 500)
    await slow.commit(settled(read_by_slow))

    await backend.trim()

    assert texts(await take(slow, 500)) == numbered(MANY, start=500)
    heir = await backend.join("quick")
    assert texts(await heirloom(heir, quick)) == ["notes 0"]


async def test_trimming_keeps_what_a_group_is_owed_of_a_topic_it_left(backend: Backend) -> None:
    reader = await joined(backend, "readers")
    await backend.append(notes(MANY))
    await backend.subscribe("readers", ["letters"])

    await backend.trim()

    assert texts(await take(reader, MANY)) == numbered(MANY)


async def test_settled_retries_are_trimmed_too(backend: Backend) -> None:
    reader = await joined(backend, "readers")
    retries = retry_topic_of("readers")
    await backend.append(notes(MANY, retries))
    await reader.commit(settled(await take(reader, MANY)))

    assert await backend.trim() >= MANY - NODE


async def test_an_unsubscribed_group_no_longer_keeps_entries(backend: Backend) -> None:
    await joined(backend, "gone")
    reader = await joined(backend, "readers")
    await backend.append(notes(MANY))
    await reader.commit(settled(await take(reader, MANY)))
    assert await backend.trim() == 0

    await backend.unsubscribe("gone")

    assert await backend.trim() >= MANY - NODE


async def test_a_topic_without_groups_keeps_its_last_entries_up_to_a_bound(site: Site) -> None:
    backend = await site.open(keep_unclaimed=50)
    await backend.append(notes(MANY))

    await backend.trim()

    left = texts(await everything_in(backend, "notes"))
    assert 50 <= len(left) <= 50 + NODE
    assert left == numbered(MANY)[-len(left) :]


async def test_a_full_topic_refuses_what_passes_its_limit_and_stores_none_of_it(
    site: Site,
) -> None:
    backend = await site.open(**TINY)
    reader = await joined(backend, "readers")
    await backend.append(notes(4))

    with pytest.raises(BusFullError, match="notes"):
        await backend.append([note("fifth"), note("sixth")])

    assert texts(await take(reader, 4)) == numbered(4)
    assert await reader.read(10, wait_s=0) == []


async def test_a_newborn_topic_has_a_limit_too(site: Site) -> None:
    backend = await site.open(**TINY)
    await joined(backend, "readers")

    with pytest.raises(BusFullError, match="notes"):
        await backend.append(notes(6))


async def test_a_full_topic_takes_more_once_its_groups_have_caught_up(site: Site) -> None:
    backend = await site.open(**TINY)
    reader = await joined(backend, "readers")
    await backend.append(notes(5))
    await reader.commit(settled(await take(reader, 5)))
    await backend.trim()

    await backend.append([note("room again")])

    assert texts(await take(reader, 1)) == ["room again"]


async def test_a_full_topic_does_not_keep_others_from_publishing(site: Site) -> None:
    backend = await site.open(**TINY)
    reader = await joined(backend, "readers", ">")
    await backend.append(notes(5, "full"))

    await backend.append([note("elsewhere", "other")])

    assert "elsewhere" in texts(await take(reader, 6))


async def test_a_full_topic_names_the_group_that_lags(site: Site) -> None:
    backend = await site.open(**TINY)
    quick, _ = await joined(backend, "quick"), await joined(backend, "slow")
    await backend.append(notes(5))
    await quick.commit(settled(await take(quick, 5)))

    with pytest.raises(BusFullError, match="slow has not settled the oldest") as refusal:
        await backend.append([note("too much")])

    assert (refusal.value.topic, refusal.value.limit) == ("notes", 5)
    assert refusal.value.lagging == "slow"


async def test_a_batch_that_never_fits_blames_no_group(site: Site) -> None:
    backend = await site.open(**TINY)
    await joined(backend, "readers")

    with pytest.raises(BusFullError, match="no agent lags") as refusal:
        await backend.append(notes(6))

    assert refusal.value.lagging == ""


# -- the soft limit ------------------------------------------------------------------------------


async def test_past_the_soft_limit_a_publisher_waits_until_the_group_that_lags_catches_up(
    site: Site,
) -> None:
    backend = await site.open(**SLOWING)
    quick, slow = await joined(backend, "quick"), await joined(backend, "slow")
    await backend.append(notes(5))
    waiting = asyncio.ensure_future(backend.append([note("notes 5")]))
    lent = await take(slow, 6)  # it is stored already
    await quick.commit(settled(await take(quick, 6)))
    await asyncio.wait([waiting], timeout=0.05)
    assert not waiting.done()

    await slow.commit(settled(lent))

    async with asyncio.timeout(PATIENCE_S):
        await waiting
    assert texts(lent) == numbered(6)


async def test_nobody_waits_for_longer_than_the_soft_wait(site: Site) -> None:
    backend = await site.open(max_backlog=20, soft_backlog=5, soft_wait_s=0.2)
    await joined(backend, "away")
    await backend.append(notes(5))
    loop = asyncio.get_running_loop()
    began_at = loop.time()

    async with asyncio.timeout(PATIENCE_S):
        await backend.append([note("patient")])

    assert loop.time() - began_at >= 0.2
    assert len(await everything_in(backend, "notes")) == 6


async def test_nobody_waits_where_everything_is_settled(site: Site) -> None:
    backend = await site.open(**SLOWING)
    reader = await joined(backend, "readers")
    for first in range(0, 30, 5):
        async with asyncio.timeout(PATIENCE_S):
            await backend.append([note(f"notes {n}") for n in range(first, first + 5)])
        await reader.commit(settled(await take(reader, 5)))


async def test_nobody_waits_where_nobody_is_subscribed(site: Site) -> None:
    backend = await site.open(keep_unclaimed=7, **SLOWING)
    async with asyncio.timeout(PATIENCE_S):
        await backend.append(notes(7))
        await backend.append(notes(7))


async def test_nobody_waits_for_a_group_that_was_unsubscribed(site: Site) -> None:
    backend = await site.open(**SLOWING)
    await joined(backend, "gone")
    waiting = asyncio.ensure_future(backend.append(notes(6)))
    await everything_in_comes(backend, 6)
    assert not waiting.done()

    await backend.unsubscribe("gone")

    async with asyncio.timeout(PATIENCE_S):
        await waiting


async def test_a_crowded_topic_slows_nobody_who_publishes_elsewhere(site: Site) -> None:
    backend = await site.open(**SLOWING)
    await joined(backend, "readers", ">")
    crowding = asyncio.ensure_future(backend.append(notes(6)))
    await everything_in_comes(backend, 6)

    async with asyncio.timeout(PATIENCE_S):
        await backend.append([note("elsewhere", "letters")])

    assert not crowding.done()
    crowding.cancel()


async def test_who_is_cancelled_while_waiting_has_published(site: Site) -> None:
    backend = await site.open(**SLOWING)
    reader = await joined(backend, "readers")
    waiting = asyncio.ensure_future(backend.append(notes(6)))
    lent = await take(reader, 6)

    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert waiting.cancelled()
    await reader.commit(settled(lent))
    assert await is_owed_nothing(backend, reader)


async def test_what_is_published_once_waits_like_everything_else(site: Site) -> None:
    backend = await site.open(**SLOWING)
    reader = await joined(backend, "readers")
    await backend.append(notes(5))
    waiting = asyncio.create_task(backend.append_once(note("notes 5")))
    lent = await take(reader, 6)
    assert not waiting.done()

    await reader.commit(settled(lent))

    async with asyncio.timeout(PATIENCE_S):
        await waiting


async def test_commits_never_wait_at_the_soft_limit(site: Site) -> None:
    backend = await site.open(**SLOWING)
    worker = await joined(backend, "workers", "jobs")
    await backend.subscribe("away", ["notes"])
    await backend.append([note("job", "jobs")])
    (job,) = await take(worker, 1)

    async with asyncio.timeout(PATIENCE_S):
        await worker.commit([Settlement(job, tuple(notes(10)))])

    assert len(await everything_in(backend, "notes")) == 10


async def test_closing_lets_publishers_go_who_wait(site: Site) -> None:
    backend = await site.open(**SLOWING)
    await joined(backend, "away")
    waiting = asyncio.ensure_future(backend.append(notes(6)))
    await everything_in_comes(backend, 6)

    await backend.close()

    async with asyncio.timeout(PATIENCE_S):
        await waiting


async def everything_in_comes(backend: Backend, count: int) -> None:
    """Return once `count` notes are stored."""
    async with asyncio.timeout(PATIENCE_S):
        while len(await backend.tail({"notes": ""}, max_count=count, wait_s=1.0)) < count:
            pass


async def test_an_envelope_past_the_cap_is_refused_with_its_whole_batch(site: Site) -> None:
    backend = await site.open(max_envelope_bytes=1_000)
    reader = await joined(backend, "readers")

    with pytest.raises(PayloadTooLargeError, match="Note") as refusal:
        await backend.append([note("small"), note("x" * 2_000)])

    assert refusal.value.limit_bytes == 1_000
    assert refusal.value.size_bytes >= 2_000
    assert await is_owed_nothing(backend, reader)


async def test_closing_again_does_nothing(backend: Backend) -> None:
    await backend.close()
    await backend.close()
