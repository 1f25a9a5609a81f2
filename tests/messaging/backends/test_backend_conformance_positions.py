"""Positions of moments and of entries: asked of every backend."""

import asyncio

import pytest

from messaging.backend import FROM_START, Backend
from tests.messaging.conftest import Site
from tests.messaging.notes import everything_in, note, notes, numbered, passed, texts

REPLIES = "_reply.client"


async def behind(backend: Backend, topic: str, position: str) -> list[str]:
    return texts(await backend.tail({topic: position}, max_count=100, wait_s=0))


async def test_what_came_from_a_moment_on_lies_behind_its_position_and_nothing_older(
    backend: Backend,
) -> None:
    await backend.append(notes(3))
    moment = await passed(backend)
    then = await backend.positions_at(["notes"], moment)
    await backend.append([note("after")])

    now = await backend.positions_at(["notes"], moment)
    assert await behind(backend, "notes", then["notes"]) == ["after"]
    assert await behind(backend, "notes", now["notes"]) == ["after"]


async def test_an_ephemeral_topic_has_positions_of_moments_too(backend: Backend) -> None:
    await backend.open_ephemeral(REPLIES, ttl_s=60, max_entries=100)
    await backend.emit([note("before", REPLIES)])
    moment = await passed(backend)
    await backend.emit([note("after", REPLIES)])

    positions = await backend.positions_at([REPLIES], moment)
    assert await behind(backend, REPLIES, positions[REPLIES]) == ["after"]


async def test_a_topic_that_is_not_there_is_read_from_its_start(backend: Backend) -> None:
    positions = await backend.positions_at(["unborn", REPLIES], await backend.time())

    assert positions == {"unborn": FROM_START, REPLIES: FROM_START}


async def test_everything_lies_behind_a_moment_long_ago(backend: Backend) -> None:
    await backend.append(notes(2))

    for moment in (0.0, 1.0):
        positions = await backend.positions_at(["notes"], moment)
        assert await behind(backend, "notes", positions["notes"]) == numbered(2)


async def test_a_moment_that_has_not_come_hides_nothing_that_comes(backend: Backend) -> None:
    """As when the store's clock is set back by an hour after it was asked."""
    await backend.append([note("before")])
    positions = await backend.positions_at(["notes"], await backend.time() + 3_600)

    await backend.append([note("after")])

    assert await behind(backend, "notes", positions["notes"]) == ["after"]


async def test_all_clients_of_a_store_have_its_clock(site: Site) -> None:
    here, there = await site.open(), await site.open()

    before, between, after = await here.time(), await there.time(), await here.time()

    assert before <= between <= after


async def test_what_is_read_from_just_before_an_entry_begins_with_it(backend: Backend) -> None:
    await backend.append(notes(4))

    for number, entry in enumerate(await everything_in(backend, "notes")):
        before = backend.just_before(entry.position)
        assert await behind(backend, "notes", before) == numbered(4, start=number)


@pytest.mark.parametrize(
    "text",
    ["", "$", "+", "mine", "7", "1-", "1-x", "0-0", "1-1\n", "0" * 20, "\u0663" * 20, "9-9!"],
)
async def test_what_is_no_position_of_an_entry_is_refused(backend: Backend, text: str) -> None:
    with pytest.raises(ValueError, match="is no position of an entry"):
        backend.just_before(text)


async def test_positions_only_grow_while_many_publish(site: Site) -> None:
    backends = [await site.open() for _ in range(3)]
    await asyncio.gather(*[each.append(notes(20)) for each in backends])

    entries = await everything_in(backends[0], "notes")
    steps = [backends[0].just_before(each.position) for each in entries]
    left = [len(await behind(backends[0], "notes", step)) for step in steps]
    assert left == list(range(60, 0, -1))
