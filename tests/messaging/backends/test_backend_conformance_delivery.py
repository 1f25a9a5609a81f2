"""Who is lent what, and in which order: asked of every backend."""

import asyncio
from collections.abc import Mapping

import pytest

from messaging.backend import Backend, Settlement
from messaging.errors import NobodyListensError
from messaging.wire.envelope import Envelope, new_id
from messaging.wire.topic import partition_topic_of, retry_topic_of
from tests.messaging.conftest import Site
from tests.messaging.notes import (
    PATIENCE_S,
    is_owed_nothing,
    joined,
    note,
    notes,
    numbered,
    passed,
    settled,
    take,
    take_one,
    texts,
)


async def test_first_deliveries_come_in_order_of_acceptance(backend: Backend) -> None:
    reader = await joined(backend, "readers")
    await backend.append(notes(5))
    await backend.append([note("last")])

    deliveries = await take(reader, 6)

    assert texts(deliveries) == [*numbered(5), "last"]
    assert [delivery.redelivery_count for delivery in deliveries] == [0] * 6
    assert [delivery.fault for delivery in deliveries] == [""] * 6


async def test_an_envelope_arrives_with_every_field_it_was_published_with(
    backend: Backend,
) -> None:
    reader = await joined(backend, "readers")
    sent = Envelope(
        id=new_id(),
        type="research.evaluate",
        version=3,
        topic="notes",
        payload=b'{"n": 1}',
        sender="alice",
        cause=new_id(),
        conversation=new_id(),
        reply_to="inbox.alice",
        key="k",
        tags="bob,carol",
        trace="00-abc-def-01",
        origin="elsewhere",
        deadline=1_900_000_000.25,
        attempt=4,
        hops=7,
        priority=-2,
    )

    await backend.append([sent])

    assert (await take_one(reader)).envelope == sent


async def test_a_read_lends_no_more_than_was_asked_for(backend: Backend) -> None:
    reader = await joined(backend, "readers")
    await backend.append(notes(5))

    first = await reader.read(2, wait_s=1)
    rest = await take(reader, 5 - len(first))

    assert 1 <= len(first) <= 2
    assert texts(first + rest) == numbered(5)


async def test_every_group_gets_its_own_copy(backend: Backend) -> None:
    reader, auditor = await joined(backend, "readers"), await joined(backend, "auditors")
    await backend.append(notes(3))

    await reader.commit(settled(await take(reader, 3)))

    assert texts(await take(auditor, 3)) == numbered(3)


async def test_replicas_share_the_work_of_their_group(backend: Backend) -> None:
    one = await joined(backend, "readers")
    other = await backend.join("readers")
    await backend.append(notes(6))

    shares = [*await one.read(3, wait_s=1), *await other.read(3, wait_s=1)]
    shares += await take(one, 6 - len(shares))

    assert sorted(texts(shares)) == numbered(6)
    assert await other.read(10, wait_s=0) == []


async def test_replicas_on_different_connections_share_the_work(site: Site) -> None:
    here, there = await site.open(), await site.open()
    one = await joined(here, "readers")
    other = await there.join("readers")
    await there.append(notes(20))

    shares = [await take(one, 10), await take(other, 10)]

    assert sorted(texts(shares[0] + shares[1])) == sorted(numbered(20))


async def test_what_is_lent_is_not_lent_again(backend: Backend) -> None:
    reader = await joined(backend, "readers")
    await backend.append(notes(2))
    await take(reader, 2)

    assert await is_owed_nothing(backend, reader)


async def test_positions_increase_within_a_topic(backend: Backend) -> None:
    reader = await joined(backend, "readers")
    await backend.append(notes(12))
    positions = [delivery.position for delivery in await take(reader, 12)]

    behind_fifth = await backend.tail({"notes": positions[4]}, max_count=100, wait_s=0)

    assert [entry.position for entry in behind_fifth] == positions[5:]


async def test_a_late_subscriber_gets_only_what_is_published_later(backend: Backend) -> None:
    await joined(backend, "readers")
    await backend.append([note("early")])

    latecomer = await joined(backend, "latecomers")
    await backend.append([note("late")])

    assert texts(await take(latecomer, 1)) == ["late"]
    assert await latecomer.read(10, wait_s=0) == []


async def test_a_topic_nobody_subscribed_to_keeps_its_past_from_a_later_group(
    backend: Backend,
) -> None:
    await backend.append([note("before anybody came")])

    latecomer = await joined(backend, "latecomers")
    await backend.append([note("late")])

    assert texts(await take(latecomer, 1)) == ["late"]


async def test_a_pattern_picks_up_a_topic_born_later_from_its_first_entry(
    backend: Backend,
) -> None:
    reader = await joined(backend, "readers", "news.*")

    await backend.append(notes(3, "news.sport"))

    assert texts(await take(reader, 3)) == numbered(3, "news.sport")


