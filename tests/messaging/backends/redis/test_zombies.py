"""A consumer that was taken over and does not know it yet can take nothing back."""

import pytest

from messaging.backends.redis.consumer.consumer import RedisConsumer
from messaging.errors import FencedError
from tests.messaging.backends.redis.conftest import Guild, command, server_of
from tests.messaging.notes import heirloom, joined, notes, take, texts


async def test_after_a_reconnection_a_zombie_claims_nothing_back(guild: Guild) -> None:
    backend = await guild.open()
    zombie, heir = await joined(backend, "workers"), await joined(backend, "workers")
    await backend.append(notes(2))
    first, second = await take(zombie, 2)
    (inherited,) = await heir.take_over(zombie.incarnation, 1)
    assert isinstance(zombie, RedisConsumer)

    for delivery in (first, second):  # as it does with whatever the server says it was lent
        with pytest.raises(FencedError):
            await zombie._fetcher._pending_entries.reclaim("notes", delivery.position.encode(), 1)

    stream = server_of(backend).keys.stream("notes")
    holders = await command(backend, "XPENDING", stream, "workers", "-", "+", 10)
    assert inherited.position == first.position
    assert [holder.decode() for _, holder, _, _ in holders] == [
        heir.incarnation,
        zombie.incarnation,
    ]
    assert texts(await heirloom(heir, zombie)) == ["notes 1"]


async def test_a_zombie_that_led_is_lent_nothing_more(guild: Guild) -> None:
    backend = await guild.open()
    zombie, heir = await joined(backend, "workers"), await joined(backend, "workers")
    assert await zombie.lead()
    assert await heir.take_over(zombie.incarnation, 0) == []
    assert await heir.lead()
    await backend.append(notes(3))

    with pytest.raises(FencedError):
        await zombie.read(10, wait_s=1)

    assert await heir.inherit(10) == []
    assert texts(await take(heir, 3)) == ["notes 0", "notes 1", "notes 2"]


async def test_whoever_leads_reads_on_after_the_scripts_were_flushed(guild: Guild) -> None:
    backend = await guild.open()
    leader = await joined(backend, "workers")
    assert await leader.lead()
    await command(backend, "SCRIPT", "FLUSH")
    await backend.append(notes(3))

    assert texts(await take(leader, 3)) == ["notes 0", "notes 1", "notes 2"]
