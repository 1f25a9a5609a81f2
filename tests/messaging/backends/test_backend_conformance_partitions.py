"""Partitions of a group, which have consumers and entries of their own: asked of every backend."""

from collections.abc import Mapping

import pytest

from messaging.backend import Backend, Consumer, Settlement, StateWrite
from messaging.errors import BusFullError, FencedError
from messaging.wire.topic import partition_topic_of, retry_topic_of
from tests.messaging.conftest import Site
from tests.messaging.notes import (
    everything_in,
    heirloom,
    joined,
    note,
    notes,
    numbered,
    settled,
    take,
    take_one,
    texts,
)

FIRST, THIRD = (partition_topic_of("workers", number) for number in (0, 2))


async def owed(backend: Backend, group: str) -> Mapping[str, tuple[int, int]]:
    """By topic, how much waits for `group` and how much is lent to it."""
    return {
        info.topic: (info.waiting[group], info.pending[group])
        for info in await backend.topics()
        if info.waiting.get(group) or info.pending.get(group)
    }


async def moved(consumer: Consumer, *topics: str) -> None:
    """Hand what `consumer` reads next on to `topics`, one each."""
    deliveries = await take(consumer, len(topics))
    assert (
        await consumer.commit(
            [
                Settlement(d, (d.envelope.moved_to_partition(topic, was_handled=False),))
                for d, topic in zip(deliveries, topics, strict=True)
            ]
        )
        == []
    )


async def test_what_lies_in_a_partition_is_lent_to_its_own_consumers_alone(site: Site) -> None:
    here, there = await site.open(), await site.open()
    group = await joined(here, "workers", "notes", "other.>")
    stranger = await joined(here, "strangers", ">")
    first, third = await here.join("workers", 0), await there.join("workers", 2)
    await here.append(notes(3))

    await moved(group, FIRST, THIRD, THIRD)

    assert texts(await take(third, 2)) == ["notes 1", "notes 2"]
    assert texts(await take(first, 1)) == ["notes 0"]
    assert texts(await take(stranger, 3)) == numbered(3)
    for consumer in (first, third, group, stranger):
        assert await consumer.read(10, wait_s=0) == []


async def test_a_partition_keeps_what_comes_before_its_first_consumer(site: Site) -> None:
    here, there = await site.open(), await site.open()
    group = await joined(here, "workers")
    await here.append(notes(2))
    await moved(group, FIRST, FIRST)

    late = await there.join("workers", 0)

    assert texts(await take(late, 2)) == numbered(2)


async def test_what_is_moved_tells_where_it_came_from_and_whether_it_was_handled(
    backend: Backend,
) -> None:
    group, first = await joined(backend, "workers"), await backend.join("workers", 0)
    again = note("again", retry_topic_of("workers"))._replace(origin="elsewhere")
    await backend.append([note("new"), again])
    for delivery in await take(group, 2):
        envelope = delivery.envelope.moved_to_partition(
            FIRST, was_handled=delivery.envelope.was_handled
        )
        await group.commit([Settlement(delivery, (envelope,))])

    found = {d.envelope.payload: d.envelope for d in await take(first, 2)}

    assert found[b"new"].published_to == "notes"
    assert not found[b"new"].was_handled
    assert found[b"again"].published_to == "elsewhere"
    assert found[b"again"].was_handled


async def test_a_long_payload_comes_whole_through_a_partition(backend: Backend) -> None:
    group, first = await joined(backend, "workers"), await backend.join("workers", 0)
    text = "long " * 40_000
    await backend.append([note(text)])
    await moved(group, FIRST)
    await backend.trim()  # where it lay first

    assert texts([await take_one(first)]) == [text]


async def test_observers_see_what_a_group_is_owed_in_its_partitions(backend: Backend) -> None:
    group, first = await joined(backend, "workers"), await backend.join("workers", 0)
    await backend.append(notes(3))
    await moved(group, FIRST, FIRST, THIRD)
    lent = await take_one(first)

    assert await owed(backend, "workers") == {FIRST: (1, 1), THIRD: (1, 0)}

    await first.commit(settled([lent, await take_one(first)]))
    assert await owed(backend, "workers") == {THIRD: (1, 0)}
    assert set(await backend.consumers("workers")) == {group.incarnation}


async def test_settled_entries_of_a_partition_are_trimmed(backend: Backend) -> None:
    group, first = await joined(backend, "workers"), await backend.join("workers", 0)
    await backend.append(notes(3))
    await moved(group, FIRST, FIRST, FIRST)
    await first.commit(settled(await take(first, 2)))

    await backend.trim()

    assert texts(await everything_in(backend, FIRST)) == ["notes 2"]