async def test_a_reader_that_waits_is_woken_by_a_topic_born_meanwhile(site: Site) -> None:
    reader = await joined(await site.open(), "readers", "news.>")
    elsewhere = await site.open()
    reading = asyncio.create_task(reader.read(10, wait_s=60))
    await asyncio.sleep(0)

    await elsewhere.append([note("goal", "news.sport.football")])

    async with asyncio.timeout(PATIENCE_S):
        assert texts(await reading) == ["goal"]


async def test_a_pattern_brings_nothing_of_topics_it_does_not_fit(backend: Backend) -> None:
    reader = await joined(backend, "readers", "news.*")
    await backend.append([note("deep", "news.sport.football"), note("other", "weather")])

    assert await is_owed_nothing(backend, reader, "news.local")


async def test_a_topic_that_fits_two_patterns_is_delivered_once(backend: Backend) -> None:
    reader = await joined(backend, "readers", "news.*", "news.>", "news.sport")

    await backend.append([note("goal", "news.sport")])

    assert texts(await take(reader, 1)) == ["goal"]
    assert await is_owed_nothing(backend, reader, "news.sport")


async def test_a_group_reads_its_own_retries_and_no_other_group_does(backend: Backend) -> None:
    reader, auditor = await joined(backend, "readers"), await joined(backend, "auditors", ">")

    await backend.append([note("again", retry_topic_of("readers"))])

    assert texts(await take(reader, 1)) == ["again"]
    assert await is_owed_nothing(backend, auditor)


@pytest.mark.parametrize("topic", [retry_topic_of("nobody"), partition_topic_of("nobody", 0)])
async def test_what_is_a_groups_own_is_refused_while_it_is_not_subscribed(
    backend: Backend, topic: str
) -> None:
    with pytest.raises(NobodyListensError, match="nobody"):
        await backend.append([note("lost", topic)])

    assert await backend.topics() == []


async def test_subscribing_again_changes_nothing_of_what_is_owed(backend: Backend) -> None:
    reader = await joined(backend, "readers")
    await backend.append(notes(4))
    held = await take(reader, 1)

    await backend.subscribe("readers", ["notes"])
    await backend.append([note("after")])

    assert texts(await take(reader, 4)) == [*numbered(4, start=1), "after"]
    await reader.commit(settled(held))


async def test_new_patterns_replace_the_old_and_what_was_owed_stays_owed(
    backend: Backend,
) -> None:
    reader = await joined(backend, "readers", "notes")
    await backend.append([note("owed")])

    await backend.subscribe("readers", ["letters"])
    await backend.append([note("not for them"), note("dear", "letters")])

    assert sorted(texts(await take(reader, 2))) == ["dear", "owed"]
    assert await is_owed_nothing(backend, reader, "letters")


async def test_groups_are_listed_with_their_patterns(backend: Backend) -> None:
    await backend.subscribe("readers", ["notes", "news.*"])
    await backend.subscribe("auditors", [">"])
    await backend.subscribe("auditors", ["letters"])

    groups = {name: list(patterns) for name, patterns in (await backend.groups()).items()}

    assert groups == {"readers": ["notes", "news.*"], "auditors": ["letters"]}


async def test_an_unsubscribed_group_is_owed_nothing_even_if_it_comes_back(
    backend: Backend,
) -> None:
    reader = await joined(backend, "readers")
    await backend.append([*notes(2), note("again", retry_topic_of("readers"))])
    await take(reader, 1)

    await backend.unsubscribe("readers")
    returned = await joined(backend, "readers")

    assert "readers" in await backend.groups()
    assert await is_owed_nothing(backend, returned)


async def test_incarnation_names_never_repeat(site: Site) -> None:
    here, there = await site.open(), await site.open()
    await here.subscribe("readers", ["notes"])
    names = []
    for backend in (here, there) * 10:
        consumer = await backend.join("readers")
        names.append(consumer.incarnation)
        await consumer.leave([])

    assert len(set(names)) == 20


async def test_a_consumer_knows_its_group(backend: Backend) -> None:
    assert (await joined(backend, "readers")).group == "readers"


async def test_a_reader_that_waits_is_woken_by_what_arrives(backend: Backend) -> None:
    reader = await joined(backend, "readers")
    reading = asyncio.create_task(reader.read(10, wait_s=60))
    await asyncio.sleep(0)

    await backend.append([note("at last")])

    async with asyncio.timeout(PATIENCE_S):
        assert texts(await reading) == ["at last"]


async def test_a_reader_is_woken_by_what_another_handler_commits(backend: Backend) -> None:
    asker = await joined(backend, "askers", "questions")
    reader = await joined(backend, "readers", "answers")
    await backend.append([note("why?", "questions")])
    question = await take_one(asker)
    reading = asyncio.create_task(reader.read(10, wait_s=60))
    await asyncio.sleep(0)

    await asker.commit([Settlement(question, outbox=(note("because", "answers"),))])

    async with asyncio.timeout(PATIENCE_S):
        assert texts(await reading) == ["because"]


