"""A commit is one step, applied once, by who holds what it settles: asked of every backend."""

import pytest

from messaging.backend import Backend, DeadLetter, Settlement, StateValue, StateWrite
from messaging.errors import (
    BusFullError,
    FencedError,
    NotHeldError,
    PayloadTooLargeError,
)
from tests.messaging.conftest import Site
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


async def test_a_commit_settles_writes_and_sends_everything_of_its_batch(
    backend: Backend,
) -> None:
    worker = await joined(backend, "workers")
    await backend.append(notes(3))
    first, second, third = await take(worker, 3)

    outdated = await worker.commit(
        [
            Settlement(first, outbox=(note("one", "results"), note("two", "results"))),
            Settlement(second, state=(StateWrite("seen", b"2", 0),)),
            given_up(third, "workers"),
        ]
    )

    assert outdated == []
    assert texts(await everything_in(backend, "results")) == ["one", "two"]
    assert await backend.load_state("workers", "seen") == StateValue(b"2", 1)
    assert texts(await backend.dead_letters()) == ["notes 2"]
    assert await is_owed_nothing(backend, worker)


async def test_what_was_settled_is_not_there_to_be_taken_over(backend: Backend) -> None:
    worker = await joined(backend, "workers")
    heir = await backend.join("workers")
    await backend.append(notes(3))
    deliveries = await take(worker, 3)

    await worker.commit(settled(deliveries[:2]))

    assert texts(await heirloom(heir, worker)) == ["notes 2"]


async def test_settling_out_of_order_leaves_the_others_owed(backend: Backend) -> None:
    worker = await joined(backend, "workers")
    heir = await backend.join("workers")
    await backend.append(notes(4))
    deliveries = await take(worker, 4)

    await worker.commit(settled([deliveries[3], deliveries[1]]))

    assert texts(await heirloom(heir, worker)) == ["notes 0", "notes 2"]


async def test_an_outbox_reaches_the_groups_of_its_topics(backend: Backend) -> None:
    worker = await joined(backend, "workers")
    reader = await joined(backend, "readers", "results")
    await backend.append(notes(1))

    job = await take_one(worker)
    await worker.commit([Settlement(job, outbox=(note("done", "results"),))])

    assert texts(await take(reader, 1)) == ["done"]


async def test_an_empty_commit_does_nothing(backend: Backend) -> None:
    worker = await joined(backend, "workers")

    assert await worker.commit([]) == []


async def test_a_second_commit_is_refused_and_publishes_nothing(backend: Backend) -> None:
    worker = await joined(backend, "workers")
    await backend.append(notes(1))
    job = await take_one(worker)
    await worker.commit([Settlement(job, outbox=(note("once", "results"),))])

    with pytest.raises(NotHeldError, match=worker.incarnation):
        await worker.commit([Settlement(job, outbox=(note("twice", "results"),))])

    assert texts(await everything_in(backend, "results")) == ["once"]


async def test_a_delivery_settled_twice_in_one_commit_is_refused(backend: Backend) -> None:
    worker = await joined(backend, "workers")
    await backend.append(notes(1))
    job = await take_one(worker)
    twice = Settlement(job, outbox=(note("twice", "results"),))

    with pytest.raises(NotHeldError):
        await worker.commit([twice, twice])

    assert texts(await everything_in(backend, "results")) == []
    await worker.commit(settled([job]))


async def test_what_another_consumer_holds_cannot_be_settled(backend: Backend) -> None:
    worker = await joined(backend, "workers")
    thief = await backend.join("workers")
    await backend.append(notes(1))
    job = await take_one(worker)

    with pytest.raises(NotHeldError):
        await thief.commit([Settlement(job, outbox=(note("stolen", "results"),))])

    assert texts(await everything_in(backend, "results")) == []
    await worker.commit([Settlement(job, outbox=(note("earned", "results"),))])


async def test_a_refused_commit_leaves_its_consumer_able_to_commit(backend: Backend) -> None:
    worker = await joined(backend, "workers")
    await backend.append(notes(2))
    first, second = await take(worker, 2)
    await worker.commit([Settlement(first)])
    with pytest.raises(NotHeldError):
        await worker.commit([Settlement(first)])

    assert await worker.commit([Settlement(second, outbox=(note("on", "results"),))]) == []

    assert texts(await everything_in(backend, "results")) == ["on"]


