"""A value of the state written at once, apart from any commit: every backend."""

import pytest

from messaging.backend import Backend, Settlement, StateValue, StateWrite, steps_key
from messaging.errors import FencedError, PayloadTooLargeError, StateConflictError
from tests.messaging.conftest import Site
from tests.messaging.notes import given_up, heirloom, joined, notes, take, take_one


async def test_a_journalled_value_is_there_before_any_commit(backend: Backend) -> None:
    worker = await joined(backend, "workers")

    first = await worker.journal(StateWrite("done", b"one\0\n", 0))
    second = await worker.journal(StateWrite("done", b"two", first))

    assert second > first
    assert await backend.load_state("workers", "done") == StateValue(b"two", second)


async def test_a_zombies_journal_is_refused_and_writes_nothing(backend: Backend) -> None:
    zombie, heir = await joined(backend, "workers"), await joined(backend, "workers")
    await backend.append(notes(1))
    await take_one(zombie)
    await heirloom(heir, zombie)

    with pytest.raises(FencedError):
        await zombie.journal(StateWrite("done", b"late", 0))

    assert await backend.load_state("workers", "done") is None


async def test_a_journal_over_another_version_is_refused_and_writes_nothing(
    backend: Backend,
) -> None:
    worker = await joined(backend, "workers")
    version = await worker.journal(StateWrite("done", b"kept", 0))

    for wrong in (0, version + 1):
        with pytest.raises(StateConflictError, match="done"):
            await worker.journal(StateWrite("done", b"lost", wrong))

    assert await backend.load_state("workers", "done") == StateValue(b"kept", version)


async def test_a_commit_may_delete_what_was_journalled_and_its_version_never_returns(
    backend: Backend,
) -> None:
    worker = await joined(backend, "workers")
    version = await worker.journal(StateWrite("done", b"one", 0))
    await backend.append(notes(1))
    forget = (StateWrite("done", None, version),)
    await worker.commit([Settlement(await take_one(worker), state=forget)])

    assert await worker.journal(StateWrite("done", b"anew", 0)) > version


async def test_a_value_can_be_deleted_at_once(backend: Backend) -> None:
    worker = await joined(backend, "workers")
    version = await worker.journal(StateWrite("done", b"one", 0))

    assert await worker.journal(StateWrite("done", None, version)) == 0

    assert await backend.load_state("workers", "done") is None


async def test_a_journal_past_the_cap_is_refused(site: Site) -> None:
    worker = await joined(await site.open(max_envelope_bytes=1_000), "workers")

    with pytest.raises(PayloadTooLargeError, match="done"):
        await worker.journal(StateWrite("done", b"x" * 1_001, 0))


async def test_a_dropped_dead_letter_takes_the_steps_of_its_message_along(
    backend: Backend,
) -> None:
    worker = await joined(backend, "workers")
    await backend.append(notes(1))
    job = await take_one(worker)
    key = steps_key(job.envelope.id)
    version = await worker.journal(StateWrite(key, b"{}", 0))
    await worker.commit([given_up(job, "workers")])
    assert await backend.load_state("workers", key) == StateValue(b"{}", version)

    (letter,) = await backend.dead_letters()
    assert await backend.drop(letter.id)
    assert not await backend.drop(letter.id)

    assert await backend.load_state("workers", key) is None


async def test_dead_letters_past_their_limit_take_their_steps_along(site: Site) -> None:
    limit = "max_backlog" if site.kind.startswith("memory") else "max_dead_letters"
    backend = await site.open(**{limit: 3})
    worker = await joined(backend, "workers")
    await backend.append(notes(3))
    jobs = await take(worker, 3)
    await backend.trim()
    keys = [steps_key(job.envelope.id) for job in jobs]
    for key in keys:
        await worker.journal(StateWrite(key, b"{}", 0))
    await worker.commit([given_up(job, "workers") for job in jobs])
    await backend.trim()
    await backend.append(notes(1))

    await worker.commit([given_up(await take_one(worker), "workers")])

    assert len(await backend.dead_letters()) == 3
    kept = [await backend.load_state("workers", key) is not None for key in keys]
    assert kept == [False, True, True]
