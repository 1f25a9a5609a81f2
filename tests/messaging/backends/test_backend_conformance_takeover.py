"""Liveness, takeover and leaving: asked of every backend."""

import asyncio

import pytest

from messaging.backend import Backend, Settlement
from messaging.errors import FencedError
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


async def test_every_consumer_of_the_group_is_seen_by_its_beats(site: Site) -> None:
    here, there = await site.open(), await site.open()
    one = await joined(here, "workers")
    other = await there.join("workers")
    await joined(here, "strangers")

    before = await one.beat()
    await other.beat()
    after = await one.beat()

    assert before.keys() == after.keys() == {one.incarnation, other.incarnation}
    assert after[one.incarnation] > before[one.incarnation]
    assert after[other.incarnation] > before[other.incarnation]


async def test_a_consumer_that_does_not_beat_stands_still(backend: Backend) -> None:
    watcher = await joined(backend, "workers")
    silent = await backend.join("workers")

    seen = [(await watcher.beat())[silent.incarnation] for _ in range(3)]

    assert len(set(seen)) == 1
    assert seen[0] >= 0


async def test_a_takeover_lends_what_was_held_and_counts_it(backend: Backend) -> None:
    victim = await joined(backend, "workers")
    heir = await backend.join("workers")
    await backend.append(notes(5))
    await take(victim, 3)

    inherited = await heirloom(heir, victim, max_count=2)

    assert texts(inherited) == numbered(3)
    assert [delivery.redelivery_count for delivery in inherited] == [1, 1, 1]
    assert texts(await take(heir, 2)) == numbered(5, start=3)


async def test_a_second_takeover_counts_again(backend: Backend) -> None:
    first = await joined(backend, "workers")
    second, third = await backend.join("workers"), await backend.join("workers")
    await backend.append(notes(1))
    await take(first, 1)

    await heirloom(second, first)
    (delivery,) = await heirloom(third, second)

    assert delivery.redelivery_count == 2


async def test_the_heir_can_settle_what_it_took_over(backend: Backend) -> None:
    victim = await joined(backend, "workers")
    heir = await backend.join("workers")
    await backend.append(notes(2))
    await take(victim, 2)

    await heir.commit(
        [
            Settlement(delivery, outbox=(note("done", "results"),))
            for delivery in await heirloom(heir, victim)
        ]
    )

    assert texts(await everything_in(backend, "results")) == ["done", "done"]
    assert await is_owed_nothing(backend, heir)


async def test_a_zombie_can_neither_read_nor_beat_nor_take_over(backend: Backend) -> None:
    zombie = await joined(backend, "workers")
    heir = await backend.join("workers")
    await backend.append(notes(1))

    await heirloom(heir, zombie)

    with pytest.raises(FencedError):
        await zombie.read(10, wait_s=0)
    with pytest.raises(FencedError):
        await zombie.beat()
    with pytest.raises(FencedError):
        await zombie.take_over(heir.incarnation, max_count=10)
    assert texts(await take(heir, 1)) == numbered(1)


async def test_a_waiting_zombie_takes_nothing_with_it(backend: Backend) -> None:
    zombie = await joined(backend, "workers")
    heir = await backend.join("workers")
    reading = asyncio.create_task(zombie.read(10, wait_s=0.5))
    await asyncio.sleep(0)
    await heirloom(heir, zombie)
    await backend.append(notes(1))

    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(FencedError):
            await reading
        swallowed = await heirloom(heir, zombie)
        rest = swallowed or await take(heir, 1)

    assert texts(rest) == numbered(1)


async def test_a_zombies_leave_gives_nothing_back(backend: Backend) -> None:
    zombie = await joined(backend, "workers")
    heir = await backend.join("workers")
    await backend.append(notes(1))
    held = await take(zombie, 1)
    inherited = await heirloom(heir, zombie)

    await zombie.leave(held)
    await heir.commit([Settlement(inherited[0], outbox=(note("once", "results"),))])

    assert await is_owed_nothing(backend, heir)
    assert texts(await everything_in(backend, "results")) == ["once"]


