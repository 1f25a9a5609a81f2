"""The one consumer that reads where order is kept: asked of every backend."""

import pytest

from messaging.backend import Backend, Consumer, Delivery
from messaging.errors import FencedError
from tests.messaging.conftest import Site
from tests.messaging.notes import joined, notes, numbered, settled, take, texts


async def inheritance(heir: Consumer, max_count: int = 100) -> list[Delivery]:
    taken: list[Delivery] = []
    while batch := await heir.inherit(max_count):
        assert len(batch) <= max_count
        taken += batch
    return taken


async def test_one_consumer_of_a_group_leads_until_it_leaves(site: Site) -> None:
    here, there = await site.open(), await site.open()
    one = await joined(here, "workers")
    other = await there.join("workers")
    stranger = await joined(here, "strangers")

    assert await one.lead()
    assert await one.lead()
    assert not await other.lead()
    assert await stranger.lead()

    await one.leave([])

    assert await other.lead()


async def test_whoever_took_the_leader_over_may_lead_and_the_leader_may_not(
    backend: Backend,
) -> None:
    old = await joined(backend, "workers")
    heir = await backend.join("workers")
    await old.lead()

    await heir.take_over(old.incarnation, 0)

    assert await heir.lead()
    with pytest.raises(FencedError):
        await old.lead()
    with pytest.raises(FencedError):
        await old.inherit(1)


async def test_an_inheritance_comes_in_order_from_all_who_are_gone(backend: Backend) -> None:
    first = await joined(backend, "workers")
    await backend.append(notes(6))
    await take(first, 4)
    second = await backend.join("workers")
    await second.take_over(first.incarnation, 2)  # and dies in the middle of it
    heir = await backend.join("workers")
    await heir.take_over(second.incarnation, 0)

    inherited = await inheritance(heir, 1)

    assert texts(inherited) == numbered(4)
    assert [delivery.handed_out for delivery in inherited] == [2, 2, 1, 1]
    assert texts(await take(heir, 2)) == numbered(6, start=4)


async def test_what_was_given_back_comes_before_what_is_new(backend: Backend) -> None:
    leaver = await joined(backend, "workers")
    await backend.append(notes(3))
    await leaver.leave(await take(leaver, 2))
    heir = await backend.join("workers")

    everything = await inheritance(heir)
    everything += await take(heir, 3 - len(everything))

    assert texts(everything) == numbered(3)
    assert [delivery.handed_out for delivery in everything] == [0, 0, 0]


async def test_what_the_living_hold_is_not_inherited(backend: Backend) -> None:
    holder = await joined(backend, "workers")
    heir = await backend.join("workers")
    await backend.append(notes(2))
    held = await take(holder, 2)

    assert await inheritance(heir) == []
    assert await holder.commit(settled(held)) == []
