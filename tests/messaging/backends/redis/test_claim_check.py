"""Where long payloads lie on the server, and what happens when somebody meddles with them."""

import pytest

from messaging.backend import Backend, Settlement
from messaging.backends.redis import RedisBackend
from messaging.wire.topic import retry_topic_of
from tests.messaging.backends.redis.conftest import Guild, command, server_of
from tests.messaging.backends.redis.test_script_mutants import mutate
from tests.messaging.notes import (
    everything_in,
    joined,
    note,
    settled,
    take,
    take_one,
    texts,
)

LONG = "x" * 100_000


async def length_beside(backend: Backend, topic: str = "notes") -> int:
    assert isinstance(backend, RedisBackend)
    return int(await command(backend, "XLEN", server_of(backend).keys.beside(topic)))


async def test_only_a_long_payload_lies_beside_its_stream(guild: Guild) -> None:
    backend = await guild.open()
    await backend.append([note("short"), note(LONG), note("x" * 65_536)])

    stream = server_of(backend).keys.stream("notes")
    entries = await command(backend, "XRANGE", stream, "-", "+")
    assert [fields[2] for _, fields in entries] == [b"p", b"c", b"p"]
    assert entries[1][1][3] == b"100000"
    assert await length_beside(backend) == 1


async def test_a_payload_goes_with_its_entry_and_not_before(guild: Guild) -> None:
    backend = await guild.open()
    quick, slow = await joined(backend, "quick"), await joined(backend, "slow")
    await backend.append([note(LONG), note(LONG)])
    await quick.commit(settled(await take(quick, 2)))
    await slow.commit(settled(await take(slow, 1)))
    await backend.trim()
    assert await length_beside(backend) == 1

    await slow.commit(settled(await take(slow, 1)))
    await backend.trim()

    assert await length_beside(backend) == 0


async def test_a_topic_without_groups_keeps_the_payloads_of_what_it_keeps(guild: Guild) -> None:
    backend = await guild.open(keep_unclaimed=2)
    for _ in range(5):
        await backend.append([note(LONG)])

    await backend.trim()

    assert texts(await everything_in(backend, "notes")) == [LONG] * 2
    assert await length_beside(backend) == 2


async def test_what_an_unsubscribed_group_would_have_retried_is_gone(guild: Guild) -> None:
    backend = await guild.open()
    worker = await joined(backend, "workers")
    await backend.append([note(LONG)])
    job = await take_one(worker)
    retry = job.envelope._replace(topic=retry_topic_of("workers"), origin="notes", attempt=2)
    await worker.commit([Settlement(job, (retry,))])
    assert await length_beside(backend, retry_topic_of("workers")) == 1

    await backend.unsubscribe("workers")

    assert await length_beside(backend, retry_topic_of("workers")) == 0


@pytest.mark.parametrize("is_mutant", [False, True])
async def test_a_stream_that_was_deleted_starts_with_nothing_beside_it(
    guild: Guild, is_mutant: bool
) -> None:
    backend = await guild.open()
    await joined(backend, "workers")
    await backend.append([note(LONG)])
    if is_mutant:
        for script in ("subscribe", "create_topics", "repair"):
            await mutate(
                backend,
                script,
                "if redis.call('EXISTS', stream) == 0 then redis.call('DEL', stream .. '!') end",
                "",
            )
    keys = server_of(backend).keys
    await command(backend, "DEL", keys.stream("notes"))

    await backend.append([note("anew")])

    assert await length_beside(backend) == (1 if is_mutant else 0)


async def test_a_payload_that_somebody_deleted_is_a_fault_that_says_so(guild: Guild) -> None:
    backend = await guild.open()
    worker = await joined(backend, "workers")
    await backend.append([note(LONG), note("next")])
    await command(backend, "DEL", server_of(backend).keys.beside("notes"))

    lost, after = await take(worker, 2)

    assert "100,000 bytes" in lost.fault
    assert "deleted by somebody else" in lost.fault
    assert after.envelope.payload == b"next"
    assert texts(await everything_in(backend, "notes")) == ["next"]


async def test_a_claim_past_the_cap_is_never_fetched(guild: Guild) -> None:
    writer, reader = await guild.open(), await guild.open(max_envelope_bytes=80_000)
    worker = await joined(reader, "workers")
    await writer.append([note(LONG)])

    job = await take_one(worker)

    assert "80,000" in job.fault
    assert job.envelope.payload == b""