async def test_a_fenced_consumers_commit_is_refused_whole_and_publishes_nothing(
    backend: Backend,
) -> None:
    zombie = await joined(backend, "workers")
    heir = await backend.join("workers")
    await backend.append(notes(2))
    first, second = await take(zombie, 2)
    await heir.take_over(zombie.incarnation, max_count=1)

    with pytest.raises(FencedError, match=zombie.incarnation):
        await zombie.commit(
            [
                Settlement(first, outbox=(note("undead", "results"),)),
                Settlement(second, state=(StateWrite("seen", b"undead", 0),)),
                given_up(second, "workers"),
            ]
        )

    assert texts(await everything_in(backend, "results")) == []
    assert await backend.load_state("workers", "seen") is None
    assert await backend.dead_letters() == []


async def test_a_zombie_cannot_commit_even_what_nobody_has_taken_yet(backend: Backend) -> None:
    zombie = await joined(backend, "workers")
    heir = await backend.join("workers")
    await backend.append(notes(2))
    _, second = await take(zombie, 2)
    await heir.take_over(zombie.incarnation, max_count=1)

    with pytest.raises(FencedError):
        await zombie.commit([Settlement(second, outbox=(note("undead", "results"),))])

    assert texts(await everything_in(backend, "results")) == []
    assert texts(await heirloom(heir, zombie)) == ["notes 1"]


async def test_a_commit_whose_output_is_full_writes_nothing_of_any_settlement(
    site: Site,
) -> None:
    backend = await site.open(max_backlog=3)
    worker = await joined(backend, "workers")
    await backend.subscribe("readers", ["results"])
    await backend.append([*notes(2), *notes(3, "results")])
    first, second = await take(worker, 2)

    with pytest.raises(BusFullError, match="results"):
        await worker.commit(
            [
                Settlement(
                    first,
                    outbox=(note("spoken", "elsewhere"),),
                    state=(StateWrite("seen", b"1", 0),),
                    dead=DeadLetter(first.envelope, "workers", b"{}", at=1.0),
                ),
                Settlement(second, outbox=(note("one too many", "results"),)),
            ]
        )

    assert texts(await everything_in(backend, "results")) == numbered(3, "results")
    assert texts(await everything_in(backend, "elsewhere")) == []
    assert await backend.load_state("workers", "seen") is None
    assert await backend.dead_letters() == []
    heir = await backend.join("workers")
    assert texts(await heirloom(heir, worker)) == numbered(2)


async def test_a_commit_with_an_envelope_past_the_cap_writes_nothing(site: Site) -> None:
    backend = await site.open(max_envelope_bytes=1_000)
    worker = await joined(backend, "workers")
    await backend.append(notes(2))
    first, second = await take(worker, 2)

    with pytest.raises(PayloadTooLargeError):
        await worker.commit(
            [
                Settlement(first, outbox=(note("small", "results"),)),
                Settlement(second, outbox=(note("x" * 2_000, "results"),)),
            ]
        )

    assert texts(await everything_in(backend, "results")) == []
    await worker.commit(settled([first, second]))


async def test_an_answer_to_a_requester_who_is_gone_is_dropped_without_harm(
    backend: Backend,
) -> None:
    worker = await joined(backend, "workers")
    await backend.append(notes(1))
    job = await take_one(worker)

    outdated = await worker.commit(
        [Settlement(job, outbox=(note("answer", "_reply.gone"), note("kept", "results")))]
    )

    assert outdated == []
    assert texts(await everything_in(backend, "_reply.gone")) == []
    assert texts(await everything_in(backend, "results")) == ["kept"]
    assert await is_owed_nothing(backend, worker)


async def test_an_answer_reaches_a_requester_who_listens(site: Site) -> None:
    backend, client = await site.open(), await site.open()
    worker = await joined(backend, "workers")
    await client.open_ephemeral("_reply.me", ttl_s=60, max_entries=10)
    await client.append([note("question", reply_to="_reply.me")])

    job = await take_one(worker)
    await worker.commit([Settlement(job, outbox=(note("answer", job.envelope.reply_to),))])

    assert texts(await everything_in(client, "_reply.me")) == ["answer"]


async def test_a_delayed_outbox_envelope_waits_for_its_time(backend: Backend) -> None:
    worker = await joined(backend, "workers")
    await backend.append(notes(1))
    job = await take_one(worker)

    await worker.commit([Settlement(job, outbox=(note("later", delay_s=60),))])

    assert await is_owed_nothing(backend, worker)
    assert 50 < (await backend.release_due() or 0) <= 60
