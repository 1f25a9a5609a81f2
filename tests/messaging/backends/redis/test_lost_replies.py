"""The server did it, and the answer never came: it is sent again and happens once."""

import asyncio

import pytest

from messaging.backend import Delivery, Settlement, StateValue, StateWrite
from messaging.wire.envelope import Envelope
from tests.messaging.backends.redis.conftest import Guild, command, server_of
from tests.messaging.notes import (
    everything_in,
    given_up,
    heirloom,
    is_owed_nothing,
    joined,
    note,
    notes,
    numbered,
    settled,
    take,
    take_one,
    texts,
)
from tests.reliability.proxy import FaultyProxy


async def test_an_append_whose_answer_was_lost_is_stored_once(
    guild: Guild, proxy: FaultyProxy
) -> None:
    backend = await guild.open(proxy.url)
    await backend.append([note("before")])
    proxy.lose_replies_to(server_of(backend).scripts.append.sha.encode())

    await backend.append(notes(3))

    assert proxy.lost == 1
    assert texts(await everything_in(backend, "notes")) == ["before", *numbered(3)]
    assert "bus.reconnected" in guild.events()


async def test_appends_in_flight_are_sent_again_in_order(guild: Guild, proxy: FaultyProxy) -> None:
    backend = await guild.open(proxy.url)
    await backend.append([note("before")])
    proxy.lose_replies_to(server_of(backend).scripts.append.sha.encode(), times=3)

    waiting = []
    for number in range(50):
        waiting.append(asyncio.ensure_future(backend.append([note(f"notes {number}")])))
        await asyncio.sleep(0)  # one batch per tick of the loop, as publishers come in
    await asyncio.gather(*waiting)

    assert proxy.lost >= 1
    assert texts(await everything_in(backend, "notes")) == ["before", *numbered(50)]


async def test_a_cancelled_publisher_does_not_disturb_the_others(guild: Guild) -> None:
    backend = await guild.open()
    leaving = asyncio.ensure_future(backend.append([note("leaving")]))
    staying = asyncio.ensure_future(backend.append([note("staying")]))
    await asyncio.sleep(0)

    leaving.cancel()
    await staying

    assert "staying" in texts(await everything_in(backend, "notes"))


async def test_a_commit_whose_answer_was_lost_is_applied_once(
    guild: Guild, proxy: FaultyProxy
) -> None:
    backend = await guild.open(proxy.url)
    worker = await joined(backend, "workers")
    await backend.append([*notes(2), note("before", "results")])
    first, second = await take(worker, 2)
    proxy.lose_replies_to(server_of(backend).scripts.commit.sha.encode())

    outdated = await worker.commit(
        [
            Settlement(first, (note("one", "results"),), (StateWrite("seen", b"1", 0),)),
            Settlement(second, (note("two", "results"),)),
        ]
    )

    assert proxy.lost == 1
    assert outdated == []
    assert texts(await everything_in(backend, "results")) == ["before", "one", "two"]
    assert await backend.load_state("workers", "seen") == StateValue(b"1", 1)
    assert await is_owed_nothing(backend, worker)


async def test_a_lost_answer_that_named_outdated_settlements_names_them_again(
    guild: Guild, proxy: FaultyProxy
) -> None:
    backend = await guild.open(proxy.url)
    worker = await joined(backend, "workers")
    await backend.append([*notes(2), note("before", "results")])
    first, second = await take(worker, 2)
    proxy.lose_replies_to(server_of(backend).scripts.commit.sha.encode())

    outdated = await worker.commit(
        [
            Settlement(first, (note("kept", "results"),)),
            Settlement(second, (note("refused", "results"),), (StateWrite("seen", b"x", 7),)),
        ]
    )

    assert proxy.lost == 1
    assert outdated == [1]
    assert texts(await everything_in(backend, "results")) == ["before", "kept"]
    assert await worker.commit([Settlement(second)]) == []


