"""Topics that are asked for at the same time come in one call, and fail one by one."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from messaging.backend import FROM_START, Settlement
from messaging.backends.redis.registry.topic_creator import MOST_AT_ONCE, TopicCreator
from messaging.errors import BackendError, BackendSetupError
from messaging.testing import eventually
from messaging.wire.topic import reply_topic_of
from tests.messaging.backends.redis.conftest import Guild, command, server_of
from tests.messaging.notes import joined, note, take, take_one, texts


class Creating:
    """Remembers what was asked for; a call ends when it may."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.may_end = asyncio.Event()
        self.failed: dict[str, Exception] = {}
        self.error: Exception | None = None

    async def __call__(self, topics: Sequence[str]) -> Mapping[str, Exception]:
        self.calls.append(list(topics))
        await self.may_end.wait()
        if self.error:
            raise self.error
        return self.failed


async def test_those_who_come_during_a_call_share_the_next_one() -> None:
    creating = Creating()
    births = TopicCreator(creating)
    first = asyncio.create_task(births.bring("a"))
    await eventually(lambda: creating.calls)
    others = [asyncio.create_task(births.bring(topic)) for topic in ("b", "c", "b", "a")]
    await asyncio.sleep(0)
    creating.may_end.set()
    await asyncio.gather(first, *others)

    assert creating.calls == [["a"], ["b", "c", "a"]]


async def test_a_call_takes_so_many_at_most() -> None:
    creating = Creating()
    creating.may_end.set()
    births = TopicCreator(creating)
    await asyncio.gather(*[births.bring(f"t{number}") for number in range(MOST_AT_ONCE + 1)])

    assert list(map(len, creating.calls)) == [MOST_AT_ONCE, 1]


async def test_who_fails_fails_alone_unless_the_call_fails() -> None:
    creating = Creating()
    creating.may_end.set()
    creating.failed = {"b": BackendError("odd")}
    births = TopicCreator(creating)
    asked = [births.bring(topic) for topic in ("a", "b", "c")]
    assert list(map(str, await asyncio.gather(*asked, return_exceptions=True))) == [
        *("None", "odd", "None")
    ]

    creating.error = ConnectionError("away")
    asked = [births.bring(topic) for topic in ("a", "b")]
    assert list(map(str, await asyncio.gather(*asked, return_exceptions=True))) == ["away"] * 2


async def test_who_is_cancelled_leaves_the_topic_to_the_others() -> None:
    creating = Creating()
    births = TopicCreator(creating)
    one, other = asyncio.create_task(births.bring("a")), asyncio.create_task(births.bring("a"))
    await eventually(lambda: creating.calls)
    one.cancel()
    creating.may_end.set()
    await other

    assert one.cancelled()


async def test_a_topic_whose_key_is_not_ours_keeps_no_other_from_coming(guild: Guild) -> None:
    backend = await guild.open()
    worker = await joined(backend, "workers", "good.*", "bad")
    await command(backend, "SET", server_of(backend).keys.stream("bad"), "not a stream")
    appending = [backend.append([note(topic, topic)]) for topic in ("good.a", "bad", "good.b")]

    async def outcome(number: int) -> str:
        try:
            await appending[number]
        except BackendSetupError as error:
            return "bad" if "bad" in str(error) else str(error)
        return "stored"

    assert await asyncio.gather(*map(outcome, range(3))) == ["stored", "bad", "stored"]
    assert sorted(texts(await take(worker, 2))) == ["good.a", "good.b"]


@pytest.mark.parametrize("processes", [2, 4])
async def test_processes_that_bring_topics_at_the_same_time_agree_on_who_is_owed_them(
    guild: Guild, processes: int
) -> None:
    backends = [await guild.open() for _ in range(processes)]
    workers = [
        await joined(backend, f"g{number}", f"shared.*.{number}", "all.>")
        for number, backend in enumerate(backends)
    ]
    appending = [
        backend.append([note(f"{topic} {number}", topic)])
        for number, backend in enumerate(backends)
        for topic in [*(f"shared.{n}.{m}" for n in range(5) for m in range(processes)), "all.x"]
    ]
    await asyncio.gather(*appending)

    for number, worker in enumerate(workers):
        lent = await take(worker, 5 * processes + processes)
        topics = [delivery.envelope.topic for delivery in lent]
        assert topics.count("all.x") == processes
        assert {f"shared.{n}.{number}" for n in range(5)} <= set(topics)
        assert await worker.read(10, wait_s=0) == []


async def test_an_answer_beside_a_message_to_a_new_topic_makes_no_topic_of_its_own(
    guild: Guild,
) -> None:
    backend = await guild.open()
    worker = await joined(backend, "workers", "questions")
    reply_topic = reply_topic_of("asker")
    await backend.open_ephemeral(reply_topic, ttl_s=60, max_entries=10)
    await backend.append([note("why?", "questions")])
    delivery = await take_one(worker)
    outbox = (note("because", reply_topic), note("new", "news"))

    assert await worker.commit([Settlement(delivery, outbox)]) == []
    names = [info.topic for info in await backend.topics()]
    assert "news" in names
    assert reply_topic not in names
    assert texts(await backend.tail({reply_topic: FROM_START}, max_count=9, wait_s=1)) == [
        "because"
    ]
