"""Trimming and hard limits: asked of every backend."""

import pytest

from messaging.backend import Backend
from messaging.errors import BusFullError, PayloadTooLargeError
from messaging.topic import retry_topic_of
from tests.messaging.conftest import Site
from tests.messaging.notes import (
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
    backend = await site.open(max_backlog=5)
    reader = await joined(backend, "readers")
    await backend.append(notes(4))

    with pytest.raises(BusFullError, match="notes"):
        await backend.append([note("fifth"), note("sixth")])

    assert texts(await take(reader, 4)) == numbered(4)
    assert await reader.read(10, wait_s=0) == []


async def test_a_newborn_topic_has_a_limit_too(site: Site) -> None:
    backend = await site.open(max_backlog=5)
    await joined(backend, "readers")

    with pytest.raises(BusFullError, match="notes"):
        await backend.append(notes(6))


async def test_a_full_topic_takes_more_once_its_groups_have_caught_up(site: Site) -> None:
    backend = await site.open(max_backlog=5)
    reader = await joined(backend, "readers")
    await backend.append(notes(5))
    await reader.commit(settled(await take(reader, 5)))
    await backend.trim()

    await backend.append([note("room again")])

    assert texts(await take(reader, 1)) == ["room again"]


async def test_a_full_topic_does_not_keep_others_from_publishing(site: Site) -> None:
    backend = await site.open(max_backlog=5)
    reader = await joined(backend, "readers", ">")
    await backend.append(notes(5, "full"))

    await backend.append([note("elsewhere", "other")])

    assert "elsewhere" in texts(await take(reader, 6))


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
