"""A group that is unsubscribed while somebody is about to make a topic of its own."""

from collections.abc import Awaitable, Callable

import pytest

from messaging.backend import Settlement
from messaging.backends.redis.registry.registry import TopicRegistry
from messaging.errors import BackendError, FencedError
from messaging.wire.topic import owner_of, partition_topic_of
from tests.messaging.backends.redis.conftest import Guild
from tests.messaging.notes import joined, note, take_one

FIRST = partition_topic_of("workers", 0)


def before_each_topic_of_its_own(
    monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], Awaitable[None]]
) -> None:
    """Have `meanwhile` happen between the answer that a private topic lacks and its making."""
    ensure = TopicRegistry.ensure

    async def ensure_late(self: TopicRegistry, topic: str) -> bool:
        if owner_of(topic):
            await meanwhile()
        return await ensure(self, topic)

    monkeypatch.setattr(TopicRegistry, "ensure", ensure_late)


async def test_what_is_handed_on_leaves_no_partition_behind(
    guild: Guild, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = await guild.open(), await guild.open()
    router = await joined(here, "workers")
    await here.append([note("to be handed on")])
    delivery = await take_one(router)
    before_each_topic_of_its_own(monkeypatch, lambda: there.unsubscribe("workers"))

    with pytest.raises(FencedError):
        await router.commit([Settlement(delivery, (note("handed on", FIRST),))])

    assert [info.topic for info in await here.topics()] == ["notes"]


async def test_who_joins_leaves_no_partition_behind(
    guild: Guild, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = await guild.open(), await guild.open()
    await here.subscribe("workers", ["notes"])
    before_each_topic_of_its_own(monkeypatch, lambda: there.unsubscribe("workers"))

    with pytest.raises(BackendError, match="workers is not subscribed"):
        await here.join("workers", 0)

    assert await here.topics() == []


async def test_a_group_that_comes_back_meanwhile_gets_its_partition(
    guild: Guild, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = await guild.open(), await guild.open()
    await here.subscribe("workers", ["notes"])

    async def leave_and_come_back() -> None:
        await there.unsubscribe("workers")
        await there.subscribe("workers", ["notes"])

    before_each_topic_of_its_own(monkeypatch, leave_and_come_back)
    await here.join("workers", 0)

    assert FIRST in {info.topic for info in await there.topics()}
