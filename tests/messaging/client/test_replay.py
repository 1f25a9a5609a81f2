"""A topic's messages come to one group again, as new ones, and to nobody else."""

from datetime import UTC, datetime, timedelta

import pytest

from messaging.backend import Backend
from messaging.bus import Bus
from messaging.client.replay import Range, replay
from messaging.errors import NobodyListensError, TopicError
from messaging.testing import Recorder
from tests.messaging.buses import Ask, Told, listening, open_bus, settled_all
from tests.messaging.conftest import Site
from tests.messaging.notes import everything_in, joined, notes, settled, take, texts

HOUR = timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC)


async def published(bus: Bus, count: int = 3) -> list[str]:
    ids = []
    for number in range(count):
        ids.append(await bus.publish("asks", Ask(text=str(number)), reply_to="inbox.other"))
        await bus.publish("asks", Told(text="noise"))
    return ids


async def test_messages_come_again_to_one_group_in_order_as_new_ones(site: Site) -> None:
    chosen, other = Recorder(), Recorder()
    backend = await site.open(keep_settled_s=3600.0)
    async with open_bus(site, backend=backend) as bus:
        await bus.subscribe(listening("chosen", chosen, concurrency=1, only_when_tagged=False))
        await bus.subscribe(listening("other", other))
        ids = await published(bus)
        await settled_all(bus, "chosen")
        await settled_all(bus, "other")
        await backend.trim()

        found = await replay(backend, "asks", "chosen", Range(), types={"Ask"}, really=True)
        await chosen.messages(6)
        await settled_all(bus, "chosen")

    again = [context.envelope for context in chosen.contexts[3:]]
    assert found == ({"Ask": 3}, {"Told": 3})
    assert [envelope.cause for envelope in again] == ids
    assert not {envelope.id for envelope in again} & set(ids)
    assert {(e.published_to, e.reply_to, e.attempt, e.hops) for e in again} == {("asks", "", 1, 0)}
    assert len(other.contexts) == 3


async def test_a_replay_is_dry_unless_told(site: Site) -> None:
    recorder = Recorder()
    backend = await site.open(keep_settled_s=3600.0)
    async with open_bus(site, backend=backend) as bus:
        await bus.subscribe(listening("chosen", recorder))
        await published(bus)
        await settled_all(bus, "chosen")

        found = await replay(backend, "asks", "chosen", Range(), types={"Ask"}, really=False)
        await settled_all(bus, "chosen")

    assert found.handed_on == {"Ask": 3}
    assert len(recorder.contexts) == 3


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, None, 3),
        (-HOUR, HOUR, 3),
        (HOUR, None, 0),
        (None, -HOUR, 0),
        (-HOUR, None, 3),
        (None, HOUR, 3),
    ],
)
async def test_a_replay_keeps_to_its_time(
    site: Site, since: timedelta | None, until: timedelta | None, expected: int
) -> None:
    backend = await site.open()
    async with open_bus(site, backend=backend) as bus:
        await bus.register(listening("chosen", Recorder()))
        await published(bus)
        wanted = Range(since and now() + since, until and now() + until)

        found = await replay(backend, "asks", "chosen", wanted, types={"Ask"}, really=True)
        owed = [info.waiting for info in await backend.topics() if info.topic == "_retry.chosen"]

    assert found.handed_on == ({"Ask": expected} if expected else {})
    assert sum(waiting["chosen"] for waiting in owed) == expected


async def test_more_than_a_page_is_replayed_completely_and_once(site: Site) -> None:
    backend = await site.open()
    async with open_bus(site, backend=backend) as bus:
        await bus.register(listening("chosen", Recorder()))
        await bus.publish_many("asks", [Ask(text=str(number)) for number in range(1201)])

        found = await replay(backend, "asks", "chosen", Range(), types={"Ask"}, really=True)
        topics = {info.topic: info for info in await backend.topics()}

    assert found.handed_on == {"Ask": 1201}
    assert topics["_retry.chosen"].entries == 1201


async def test_a_replay_that_cannot_be_meant_is_refused(backend: Backend) -> None:
    await joined(backend, "chosen", "asks")
    naive = Range(since=datetime(2030, 1, 1))  # noqa: DTZ001 - that is the point

    with pytest.raises(NobodyListensError, match="nobody is not subscribed"):
        await replay(backend, "asks", "nobody", Range(), types={"Ask"}, really=True)
    with pytest.raises(TopicError, match="reserved"):
        await replay(backend, "_retry.x", "chosen", Range(), types={"Ask"}, really=True)
    with pytest.raises(ValueError, match="time zone"):
        await replay(backend, "asks", "chosen", naive, types={"Ask"}, really=True)


@pytest.mark.parametrize(("keep_settled_s", "left"), [(0.0, 0), (3600.0, 5)])
async def test_what_is_settled_is_kept_as_long_as_it_was_asked_for(
    site: Site, keep_settled_s: float, left: int
) -> None:
    backend = await site.open(keep_settled_s=keep_settled_s)
    consumer = await joined(backend, "workers")
    await backend.append(notes(5))
    await consumer.commit(settled(await take(consumer, 5)))

    assert await backend.trim() == 5 - left
    assert len(texts(await everything_in(backend, "notes"))) == left


async def test_what_is_kept_makes_room_when_a_topic_is_full(site: Site) -> None:
    backend = await site.open(keep_settled_s=3600.0, max_backlog=5, soft_backlog=5)
    consumer = await joined(backend, "workers")
    await backend.append(notes(5))
    await consumer.commit(settled(await take(consumer, 5)))

    await backend.append(notes(3))

    assert len(await take(consumer, 3)) == 3


async def test_of_messages_whose_ids_tell_no_time_it_counts_when_they_were_accepted(
    site: Site,
) -> None:
    """Such as those that come under an Idempotency-Key: the beginning of their ids is any."""
    backend = await site.open(keep_settled_s=3600.0)
    async with open_bus(site, backend=backend) as bus:
        await bus.subscribe(listening("chosen", Recorder()))
        for first in "0f":
            odd_id = f"{first * 12}8{'0' * 19}"
            await bus.publish("asks", Ask(text=first), message_id=odd_id)
        await settled_all(bus, "chosen")
        counts = [
            (await replay(backend, "asks", "chosen", wanted, types={"Ask"}, really=False)).handed_on
            for wanted in (
                Range(),
                Range(since=now() - HOUR, until=now() + HOUR),
                Range(since=now() + HOUR),
                Range(until=now() - HOUR),
            )
        ]

    assert counts == [{"Ask": 2}, {"Ask": 2}, {}, {}]
