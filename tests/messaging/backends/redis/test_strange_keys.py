"""Keys of the guild that hold something else: named, with what to do, and over once it is done."""

import asyncio
import contextlib

import pytest

from messaging.backend import Consumer, Delivery
from messaging.backends.redis import RedisBackend
from messaging.backends.redis.keys import Keys, expected_type
from messaging.errors import BackendSetupError, BackendUnavailableError
from tests.messaging.backends.redis.conftest import PATIENCE_S, Guild, command
from tests.messaging.notes import given_up, joined, note, settled, take, texts


def key_of(guild: Guild, name: str) -> str:
    return f"{{{guild.guild_id}}}:{name}"


def test_every_kind_of_key_has_its_type() -> None:
    keys = Keys("g")

    assert expected_type(keys.stream("t")) == expected_type(keys.dead) == "stream"
    assert expected_type(keys.topics) == expected_type(keys.delays) == "zset"
    assert expected_type(keys.ephemeral("x")) == expected_type(keys.leader("x")) == "string"
    assert expected_type(keys.replicated) == "string"
    assert expected_type(keys.paused) == "set"
    assert expected_type(keys.state("readers")) == expected_type(keys.groups) == "hash"


async def test_a_topic_key_of_another_type_is_named_with_the_remedy(guild: Guild) -> None:
    backend = await guild.open()
    await backend.append([note("first")])
    key = key_of(guild, "t:notes")
    await command(backend, "DEL", key)
    await command(backend, "SET", key, "mine")

    with pytest.raises(BackendSetupError) as refused:
        await backend.append([note("second")])

    assert f"the key {key} holds a string where guildbus keeps a stream" in str(refused.value)
    assert "another guild id" in str(refused.value)
    await command(backend, "DEL", key)
    await backend.append([note("third")])


async def test_a_topic_of_another_type_is_named_to_who_subscribes_to_it(guild: Guild) -> None:
    backend = await guild.open()
    await backend.append([note("first")])
    key = key_of(guild, "t:notes")
    await command(backend, "DEL", key)
    await command(backend, "SET", key, "mine")

    with pytest.raises(BackendSetupError, match="t:notes holds a string"):
        await backend.subscribe("readers", ["notes"])


async def test_what_is_due_on_a_topic_of_another_type_waits_and_holds_nobody_up(
    guild: Guild,
) -> None:
    backend = await guild.open()
    notes_reader = await joined(backend, "readers", "notes")
    letters_reader = await joined(backend, "others", "letters")
    await backend.append([note("held", delay_s=0.05), note("free", "letters", delay_s=0.05)])
    key = key_of(guild, "t:notes")
    await command(backend, "SET", key, "mine")

    with pytest.raises(BackendSetupError, match="t:notes holds a string"):
        await everything_released(backend)
    assert texts(await released(backend, letters_reader, BackendSetupError)) == ["free"]

    await command(backend, "DEL", key)
    assert texts(await released(backend, notes_reader)) == ["held"]


async def everything_released(backend: RedisBackend) -> None:
    while await backend.release_due() is not None:  # noqa: ASYNC110 - time alone tells
        await asyncio.sleep(0.01)


async def released(
    backend: RedisBackend, reader: Consumer, *expected: type[Exception]
) -> list[Delivery]:
    """What `reader` gets of what is released, whatever is said of the rest."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(*expected):
                await backend.release_due()
            if read := await reader.read(1, wait_s=0.01):
                return read


@pytest.mark.parametrize("name", ["registry", "groups"])
async def test_a_registry_of_another_type_is_named_when_the_bus_opens(
    guild: Guild, name: str
) -> None:
    backend = await guild.open()
    await command(backend, "DEL", key_of(guild, name))
    await command(backend, "RPUSH", key_of(guild, name), "mine")

    with pytest.raises(BackendSetupError, match=rf":{name} holds a list .* keeps a hash"):
        await guild.open()


async def test_groups_that_somebody_else_wrote_are_named_when_the_bus_opens(guild: Guild) -> None:
    backend = await guild.open()
    await joined(backend, "readers")
    await command(backend, "HSET", key_of(guild, "groups"), "strangers", "not json")

    with pytest.raises(BackendSetupError, match=r":groups .*strangers"):
        await guild.open()


async def test_a_reader_names_the_key_and_reads_on_once_it_is_gone(guild: Guild) -> None:
    backend = await guild.open()
    reader = await joined(backend, "readers")
    await backend.append([note("first")])
    await reader.commit(settled(await take(reader, 1)))
    key = key_of(guild, "t:notes")
    await command(backend, "DEL", key)
    await command(backend, "SET", key, "mine")
    await command(backend, "PUBLISH", key_of(guild, "w:notes"), "")

    with pytest.raises(BackendSetupError, match="t:notes holds a string"):
        await take(reader, 1)

    await command(backend, "DEL", key)
    await backend.append([note("second")])
    assert texts(await take(reader, 1)) == ["second"]


async def test_dead_letters_of_another_type_are_named_and_nothing_is_settled(guild: Guild) -> None:
    backend = await guild.open()
    reader = await joined(backend, "readers")
    await backend.append([note("hopeless")])
    (delivery,) = await take(reader, 1)
    await command(backend, "SET", key_of(guild, "dead"), "mine")

    with pytest.raises(BackendSetupError, match=r":dead holds .* keeps a stream"):
        await reader.commit([given_up(delivery, "readers")])
    with pytest.raises(BackendSetupError, match=r":dead holds a string"):
        await backend.dead_letters()

    await command(backend, "DEL", key_of(guild, "dead"))
    await reader.commit([given_up(delivery, "readers")])
    assert texts(await backend.dead_letters()) == ["hopeless"]


async def test_a_server_that_takes_no_writes_any_more_is_named_with_the_remedy(
    guild: Guild,
) -> None:
    backend = await guild.open(give_up_after_s=0.3)
    await backend.append([note("first")])
    await command(backend, "REPLICAOF", "127.0.0.1", "1")

    with pytest.raises(BackendUnavailableError, match=r"READONLY.*URL of its primary"):
        await backend.append([note("second")])

    await command(backend, "REPLICAOF", "NO", "ONE")
    await backend.append([note("third")])


async def test_a_server_with_too_few_replicas_is_named_with_the_remedy(guild: Guild) -> None:
    backend = await guild.open(give_up_after_s=0.3)
    await command(backend, "CONFIG", "SET", "min-replicas-to-write", "1")

    with pytest.raises(BackendUnavailableError, match="min-replicas-to-write"):
        await backend.append([note("lonely")])

    await command(backend, "CONFIG", "SET", "min-replicas-to-write", "0")