async def test_each_partition_has_its_own_members_leader_and_fence(backend: Backend) -> None:
    group, first = await joined(backend, "workers"), await backend.join("workers", 0)
    other, third = await backend.join("workers", 0), await backend.join("workers", 2)
    await backend.append(notes(2))
    await moved(group, FIRST, THIRD)
    held, apart = await take_one(first), await take_one(third)

    assert [await one.lead() for one in (group, first, other, third)] == [True, True, False, True]
    assert set(await first.beat()) == {first.incarnation, other.incarnation}
    assert set(await third.beat()) == {third.incarnation}
    assert set(await group.beat()) == {group.incarnation}

    assert texts(await heirloom(other, first)) == ["notes 0"]
    with pytest.raises(FencedError):
        await first.commit(settled([held]))
    assert await third.commit(settled([apart])) == []
    assert await other.lead()


async def test_who_leaves_a_partition_gives_back_to_it_alone(backend: Backend) -> None:
    group, first = await joined(backend, "workers"), await backend.join("workers", 0)
    third, heir = await backend.join("workers", 2), await backend.join("workers", 0)
    await backend.append(notes(3))
    await moved(group, FIRST, FIRST, FIRST)
    lent = await take(first, 2)

    await first.leave(lent)

    assert await third.read(10, wait_s=0) == []
    assert await group.read(10, wait_s=0) == []
    back = await take(heir, 3)
    assert texts(back) == numbered(3)
    assert [delivery.redelivery_count for delivery in back] == [0, 0, 0]


async def test_partitions_share_the_state_of_their_group(backend: Backend) -> None:
    group, first = await joined(backend, "workers"), await backend.join("workers", 0)
    third = await backend.join("workers", 2)
    await backend.append(notes(2))
    await moved(group, FIRST, THIRD)

    version = await first.journal(StateWrite("count", b"1", 0))
    write = StateWrite("count", b"2", version)
    assert await first.commit([Settlement(await take_one(first), state=(write,))]) == []
    late = Settlement(await take_one(third), (note("late", "results"),), (write,))
    assert await third.commit([late]) == [0]

    stored = await backend.load_state("workers", "count")
    assert stored is not None
    assert stored.value == b"2"
    assert await everything_in(backend, "results") == []


async def test_a_full_partition_refuses_and_nothing_is_settled(site: Site) -> None:
    backend = await site.open(max_backlog=2)
    group, first = await joined(backend, "workers"), await backend.join("workers", 0)
    await backend.append(notes(2))
    await moved(group, FIRST, FIRST)
    await backend.append(notes(1))
    extra = await take_one(group)
    settlement = Settlement(extra, (extra.envelope.moved_to_partition(FIRST, was_handled=False),))

    with pytest.raises(BusFullError):
        await group.commit([settlement])

    assert await owed(backend, "workers") == {FIRST: (2, 0), "notes": (0, 1)}
    await first.commit(settled(await take(first, 1)))
    assert await group.commit([settlement]) == []


async def test_subscribing_again_leaves_partitions_alone(site: Site) -> None:
    here, there = await site.open(), await site.open()
    group, first = await joined(here, "workers"), await here.join("workers", 0)
    await here.append(notes(3))
    await moved(group, FIRST, FIRST, FIRST)
    lent = await take_one(first)

    await there.subscribe("workers", ["elsewhere"])
    await there.subscribe("strangers", [">"])

    assert await first.commit(settled([lent])) == []
    assert texts(await take(first, 2)) == ["notes 1", "notes 2"]
    assert await owed(here, "strangers") == {}


async def test_partitions_go_with_their_group_and_no_other(site: Site) -> None:
    here, there = await site.open(), await site.open()
    group, first = await joined(here, "workers"), await here.join("workers", 0)
    namesake = await joined(here, "workers.0")  # with whose topics one could mix it up
    await namesake.lead()
    await here.join("workers.0", 1)
    await here.append(notes(2))
    await moved(group, FIRST, FIRST)
    await moved(namesake, partition_topic_of("workers.0", 1), partition_topic_of("workers.0", 1))
    await first.lead()

    await there.unsubscribe("workers")

    with pytest.raises(FencedError):
        await first.beat()
    topics = {info.topic for info in await here.topics()}
    assert topics & {FIRST, retry_topic_of("workers")} == set()
    assert partition_topic_of("workers.0", 1) in topics
    again = await joined(here, "workers")
    anew = await here.join("workers", 0)
    assert await anew.lead()
    assert await anew.read(10, wait_s=0) == []
    assert await again.read(10, wait_s=0) == []
    assert texts(await take(await here.join("workers.0", 1), 2)) == numbered(2)
