"""Long payloads: the same promises, whatever a backend does to keep them out of the way."""

import pytest

from messaging.backend import Backend, Delivery, Settlement
from messaging.errors import PayloadTooLargeError
from messaging.wire.envelope import Envelope
from messaging.wire.topic import retry_topic_of
from tests.messaging.conftest import Site
from tests.messaging.notes import (
    everything_in,
    given_up,
    heirloom,
    is_owed_nothing,
    joined,
    note,
    settled,
    take,
    take_one,
    texts,
)

MIB = 1 << 20


def large(number: int = 0, topic: str = "notes", *, delay_s: float = 0.0) -> Envelope:
    return note(f"{number}" + "x" * (MIB - 1), topic, delay_s=delay_s)


def retry_of(delivery: Delivery, group: str, *, delay_s: float = 0.0) -> Settlement:
    retry = delivery.envelope._replace(
        topic=retry_topic_of(group), origin=delivery.envelope.topic, attempt=2, delay_s=delay_s
    )
    return Settlement(delivery, outbox=(retry,))


async def test_large_and_small_messages_come_whole_and_in_order(backend: Backend) -> None:
    quick, slow = await joined(backend, "quick"), await joined(backend, "slow")
    sent = [large(0), note("small"), large(1), note("z" * 65_536), note("y" * 65_537)]

    await backend.append(sent)

    for consumer in (quick, slow):
        got = await take(consumer, len(sent))
        assert texts(got) == [envelope.payload.decode() for envelope in sent]
        await consumer.commit(settled(got))


async def test_a_long_backlog_of_large_messages_comes_whole(backend: Backend) -> None:
    worker = await joined(backend, "workers")
    for number in range(24):
        await backend.append([large(number)])

    got = await take(worker, 24)

    assert [text.rstrip("x") for text in texts(got)] == [str(number) for number in range(24)]


async def test_large_outputs_of_a_commit_come_whole(backend: Backend) -> None:
    worker, reader = await joined(backend, "workers"), await joined(backend, "readers", "results")
    await backend.append([note("go")])

    await worker.commit([Settlement(await take_one(worker), (large(7, "results"),))])

    (got,) = await take(reader, 1)
    assert got.envelope.payload == large(7).payload


@pytest.mark.parametrize("delay_s", [0.0, 0.05])
async def test_a_retry_of_a_large_message_outlives_its_first_entry(
    backend: Backend, delay_s: float
) -> None:
    worker = await joined(backend, "workers")
    await backend.append([large()])
    await worker.commit([retry_of(await take_one(worker), "workers", delay_s=delay_s)])
    await backend.trim()

    while await backend.release_due() is not None:
        pass

    assert (await take_one(worker)).envelope.payload == large().payload


async def test_a_delayed_large_message_comes_whole(backend: Backend) -> None:
    worker = await joined(backend, "workers")
    await backend.append([large(delay_s=0.05)])

    while await backend.release_due() is not None:
        pass

    assert (await take_one(worker)).envelope.payload == large().payload


async def test_a_large_dead_letter_is_shown_and_requeued_whole(backend: Backend) -> None:
    worker = await joined(backend, "workers")
    await backend.append([large()])
    await worker.commit([given_up(await take_one(worker), "workers")])
    await backend.trim()

    (letter,) = await backend.dead_letters()
    assert letter.envelope.payload == large().payload
    assert await backend.requeue(letter.id, letter.envelope)

    assert (await take_one(worker)).envelope.payload == large().payload


async def test_what_a_slow_group_is_owed_survives_trimming(backend: Backend) -> None:
    quick, slow = await joined(backend, "quick"), await joined(backend, "slow")
    await backend.append([large(number) for number in range(3)])
    await quick.commit(settled(await take(quick, 3)))
    (first,) = await take(slow, 1)
    await slow.commit(settled([first]))

    await backend.trim()

    assert [text[0] for text in texts(await take(slow, 2))] == ["1", "2"]


async def test_large_messages_are_taken_over_and_given_back_whole(backend: Backend) -> None:
    victim, heir = await joined(backend, "workers"), await joined(backend, "workers")
    await backend.append([large(number) for number in range(3)])
    await take(victim, 3)

    inherited = await heirloom(heir, victim)
    assert [one.envelope.payload for one in inherited] == [large(n).payload for n in range(3)]
    await heir.leave(inherited)

    again = await take(await joined(backend, "workers"), 3)
    assert [one.envelope.payload for one in again] == [large(n).payload for n in range(3)]


async def test_observers_see_large_messages_whole(backend: Backend) -> None:
    await backend.append([large(0), note("small"), large(1)])

    seen = await everything_in(backend, "notes")

    assert [len(text) for text in texts(seen)] == [MIB, len("small"), MIB]


async def test_the_cap_holds_for_large_messages(site: Site) -> None:
    backend = await site.open(max_envelope_bytes=MIB)
    worker = await joined(backend, "workers")

    with pytest.raises(PayloadTooLargeError):
        await backend.append([note("x" * (MIB + 1))])

    assert await is_owed_nothing(backend, worker)


async def test_large_messages_are_gone_once_every_group_is_done(backend: Backend) -> None:
    worker = await joined(backend, "workers")
    await backend.append([large(number) for number in range(4)])
    await worker.commit(settled(await take(worker, 4)))

    await backend.trim()

    assert texts(await everything_in(backend, "notes")) == []
