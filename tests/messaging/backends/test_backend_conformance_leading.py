"""The one consumer that reads where order is kept: asked of every backend, of groups and parts."""

from typing import NamedTuple

import pytest

from messaging.backend import Backend, Consumer, Delivery
from messaging.errors import FencedError
from messaging.wire.topic import partition_topic_of
from tests.messaging.conftest import Site
from tests.messaging.notes import notes, numbered, settled, take, texts


class Place(NamedTuple):
    """Where consumers work: at the whole group, or at one partition of it."""

    partition: int | None = None

    @property
    def topic(self) -> str:
        return "notes" if self.partition is None else partition_topic_of("workers", self.partition)

    async def join(self, backend: Backend, group: str = "workers") -> Consumer:
        if group not in await backend.groups():
            await backend.subscribe(group, ["notes"])
        return await backend.join(group, self.partition)


@pytest.fixture(params=[None, 3], ids=["group", "partition"])
def place(request: pytest.FixtureRequest) -> Place:
    return Place(request.param)


async def inheritance(heir: Consumer, max_count: int = 100) -> list[Delivery]:
    taken: list[Delivery] = []
    while batch := await heir.inherit(max_count):
        assert len(batch) <= max_count
        taken += batch
    return taken


async def test_one_consumer_leads_until_it_leaves(site: Site, place: Place) -> None:
    here, there = await site.open(), await site.open()
    one = await place.join(here)
    other = await place.join(there)
    stranger = await place.join(here, "strangers")

    assert await one.lead()
    assert await one.lead()
    assert not await other.lead()
    assert await stranger.lead()

    await one.leave([])

    assert await other.lead()


async def test_whoever_took_the_leader_over_may_lead_and_the_leader_may_not(
    backend: Backend, place: Place
) -> None:
    old = await place.join(backend)
    heir = await place.join(backend)
    await old.lead()

    await heir.take_over(old.incarnation, 0)

    assert await heir.lead()
    with pytest.raises(FencedError):
        await old.lead()
    with pytest.raises(FencedError):
        await old.inherit(1)


async def test_an_inheritance_comes_in_order_from_all_who_are_gone(
    backend: Backend, place: Place
) -> None:
    first = await place.join(backend)
    await backend.append(notes(6, place.topic))
    await take(first, 4)
    second = await place.join(backend)
    await second.take_over(first.incarnation, 2)  # and dies in the middle of it
    heir = await place.join(backend)
    await heir.take_over(second.incarnation, 0)

    inherited = await inheritance(heir, 1)

    assert texts(inherited) == numbered(4, place.topic)
    assert [delivery.redelivery_count for delivery in inherited] == [2, 2, 1, 1]
    assert texts(await take(heir, 2)) == numbered(6, place.topic, start=4)


async def test_what_was_given_back_comes_before_what_is_new(backend: Backend, place: Place) -> None:
    leaver = await place.join(backend)
    await backend.append(notes(3, place.topic))
    await leaver.leave(await take(leaver, 2))
    heir = await place.join(backend)

    everything = await inheritance(heir)
    everything += await take(heir, 3 - len(everything))

    assert texts(everything) == numbered(3, place.topic)
    assert [delivery.redelivery_count for delivery in everything] == [0, 0, 0]


async def test_what_the_living_hold_is_not_inherited(backend: Backend, place: Place) -> None:
    holder = await place.join(backend)
    heir = await place.join(backend)
    await backend.append(notes(2, place.topic))
    held = await take(holder, 2)

    assert await inheritance(heir) == []
    assert await holder.commit(settled(held)) == []
