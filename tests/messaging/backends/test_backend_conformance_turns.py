"""Consumers take turns at keys of their group's state: every backend."""

import asyncio
from collections.abc import Sequence

import pytest

from messaging.backend import ANY_VERSION, TURN_S, Backend, Consumer, Settlement, StateWrite
from messaging.backends.redis import RedisBackend
from messaging.errors import FencedError
from messaging.wire.envelope import new_id
from tests.messaging.backends.redis.test_script_mutants import mutate
from tests.messaging.notes import heirloom, joined, notes, take_one


async def write(backend: Backend, consumer: Consumer, *writes: StateWrite) -> bool:
    """Commit `writes` with a note of their own; whether they were written."""
    await backend.append(notes(1))
    return await consumer.commit([Settlement(await take_one(consumer), (), writes)]) == []


def over_any(*keys: str) -> Sequence[StateWrite]:
    return [StateWrite(key, b"x", ANY_VERSION) for key in keys]


async def test_what_expects_no_version_is_written_over_whatever_is_there(backend: Backend) -> None:
    worker = await joined(backend, "workers")

    assert await write(backend, worker, StateWrite("seen", b"one", ANY_VERSION))
    first = await backend.load_state("workers", "seen")
    assert await write(backend, worker, StateWrite("seen", b"two", ANY_VERSION))
    second = await backend.load_state("workers", "seen")
    assert first is not None
    assert second is not None
    assert (first.value, second.value) == (b"one", b"two")
    assert second.version == first.version + 1
    assert not await write(backend, worker, StateWrite("seen", b"three", first.version))

    assert await write(backend, worker, StateWrite("seen", None, ANY_VERSION))
    assert await write(backend, worker, StateWrite("seen", None, ANY_VERSION))
    assert await backend.load_state("workers", "seen") is None


async def test_during_a_turn_others_write_nothing_at_its_key(backend: Backend) -> None:
    one, other = await joined(backend, "workers"), await joined(backend, "workers")

    assert await one.take_turn(new_id(), ["seen"])

    assert not await write(backend, other, *over_any("seen"))
    assert not await write(backend, other, *over_any("free", "seen"))
    assert await backend.load_state("workers", "free") is None
    assert await write(backend, other, *over_any("free"))
    assert await write(backend, one, *over_any("seen"))


async def test_the_turn_is_over_with_the_commit_and_the_next_in_the_queue_has_it(
    backend: Backend,
) -> None:
    one, other, third = [await joined(backend, "workers") for _ in range(3)]
    ids = [new_id() for _ in range(3)]

    assert await one.take_turn(ids[0], ["seen"])
    assert not await other.take_turn(ids[1], ["seen"])
    assert not await third.take_turn(ids[2], ["seen"])
    assert await one.take_turn(ids[0], ["seen"])
    assert await write(backend, one, *over_any("seen"))

    assert not await third.take_turn(ids[2], ["seen"])
    assert await other.take_turn(ids[1], ["seen"])
    assert not await write(backend, one, *over_any("seen"))
    await other.end_turn(ids[1], ["seen"])
    assert await third.take_turn(ids[2], ["seen"])


async def test_two_handlings_of_one_consumer_queue_apart(backend: Backend) -> None:
    one, other = await joined(backend, "workers"), await joined(backend, "workers")
    ids = [new_id() for _ in range(3)]

    assert await one.take_turn(ids[0], ["seen"])
    assert not await other.take_turn(ids[1], ["seen"])
    assert not await one.take_turn(ids[2], ["seen"])
    assert await write(backend, one, *over_any("seen"))

    assert not await one.take_turn(ids[2], ["seen"])
    assert await other.take_turn(ids[1], ["seen"])


async def test_queues_for_several_keys_are_entered_at_once(backend: Backend) -> None:
    one, other = await joined(backend, "workers"), await joined(backend, "workers")
    ids = [new_id() for _ in range(2)]
    assert await one.take_turn(ids[0], ["left"])
    assert await other.take_turn(ids[1], ["right"])

    # Each wants what the other has: in one step they give it up and queue for both.
    assert not await one.take_turn(ids[0], ["left", "right"])
    assert await other.take_turn(ids[1], ["right"])
    assert not await other.take_turn(ids[1], ["right", "left"])
    assert await one.take_turn(ids[0], ["left", "right"])


async def test_what_is_left_out_has_used_its_turn(backend: Backend) -> None:
    one, other = await joined(backend, "workers"), await joined(backend, "workers")
    assert await one.take_turn(new_id(), ["left"])
    assert await other.take_turn(new_id(), ["right"])

    assert not await write(backend, one, *over_any("left", "right"))

    assert await write(backend, other, *over_any("left"))


async def test_a_turn_ends_with_its_consumer(backend: Backend) -> None:
    one, other, third = [await joined(backend, "workers") for _ in range(3)]
    ids = [new_id() for _ in range(2)]
    assert await one.take_turn(ids[0], ["seen"])
    assert not await other.take_turn(ids[1], ["seen"])

    await heirloom(third, one)
    assert await other.take_turn(ids[1], ["seen"])
    await other.leave([])

    assert await write(backend, third, *over_any("seen"))


async def test_a_zombie_gets_no_turn(backend: Backend) -> None:
    zombie, heir = await joined(backend, "workers"), await joined(backend, "workers")
    await heirloom(heir, zombie)

    with pytest.raises(FencedError):
        await zombie.take_turn(new_id(), ["seen"])
    with pytest.raises(FencedError):
        await zombie.end_turn(new_id(), ["seen"])

    assert await heir.take_turn(new_id(), ["seen"])


async def test_partitions_and_their_group_have_the_same_turns(backend: Backend) -> None:
    whole = await joined(backend, "workers")
    share = await backend.join("workers", 1)
    ids = [new_id() for _ in range(2)]

    assert await share.take_turn(ids[0], ["seen"])
    assert not await whole.take_turn(ids[1], ["seen"])
    assert not await write(backend, whole, *over_any("seen"))
    await share.leave([])

    assert await whole.take_turn(ids[1], ["seen"])


async def test_groups_have_turns_of_their_own_and_take_them_along(backend: Backend) -> None:
    worker = await joined(backend, "workers")
    stranger = await joined(backend, "strangers")
    assert await stranger.take_turn(new_id(), ["seen"])
    assert await worker.take_turn(new_id(), ["seen"])

    await backend.unsubscribe("strangers")
    stranger = await joined(backend, "strangers")

    assert await stranger.take_turn(new_id(), ["seen"])


async def test_a_turn_that_lasts_for_too_long_is_over(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = await joined(backend, "workers"), await joined(backend, "workers")
    monkeypatch.setattr("messaging.backends.memory.turns.TURN_S", 0.05)
    if isinstance(backend, RedisBackend):
        await mutate(backend, "turn", f"local TURN_MS = {TURN_S * 1000:.0f}", "local TURN_MS = 50")
    assert await one.take_turn(new_id(), ["seen"])

    async with asyncio.timeout(10):
        while not await other.take_turn("other", ["seen"]):  # noqa: ASYNC110 - as told by the store
            await asyncio.sleep(0.01)