async def test_a_batch_lent_in_a_lost_answer_is_found_again(
    guild: Guild, proxy: FaultyProxy
) -> None:
    backend = await guild.open(proxy.url)
    worker = await joined(backend, "workers")
    await backend.append([note("held")])
    held = await take(worker, 1)
    await backend.append(notes(3))
    proxy.lose_replies_to(b"XREADGROUP")

    deliveries = await take(worker, 3)

    assert proxy.lost == 1
    assert texts(deliveries) == numbered(3)
    assert [delivery.redelivery_count for delivery in deliveries] == [0, 0, 0]
    await worker.commit(settled([*held, *deliveries]))
    assert await is_owed_nothing(backend, worker)


async def test_what_was_claimed_in_a_lost_answer_is_found_again(
    guild: Guild, proxy: FaultyProxy
) -> None:
    backend, other = await guild.open(proxy.url), await guild.open()
    victim = await joined(other, "workers")
    heir = await backend.join("workers")
    await backend.append(notes(3))
    await take(victim, 3)
    proxy.lose_replies_to(server_of(backend).scripts.claim.sha.encode())

    inherited = [*await heirloom(heir, victim), *await heir.read(10, wait_s=0)]

    assert proxy.lost == 1
    assert texts(inherited) == numbered(3)
    assert [delivery.redelivery_count for delivery in inherited] == [1, 1, 1]


@pytest.mark.parametrize("action", ["requeue", "drop"])
async def test_a_dead_letter_whose_answer_was_lost_is_done_with_once_and_said_to_be(
    guild: Guild, proxy: FaultyProxy, action: str
) -> None:
    backend = await guild.open(proxy.url)
    worker = await joined(backend, "workers")
    await backend.append(notes(1))
    await worker.commit([given_up(await take_one(worker), "workers")])
    (letter,) = await backend.dead_letters()
    proxy.lose_replies_to(getattr(server_of(backend).scripts, action).sha.encode())

    if action == "requeue":
        assert await backend.requeue(letter.id, letter.envelope)
        assert texts(await take(worker, 1)) == ["notes 0"]
    else:
        assert await backend.drop(letter.id)

    assert proxy.lost == 1
    assert await worker.read(10, wait_s=0) == []
    assert not await backend.drop(letter.id)


async def test_a_delayed_append_whose_answer_was_lost_is_released_once(
    guild: Guild, proxy: FaultyProxy
) -> None:
    backend = await guild.open(proxy.url)
    await backend.append([note("before")])
    proxy.lose_replies_to(server_of(backend).scripts.append.sha.encode())

    await backend.append([note("later", delay_s=0.001)])
    while (due_in_s := await backend.release_due()) is not None:  # noqa: ASYNC110 - server's clock
        await asyncio.sleep(due_in_s)

    assert proxy.lost == 1
    assert texts(await everything_in(backend, "notes")) == ["before", "later"]


async def test_publishing_through_a_storm_of_resets_stores_everything_once_in_order(
    guild: Guild, proxy: FaultyProxy
) -> None:
    backend = await guild.open(proxy.url)
    count, resets = 300, 0
    for number in range(count):
        waiting = asyncio.ensure_future(backend.append([note(f"notes {number}")]))
        if number % 20 == 7:
            await asyncio.sleep(0)
            proxy.reset_all()
            resets += 1
        await waiting

    assert resets == 15
    assert texts(await everything_in(backend, "notes")) == numbered(count)


async def test_commits_through_a_storm_of_killed_clients_are_applied_once(
    guild: Guild, proxy: FaultyProxy
) -> None:
    backend = await guild.open(proxy.url)
    other = await guild.open()
    worker = await joined(backend, "workers")
    await backend.append(notes(120))

    done = 0
    while done < 120:
        deliveries = await worker.read(4, wait_s=1)
        killing = asyncio.create_task(command(other, "CLIENT", "KILL", "TYPE", "normal"))
        await worker.commit([Settlement(d, (_echo(d),)) for d in deliveries])
        await killing
        done += len(deliveries)

    assert texts(await everything_in(backend, "results")) == numbered(120)
    assert await is_owed_nothing(backend, worker)


def _echo(delivery: Delivery) -> Envelope:
    return note(delivery.envelope.payload.decode(), "results")
