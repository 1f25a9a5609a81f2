"""A group's state is written with the commit, over the version that was read: every backend."""

import pytest

from messaging.backend import (
    ANY_VERSION,
    FROM_START,
    Backend,
    Consumer,
    Settlement,
    StateKey,
    StateValue,
    StateWrite,
)
from messaging.wire.envelope import Envelope
from tests.messaging.notes import (
    everything_in,
    is_owed_nothing,
    joined,
    note,
    notes,
    take,
    take_one,
    texts,
)


async def write(
    backend: Backend, consumer: Consumer, *writes: StateWrite, outbox: tuple[Envelope, ...] = ()
) -> list[int]:
    """Commit `writes` with a note of their own."""
    await backend.append(notes(1))
    return await consumer.commit([Settlement(await take_one(consumer), outbox, writes)])


async def test_state_is_written_read_replaced_and_deleted_by_version(backend: Backend) -> None:
    worker = await joined(backend, "workers")

    await write(backend, worker, StateWrite("seen", b"one", 0))
    created = await backend.load_state("workers", "seen")
    assert created is not None
    await write(backend, worker, StateWrite("seen", b"", created.version))
    replaced = await backend.load_state("workers", "seen")
    assert replaced is not None
    await write(backend, worker, StateWrite("seen", None, replaced.version))

    assert created == StateValue(b"one", 1)
    assert replaced == StateValue(b"", 2)
    assert await backend.load_state("workers", "seen") is None


async def test_state_may_be_any_bytes(backend: Backend) -> None:
    worker = await joined(backend, "workers")
    value = bytes(range(256)) * 10

    await write(backend, worker, StateWrite("Schlüssel: 1", value, 0))

    stored = await backend.load_state("workers", "Schlüssel: 1")
    assert stored is not None
    assert stored.value == value


async def test_groups_do_not_see_each_others_state(backend: Backend) -> None:
    worker = await joined(backend, "workers")
    await backend.subscribe("strangers", ["notes"])

    await write(backend, worker, StateWrite("seen", b"ours", 0))

    assert await backend.load_state("strangers", "seen") is None


async def test_a_version_conflict_skips_exactly_that_settlement(backend: Backend) -> None:
    worker = await joined(backend, "workers")
    heir = await backend.join("workers")
    await write(backend, worker, StateWrite("seen", b"old", 0))
    await backend.append(notes(3))
    first, second, third = await take(worker, 3)

    outdated = await worker.commit(
        [
            Settlement(first, outbox=(note("first", "results"),)),
            Settlement(
                second, outbox=(note("second", "results"),), state=(StateWrite("seen", b"new", 7),)
            ),
            Settlement(
                third, outbox=(note("third", "results"),), state=(StateWrite("other", b"x", 0),)
            ),
        ]
    )

    assert outdated == [1]
    assert texts(await everything_in(backend, "results")) == ["first", "third"]
    assert await backend.load_state("workers", "seen") == StateValue(b"old", 1)
    assert texts(await heir.take_over(worker.incarnation, 10)) == ["notes 1"]


async def test_a_skipped_delivery_stays_with_its_consumer_and_can_be_settled(
    backend: Backend,
) -> None:
    worker = await joined(backend, "workers")
    await backend.append(notes(1))
    job = await take_one(worker)
    assert await worker.commit([Settlement(job, state=(StateWrite("seen", b"x", 9),))]) == [0]

    assert await worker.commit([Settlement(job, state=(StateWrite("seen", b"x", 0),))]) == []

    assert await is_owed_nothing(backend, worker)


async def test_one_outdated_key_keeps_every_key_of_its_settlement_unwritten(
    backend: Backend,
) -> None:
    worker = await joined(backend, "workers")
    await write(backend, worker, StateWrite("b", b"old", 0))

    outdated = await write(backend, worker, StateWrite("a", b"new", 0), StateWrite("b", b"new", 0))

    assert outdated == [0]
    assert await backend.load_state("workers", "a") is None
    assert await backend.load_state("workers", "b") == StateValue(b"old", 1)


