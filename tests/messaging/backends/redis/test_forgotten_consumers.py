"""A server that comes back with data from before a consumer joined, or had committed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from messaging.backends.redis import RedisBackend
from messaging.backends.redis.consumer.consumer import RedisConsumer
from messaging.backends.redis.consumer.presence import Presence
from messaging.errors import FencedError
from messaging.testing import eventually
from tests.messaging.backends.redis.conftest import Guild
from tests.messaging.backends.redis.forgetting import forget, log_bytes
from tests.messaging.notes import heirloom, notes, settled, take
from tests.reliability.workers.patience import stretched
from tests.servers import RedisServer, running_redis

ANNOUNCED_WITHIN_S = 2.0


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path, "--appendfsync", "always") as server:
        yield server


async def with_notes(guild: Guild, *groups: str) -> RedisBackend:
    """A backend with groups that are owed ten notes each."""
    backend = await guild.open()
    for group in groups:
        await backend.subscribe(group, ["notes"])
    await backend.append(notes(10))
    return backend


async def join(backend: RedisBackend, group: str = "workers") -> RedisConsumer:
    consumer = await backend.join(group)
    assert isinstance(consumer, RedisConsumer)
    return consumer


async def has_looked(consumer: RedisConsumer) -> None:
    """Return once the consumer knows why it was fenced."""
    looking = consumer._presence._looking
    assert looking is not None
    await looking


@pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])
async def test_a_consumer_that_is_younger_than_the_copy_says_that_its_commits_are_gone(
    guild: Guild, redis_server: RedisServer, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = await with_notes(guild, "workers")
    kept_bytes = log_bytes(redis_server)
    worker = await join(backend)
    await worker.commit(settled(await take(worker, 10)))
    if is_mutant:

        async def has_joined(self: Presence) -> bool:
            return True

        monkeypatch.setattr(Presence, "_has_joined", has_joined)

    await forget(redis_server, kept_bytes)
    with pytest.raises(FencedError):
        await worker.beat()
    await has_looked(worker)

    assert ("bus.commits_lost" in guild.events()) is not is_mutant
    assert len(await take(await join(backend), 10)) == 10


@pytest.mark.parametrize("is_copy", [True, False], ids=["copy", "control"])
async def test_a_consumer_that_is_older_than_the_copy_knows_it_by_its_beats(
    guild: Guild, redis_server: RedisServer, is_copy: bool
) -> None:
    worker = await join(await with_notes(guild, "workers"))
    await worker.beat()
    kept_bytes = log_bytes(redis_server)
    await worker.commit(settled(await take(worker, 10)))
    await worker.beat()

    await forget(redis_server, kept_bytes if is_copy else log_bytes(redis_server))
    await worker.beat()

    if is_copy:
        in_time_s = stretched(ANNOUNCED_WITHIN_S)
        await eventually(lambda: "bus.commits_lost" in guild.events(), timeout_s=in_time_s)
    else:
        assert worker._presence._looking is None
        assert "bus.commits_lost" not in guild.events()


async def test_a_consumer_that_was_taken_over_has_lost_nothing(guild: Guild) -> None:
    backend = await with_notes(guild, "workers")
    victim, heir = await join(backend), await join(backend)
    await take(victim, 10)
    await heirloom(heir, victim)

    with pytest.raises(FencedError):
        await victim.beat()
    await has_looked(victim)

    assert guild.events() == []


async def test_a_consumer_whose_group_was_unsubscribed_has_lost_nothing(guild: Guild) -> None:
    backend = await with_notes(guild, "workers")
    worker = await join(backend)
    await backend.unsubscribe("workers")

    with pytest.raises(FencedError):
        await worker.beat()
    await has_looked(worker)

    assert guild.events() == []


async def test_what_many_consumers_notice_is_told_once(
    guild: Guild, redis_server: RedisServer
) -> None:
    groups = [f"group{number}" for number in range(5)]
    backend = await with_notes(guild, *groups)
    kept_bytes = log_bytes(redis_server)
    workers = [await join(backend, group) for group in groups]

    await forget(redis_server, kept_bytes)
    for worker in workers:
        with pytest.raises(FencedError):
            await worker.beat()
        await has_looked(worker)

    assert guild.events().count("bus.commits_lost") == 1


async def test_what_a_consumer_that_left_had_joined_is_not_kept(guild: Guild) -> None:
    backend = await with_notes(guild, "workers")
    for _ in range(3):
        await (await join(backend)).leave(())

    server = backend._parts.server  # type: ignore[union-attr] # it is open
    assert await server.connection.call("ZCARD", server.keys.joined) == 0
