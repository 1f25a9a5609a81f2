"""Somebody else takes from a consumer what it was lent: XGROUP DELCONSUMER, XACK, XCLAIM."""

import asyncio

import pytest

from messaging.backend import Consumer
from messaging.backends.redis import RedisBackend
from messaging.backends.redis.consumer.consumer import RedisConsumer
from messaging.errors import FencedError
from tests.messaging.backends.redis.conftest import Guild, command, server_of
from tests.messaging.notes import heirloom, joined, note, notes, numbered, settled, take, texts
from tests.reliability.proxy import FaultyProxy


async def _deleted(backend: RedisBackend, consumer: Consumer) -> int:
    """How much the consumer was lent when somebody deleted it."""
    stream = server_of(backend).keys.stream("notes")
    name = consumer.incarnation
    return int(await command(backend, "XGROUP", "DELCONSUMER", stream, "workers", name))


async def _lent_to(backend: RedisBackend, consumer: Consumer) -> int:
    stream = server_of(backend).keys.stream("notes")
    name = consumer.incarnation
    return len(await command(backend, "XPENDING", stream, "workers", "-", "+", 1_000, name))


@pytest.mark.parametrize("beats", [True, False], ids=["bus", "mutant"])
async def test_what_was_taken_from_a_worker_outlives_it_once_it_has_beaten(
    guild: Guild, beats: bool
) -> None:
    backend = await guild.open()
    victim, heir = await joined(backend, "workers"), await joined(backend, "workers")
    await backend.append(notes(20))
    await take(victim, 20)

    assert await _deleted(backend, victim) == 20
    if beats:
        await victim.beat()

    assert texts(await heirloom(heir, victim)) == (numbered(20) if beats else [])
    assert guild.events() == (["bus.lending_lost"] if beats else [])


async def test_what_was_acknowledged_by_somebody_else_is_lent_again(guild: Guild) -> None:
    backend = await guild.open()
    worker = await joined(backend, "workers")
    await backend.append(notes(2))
    first, _ = await take(worker, 2)
    stream = server_of(backend).keys.stream("notes")
    await command(backend, "XACK", stream, "workers", first.position)

    await worker.beat()

    assert await _lent_to(backend, worker) == 2


async def test_what_is_settled_is_not_lent_again(guild: Guild) -> None:
    backend = await guild.open()
    worker = await joined(backend, "workers")
    await backend.append(notes(20))
    lent = await take(worker, 20)
    await _deleted(backend, worker)

    await asyncio.gather(worker.commit(settled(lent[:15])), worker.beat())

    assert await _lent_to(backend, worker) == 5
    assert await worker.commit(settled(lent[15:])) == []
    await worker.beat()
    assert await _lent_to(backend, worker) == 0


async def test_what_somebody_else_claimed_is_left_to_them(guild: Guild) -> None:
    backend = await guild.open()
    worker = await joined(backend, "workers")
    await backend.append(notes(1))
    (delivery,) = await take(worker, 1)
    stream = server_of(backend).keys.stream("notes")
    await command(backend, "XCLAIM", stream, "workers", "stranger", 0, delivery.position)

    beats = await worker.beat()

    assert beats["stranger"] == -1  # so that it is taken over
    assert await _lent_to(backend, worker) == 0
    assert guild.events() == []


async def test_a_zombie_is_lent_nothing_again(guild: Guild) -> None:
    backend = await guild.open()
    zombie, heir = await joined(backend, "workers"), await joined(backend, "workers")
    await backend.append(notes(1))
    await take(zombie, 1)
    await heir.commit(settled(await heirloom(heir, zombie)))
    assert isinstance(zombie, RedisConsumer)

    with pytest.raises(FencedError):
        await zombie._fetcher.lend_again("notes")

    assert await _lent_to(backend, zombie) == 0


async def test_after_a_reconnection_nothing_is_lent_again_that_may_be_somebody_elses(
    guild: Guild, proxy: FaultyProxy
) -> None:
    """The server may be another one, which has lent it to others."""
    backend, here = await guild.open(proxy.url), await guild.open()
    worker = await joined(backend, "workers")
    await backend.append(notes(5))
    await take(worker, 5)
    await _deleted(here, worker)
    proxy.reset_all()
    await backend.topics()

    await worker.beat()

    assert await _lent_to(here, worker) == 0
    assert "bus.lending_lost" not in guild.events()


async def test_an_answer_that_gets_lost_meanwhile_does_no_harm(
    guild: Guild, proxy: FaultyProxy
) -> None:
    backend = await guild.open(proxy.url)
    worker = await joined(backend, "workers")
    await backend.append(notes(5))
    lent = await take(worker, 5)
    await _deleted(backend, worker)
    proxy.lose_replies_to(server_of(backend).scripts.relend.sha.encode())

    await worker.beat()

    assert proxy.lost == 1
    assert await worker.read(10, wait_s=0) == []
    assert await worker.commit(settled(lent)) == []


async def test_whoever_works_and_beats_at_the_same_time_misses_nothing(
    guild: Guild, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commits on their way are no reason to look."""
    backend = await guild.open()
    worker = await joined(backend, "workers")
    assert isinstance(worker, RedisConsumer)
    looked: list[str] = []

    async def look(topic: str) -> None:
        looked.append(topic)

    monkeypatch.setattr(worker._fetcher, "lend_again", look)
    for number in range(200):
        await backend.append([note(f"{number}"), note(f"more {number}")])
        one, other = await take(worker, 2)
        await asyncio.gather(
            *(worker.beat(), worker.commit(settled([one])), worker.beat()),
            *(worker.read(1, wait_s=0), worker.commit(settled([other])), worker.beat()),
        )

    assert looked == []
