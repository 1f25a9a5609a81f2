"""What a group gave up on: asked of every backend."""

from messaging.backend import Backend, Consumer, DeadLetter
from tests.messaging.notes import (
    given_up,
    is_owed_nothing,
    joined,
    note,
    notes,
    numbered,
    take,
    texts,
)


async def bury(backend: Backend, consumer: Consumer, count: int) -> list[DeadLetter]:
    """Let `consumer` give up on `count` notes."""
    await backend.append(notes(count))
    deliveries = await take(consumer, count)
    await consumer.commit([given_up(delivery, consumer.group) for delivery in deliveries])
    return await backend.dead_letters(group=consumer.group)


async def test_a_dead_letter_keeps_the_message_its_group_and_the_reason(backend: Backend) -> None:
    worker = await joined(backend, "workers")
    sent = note("hopeless")
    await backend.append([sent])
    (delivery,) = await take(worker, 1)

    await worker.commit([given_up(delivery, "workers")])

    (letter,) = await backend.dead_letters()
    assert letter.id != ""
    assert letter == DeadLetter(sent, "workers", b'{"cause": "boom"}', 1_700_000_000.5, letter.id)


async def test_dead_letters_are_counted_until_they_are_dropped(backend: Backend) -> None:
    assert await backend.count_dead_letters() == 0
    letters = await bury(backend, await joined(backend, "workers"), 3)
    await bury(backend, await joined(backend, "others"), 1)

    await backend.drop(letters[0].id)

    assert await backend.count_dead_letters() == len(await backend.dead_letters())


async def test_a_dead_letter_is_shown_by_its_id(backend: Backend) -> None:
    letters = await bury(backend, await joined(backend, "workers"), 2)

    assert await backend.dead_letter(letters[1].id) == letters[1]
    assert await backend.dead_letter("nothing-like-an-id") is None


async def test_dead_letters_are_listed_in_order_of_death_page_by_page(backend: Backend) -> None:
    await bury(backend, await joined(backend, "workers"), 5)

    first = await backend.dead_letters(max_count=2)
    rest = await backend.dead_letters(after=first[-1].id)

    assert texts(first) == numbered(2)
    assert texts(rest) == numbered(5, start=2)
    assert len({letter.id for letter in first + rest}) == 5


async def test_dead_letters_are_listed_by_group(backend: Backend) -> None:
    await bury(backend, await joined(backend, "workers", "notes"), 3)
    stranger = await joined(backend, "strangers", "letters")
    await backend.append([note("dear", "letters")])
    await stranger.commit([given_up(d, "strangers") for d in await take(stranger, 1)])

    assert texts(await backend.dead_letters(group="strangers", max_count=1)) == ["dear"]
    assert texts(await backend.dead_letters(group="workers")) == numbered(3)
    assert await backend.dead_letters(group="nobody") == []


async def test_a_requeued_letter_goes_to_its_group_alone_and_is_gone(backend: Backend) -> None:
    worker, auditor = await joined(backend, "workers"), await joined(backend, "auditors", ">")
    (letter,) = await bury(backend, worker, 1)
    await take(auditor, 1)

    assert await backend.requeue(letter.id, letter.envelope)

    (again,) = await take(worker, 1)
    assert again.envelope.payload == letter.envelope.payload
    assert again.envelope.id == letter.envelope.id
    assert again.envelope.published_to == "notes"
    assert await backend.dead_letters() == []
    assert await is_owed_nothing(backend, auditor)


async def test_a_letter_may_be_requeued_with_another_payload(backend: Backend) -> None:
    worker = await joined(backend, "workers")
    (letter,) = await bury(backend, worker, 1)

    assert await backend.requeue(letter.id, letter.envelope._replace(payload=b"mended"))

    assert texts(await take(worker, 1)) == ["mended"]


async def test_a_second_requeue_stores_nothing(backend: Backend) -> None:
    worker = await joined(backend, "workers")
    (letter,) = await bury(backend, worker, 1)
    await backend.requeue(letter.id, letter.envelope)
    await take(worker, 1)

    assert not await backend.requeue(letter.id, letter.envelope)

    assert await is_owed_nothing(backend, worker)


async def test_requeueing_a_dropped_letter_stores_nothing(backend: Backend) -> None:
    worker = await joined(backend, "workers")
    (letter,) = await bury(backend, worker, 1)
    await backend.drop(letter.id)

    assert not await backend.requeue(letter.id, letter.envelope)

    assert await is_owed_nothing(backend, worker)


async def test_a_dropped_letter_is_gone_and_the_others_stay(backend: Backend) -> None:
    letters = await bury(backend, await joined(backend, "workers"), 3)

    assert await backend.drop(letters[1].id)

    assert await backend.dead_letters() == [letters[0], letters[2]]
    assert not await backend.drop(letters[1].id)
    assert not await backend.drop("nothing-like-an-id")


async def test_a_requeued_letter_may_die_again(backend: Backend) -> None:
    worker = await joined(backend, "workers")
    (letter,) = await bury(backend, worker, 1)
    await backend.requeue(letter.id, letter.envelope)
    (again,) = await take(worker, 1)

    await worker.commit([given_up(again, "workers")])

    (second,) = await backend.dead_letters()
    assert second.id != letter.id
    assert second.envelope.published_to == "notes"