async def test_a_key_that_must_be_absent_is_not_overwritten(backend: Backend) -> None:
    worker = await joined(backend, "workers")
    await write(backend, worker, StateWrite("seen", b"first", 0))

    assert await write(backend, worker, StateWrite("seen", b"second", 0)) == [0]

    assert await backend.load_state("workers", "seen") == StateValue(b"first", 1)


async def test_of_two_settlements_that_read_the_same_version_one_is_applied(
    backend: Backend,
) -> None:
    worker = await joined(backend, "workers")
    await backend.append(notes(2))
    first, second = await take(worker, 2)

    outdated = await worker.commit(
        [
            Settlement(first, state=(StateWrite("seen", b"first", 0),)),
            Settlement(second, state=(StateWrite("seen", b"second", 0),)),
        ]
    )

    assert outdated == [1]
    assert await backend.load_state("workers", "seen") == StateValue(b"first", 1)


async def test_a_later_settlement_of_a_commit_may_build_on_an_earlier_one(
    backend: Backend,
) -> None:
    worker = await joined(backend, "workers")
    await backend.append(notes(2))
    first, second = await take(worker, 2)

    outdated = await worker.commit(
        [
            Settlement(first, state=(StateWrite("seen", b"first", 0),)),
            Settlement(second, state=(StateWrite("seen", b"second", 1),)),
        ]
    )

    assert outdated == []
    assert await backend.load_state("workers", "seen") == StateValue(b"second", 2)


@pytest.mark.parametrize("value", [b"anew", None])
async def test_a_key_deleted_and_written_anew_is_not_the_version_that_was_read(
    backend: Backend, value: bytes | None
) -> None:
    worker = await joined(backend, "workers")
    await write(backend, worker, StateWrite("seen", b"read", 0))
    read = await backend.load_state("workers", "seen")
    assert read is not None
    await write(backend, worker, StateWrite("seen", None, read.version))
    await write(backend, worker, StateWrite("seen", b"other", 0))

    assert await write(backend, worker, StateWrite("seen", value, read.version)) == [0]

    stored = await backend.load_state("workers", "seen")
    assert stored is not None
    assert stored.value == b"other"


async def test_unsubscribing_forgets_the_state(backend: Backend) -> None:
    worker = await joined(backend, "workers")
    await write(backend, worker, StateWrite("seen", b"x", 0))

    await backend.unsubscribe("workers")

    assert await backend.load_state("workers", "seen") is None


async def test_an_unknown_key_or_group_has_no_state(backend: Backend) -> None:
    await backend.subscribe("workers", ["notes"])

    assert await backend.load_state("workers", "nothing") is None
    assert await backend.load_state("nobody", "nothing") is None


async def all_keys(backend: Backend, group: str, max_count: int) -> list[StateKey]:
    """Those of all pages."""
    found: list[StateKey] = []
    after = FROM_START
    while True:
        page, after = await backend.state_keys(group, after=after, max_count=max_count)
        found += page
        if after == FROM_START:
            return found


async def test_the_keys_of_a_state_are_listed_page_by_page(backend: Backend) -> None:
    worker = await joined(backend, "workers")
    await backend.subscribe("strangers", ["notes"])
    lengths = {f"key {number:04}": number for number in range(700)}
    lengths |= {"Schlüssel:1": 3, "_bus.own": 2}

    writes = [StateWrite(key, b":" * length, 0) for key, length in lengths.items()]
    await write(backend, worker, *writes)
    await write(backend, worker, StateWrite("key 0001", b"longer", ANY_VERSION))
    await write(backend, worker, StateWrite("key 0002", None, ANY_VERSION))
    lengths |= {"key 0001": 6}
    del lengths["key 0002"]

    found = await all_keys(backend, "workers", 50)
    assert {each.key: each.size_bytes for each in found} == lengths
    stored = await backend.load_state("workers", "key 0001")
    assert stored is not None
    assert {each.revision for each in found if each.key == "key 0001"} == {stored.version}
    page, after = await backend.state_keys("workers", max_count=50)
    assert 0 < len(page) < 700
    assert after != FROM_START
    assert await all_keys(backend, "strangers", 50) == []
    assert await all_keys(backend, "nobody", 50) == []