@pytest.mark.parametrize("wait_s", [0.0, 0.05])
async def test_a_read_of_nothing_ends_with_an_empty_list(backend: Backend, wait_s: float) -> None:
    reader = await joined(backend, "readers")

    async with asyncio.timeout(PATIENCE_S):
        assert await reader.read(10, wait_s=wait_s) == []


async def test_topics_say_what_waits_and_what_is_pending(backend: Backend) -> None:
    reader = await joined(backend, "readers", "notes")
    await backend.append([*notes(3), note("unheard", "letters")])
    await backend.open_ephemeral("_reply.me", ttl_s=60, max_entries=10)
    await backend.emit([note("short-lived", "_reply.me")])
    await reader.read(1, wait_s=1)

    infos = {info.topic: info for info in await backend.topics()}

    assert infos["notes"].entries == 3
    assert infos["notes"].waiting["readers"] == 2
    assert infos["notes"].pending["readers"] == 1
    assert infos["letters"].entries == 1
    assert not any(infos["letters"].waiting.values())
    assert "_reply.me" not in infos
    assert list(infos) == sorted(infos)


async def test_topics_say_since_when_each_group_has_not_settled_the_oldest(
    backend: Backend,
) -> None:
    reader = await joined(backend, "readers", "notes")
    await backend.subscribe("others", ["notes"])
    assert await oldest_s(backend) == {}
    before = await backend.time()
    await backend.append([note("first")])
    accepted_by = await passed(backend)
    await backend.append([note("second")])
    first, second = await take(reader, 2)

    await reader.commit(settled([second]))
    asked_at = await backend.time()
    ages = await oldest_s(backend)
    told_at = await backend.time()
    assert list(ages) == ["others", "readers"]
    for age_s in ages.values():  # a position may tell no more than the millisecond
        assert asked_at - accepted_by <= age_s <= told_at - before + 0.001

    await reader.commit(settled([first]))
    assert list(await oldest_s(backend)) == ["others"]


async def test_what_was_given_back_is_as_old_as_it_was(backend: Backend) -> None:
    reader = await joined(backend, "readers", "notes")
    await backend.append(notes(2))
    accepted_by = await passed(backend)
    await reader.leave(await take(reader, 2))

    asked_at = await backend.time()
    assert (await oldest_s(backend))["readers"] >= asked_at - accepted_by


async def test_what_waits_behind_what_was_settled_is_younger(backend: Backend) -> None:
    reader = await joined(backend, "readers", "notes")
    await backend.append([note("first")])
    await reader.commit(settled(await take(reader, 1)))
    before = await passed(backend)
    await backend.append(notes(3))

    ages = await oldest_s(backend)
    assert ages["readers"] <= await backend.time() - before + 0.001


async def oldest_s(backend: Backend) -> Mapping[str, float]:
    infos = {info.topic: info for info in await backend.topics()}
    return dict(sorted(infos["notes"].oldest_s.items())) if "notes" in infos else {}


async def test_who_is_roused_returns_from_a_read_that_waits(backend: Backend) -> None:
    reader = await joined(backend, "readers")
    await reader.read(1, wait_s=0)
    reading = asyncio.create_task(reader.read(10, wait_s=600))
    await asyncio.sleep(0)
    reader.rouse()

    async with asyncio.timeout(PATIENCE_S):
        assert await reading == []


async def test_who_is_roused_before_it_reads_does_not_wait_and_misses_nothing(
    backend: Backend,
) -> None:
    reader = await joined(backend, "readers")
    reader.rouse()
    async with asyncio.timeout(PATIENCE_S):
        early = await reader.read(10, wait_s=600)
    await backend.append(notes(1))

    assert texts([*early, *await take(reader, 1)]) == numbered(1)


async def test_rousing_one_reader_leaves_the_others_waiting(backend: Backend) -> None:
    one, other = await joined(backend, "readers"), await joined(backend, "readers")
    readings = [asyncio.create_task(reader.read(10, wait_s=600)) for reader in (one, other)]
    await asyncio.sleep(0)
    one.rouse()
    async with asyncio.timeout(PATIENCE_S):
        assert await readings[0] == []
        await backend.append(notes(1))
        assert texts(await readings[1]) == numbered(1)


async def test_who_waits_long_is_lent_what_comes_at_once(backend: Backend) -> None:
    reader = await joined(backend, "readers", "notes", "late.*")
    reading = asyncio.create_task(reader.read(10, wait_s=600))
    await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE_S):
        await backend.append([note("new", "late.topic")])
        assert texts(await reading) == ["new"]