async def test_a_takeover_cut_short_shows_what_is_still_held(backend: Backend) -> None:
    victim = await joined(backend, "workers")
    heir, sweeper = await backend.join("workers"), await backend.join("workers")
    await backend.append(notes(3))
    await take(victim, 3)
    await heir.take_over(victim.incarnation, max_count=1)

    beats = await sweeper.beat()
    rest = await heirloom(sweeper, victim)

    assert beats[victim.incarnation] == -1
    assert texts(rest) == numbered(3, start=1)
    assert victim.incarnation not in await sweeper.beat()


async def test_taking_over_somebody_who_held_nothing_lends_nothing(backend: Backend) -> None:
    victim = await joined(backend, "workers")
    heir = await backend.join("workers")

    assert await heirloom(heir, victim) == []
    assert victim.incarnation not in await heir.beat()


async def test_who_leaves_gives_back_in_order_and_uncounted(backend: Backend) -> None:
    leaver = await joined(backend, "workers")
    await backend.append(notes(5))
    deliveries = await take(leaver, 3)

    await leaver.leave(deliveries)
    stayer = await backend.join("workers")
    again = await take(stayer, 5)

    assert texts(again) == numbered(5)
    assert [delivery.redelivery_count for delivery in again] == [0] * 5
    assert list(await stayer.beat()) == [stayer.incarnation]


async def test_what_is_given_back_is_lent_once_and_can_be_settled(backend: Backend) -> None:
    leaver = await joined(backend, "workers")
    one, other = await backend.join("workers"), await backend.join("workers")
    await backend.append(notes(4))
    await leaver.leave(await take(leaver, 4))

    shares = [await take(one, 2), await take(other, 2)]
    await one.commit(settled(shares[0]))
    await other.commit(settled(shares[1]))

    assert sorted(texts(shares[0] + shares[1])) == numbered(4)
    assert await is_owed_nothing(backend, one)


async def test_what_was_settled_before_leaving_does_not_come_back(backend: Backend) -> None:
    leaver = await joined(backend, "workers")
    await backend.append(notes(2))
    first, second = await take(leaver, 2)
    await leaver.commit(settled([first]))

    await leaver.leave([second])
    stayer = await backend.join("workers")

    assert texts(await take(stayer, 1)) == ["notes 1"]
    assert await is_owed_nothing(backend, stayer)


async def test_who_left_cannot_commit_what_it_gave_back(backend: Backend) -> None:
    leaver = await joined(backend, "workers")
    await backend.append(notes(1))
    (job,) = await take(leaver, 1)
    await leaver.leave([job])

    with pytest.raises(FencedError):
        await leaver.commit([Settlement(job, outbox=(note("late", "results"),))])

    assert texts(await everything_in(backend, "results")) == []


async def test_what_a_leaver_started_and_did_not_give_back_can_be_taken_over(
    backend: Backend,
) -> None:
    leaver = await joined(backend, "workers")
    await backend.append(notes(2))
    _, waiting = await take(leaver, 2)

    await leaver.leave([waiting])
    stayer = await backend.join("workers")
    beats = await stayer.beat()
    taken = [*await take(stayer, 1), *await heirloom(stayer, leaver)]

    assert beats[leaver.incarnation] == -1
    assert sorted(texts(taken)) == numbered(2)


async def test_what_was_lent_to_two_who_died_comes_alone(backend: Backend) -> None:
    first, second = await joined(backend, "workers"), await joined(backend, "workers")
    heir = await joined(backend, "workers")
    await backend.append(notes(5))
    await take(first, 2)
    await second.take_over(first.incarnation, 2)
    await take(second, 3)

    lent = []
    while some := await heir.take_over(second.incarnation, 10, alone_from=2):
        lent.append(texts(some))

    assert sorted(lent) == [["notes 0"], ["notes 1"], ["notes 2", "notes 3", "notes 4"]]
