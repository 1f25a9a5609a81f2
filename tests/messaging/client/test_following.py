"""One request that several ask, or follow: at the same time, from elsewhere, and afterwards."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from messaging.client import following
from messaging.client.publisher import Publisher
from messaging.control import followers
from messaging.control.followers import Followers
from messaging.errors import (
    BusClosedError,
    NobodyListensError,
    NotAskedError,
    RequestCancelledError,
    RequestFailedError,
    RequestTimeoutError,
)
from messaging.handling.context import Context
from messaging.testing import PATIENCE_S, Recorder, eventually, memory_bus
from messaging.wire.envelope import Envelope, new_id
from tests.messaging.buses import Ask, Progress, Told, listening, open_bus, settled_all
from tests.messaging.conftest import Site

ASK = Ask(text="once")
REPOSITORY = Path(__file__).parents[3]


class Counting:
    """Emits three steps, waits to be let through before the last, and answers with its count."""

    def __init__(self, *, opened: bool = True) -> None:
        self.started = 0
        self.opened = asyncio.Event()
        if opened:
            self.opened.set()

    async def __call__(self, ask: Ask, context: Context) -> Told:
        self.started += 1
        context.emit(Progress(step=1))
        context.emit(Progress(step=2))
        await self.opened.wait()
        context.emit(Progress(step=3))
        return Told(text=f"{ask.text}, {self.started}")


async def all_of(items: AsyncGenerator[BaseModel, None]) -> list[Any]:
    return [item.step if isinstance(item, Progress) else item async for item in items]


async def first_of(items: AsyncGenerator[BaseModel, None], count: int) -> list[BaseModel]:
    return [await anext(items) for _ in range(count)]


async def test_a_request_that_is_asked_again_is_handled_once_and_answered_again(
    site: Site,
) -> None:
    counting, message_id = Counting(), new_id()
    async with open_bus(site) as bus, open_bus(site) as other:
        await bus.subscribe(listening("counting", counting))

        answers = [
            await one.request("asks", ASK, message_id=message_id) for one in (bus, bus, other)
        ]

        assert answers == [Told(text="once, 1")] * 3
        assert counting.started == 1


@pytest.mark.parametrize("is_handled", [False, True], ids=["waits", "is handled"])
@pytest.mark.parametrize("reply_to", ["", "told"], ids=["", "with a reply topic"])
async def test_a_request_under_the_id_of_what_was_published_is_refused_at_once(
    site: Site, is_handled: bool, reply_to: str
) -> None:
    counting, message_id = Counting(opened=is_handled), new_id()
    async with open_bus(site) as bus, open_bus(site) as other:
        await bus.subscribe(listening("counting", counting))
        for _ in range(2):
            await bus.publish("asks", ASK, message_id=message_id, reply_to=reply_to)
        await eventually(lambda: counting.started == 1)
        if is_handled:
            await settled_all(bus, "counting")

        for one in (bus, other):
            with pytest.raises(NotAskedError, match=f"{message_id} was published on asks before"):
                await one.request("asks", ASK, message_id=message_id)
            with pytest.raises(NotAskedError, match="ask under a new id"):
                await all_of(one.stream("asks", ASK, message_id=message_id))
        counting.opened.set()
        await settled_all(bus, "counting")
        assert counting.started == 1
        assert not await bus.dead_letters.list()


async def test_what_was_asked_and_is_published_again_is_still_answered(site: Site) -> None:
    counting, message_id = Counting(opened=False), new_id()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("counting", counting))
        asking = asyncio.create_task(bus.request("asks", ASK, message_id=message_id))
        await eventually(lambda: counting.started == 1)
        assert await bus.publish("asks", ASK, message_id=message_id) == message_id
        late = asyncio.create_task(bus.request("asks", ASK, message_id=message_id))
        counting.opened.set()

        assert await asking == await late == Told(text="once, 1")
        assert counting.started == 1


async def test_a_request_that_is_asked_by_many_at_once_is_handled_once(site: Site) -> None:
    counting, message_id = Counting(), new_id()
    async with open_bus(site) as bus, open_bus(site) as other:
        await bus.subscribe(listening("counting", counting))

        answers = await asyncio.gather(
            *(one.request("asks", ASK, message_id=message_id) for one in (bus, other) * 8)
        )

        assert answers == [Told(text="once, 1")] * 16
        assert counting.started == 1


async def test_a_request_is_answered_to_who_asks_again_after_the_first_process_has_died(
    site: Site,
) -> None:
    counting, message_id = Counting(opened=False), new_id()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("counting", counting))
        async with open_bus(site) as doomed:
            asking = asyncio.create_task(doomed.request("asks", ASK, message_id=message_id))
            await eventually(lambda: counting.started == 1)
        with pytest.raises(BusClosedError):
            await asking
        counting.opened.set()

        async with open_bus(site) as heir:
            assert await heir.request("asks", ASK, message_id=message_id) == Told(text="once, 1")
        assert counting.started == 1


async def test_a_request_is_answered_to_who_asks_again_after_the_first_was_killed(
    site: Site,
) -> None:
    if site.kind != "external-redis":
        pytest.skip("needs a server that several processes may use")
    counting, message_id = Counting(opened=False), new_id()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("counting", counting))
        module = "tests.messaging.client.killed_requester"
        doomed = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, site.url, site.guild_id, message_id, cwd=REPOSITORY
        )
        await eventually(lambda: counting.started == 1)
        doomed.kill()
        await doomed.wait()
        counting.opened.set()
        await settled_all(bus, "counting")  # it was answered while nobody waited

        assert await bus.request("asks", ASK, message_id=message_id) == Told(text="once, 1")
        assert counting.started == 1


async def test_what_failed_and_was_requeued_is_answered_to_who_asks_afterwards(
    site: Site,
) -> None:
    broken, message_id = [True], new_id()

    async def handle(ask: Ask, context: Context) -> Told:
        if broken:
            raise ValueError("not yet")
        return Told(text="mended")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("mended", handle))
        for _ in range(2):
            with pytest.raises(RequestFailedError, match="not yet"):
                await bus.request("asks", ASK, message_id=message_id)
        broken.clear()
        (letter,) = await bus.dead_letters.list()
        assert await bus.dead_letters.requeue(letter.id)
        await settled_all(bus, "mended")

        assert await bus.request("asks", ASK, message_id=message_id) == Told(text="mended")


async def test_all_who_ask_as_a_stream_get_every_item_from_the_start(site: Site) -> None:
    counting, message_id = Counting(opened=False), new_id()
    async with open_bus(site) as bus, open_bus(site) as other:
        await bus.subscribe(listening("counting", counting))
        first = bus.stream("asks", ASK, message_id=message_id)
        assert await first_of(first, 2) == [Progress(step=1), Progress(step=2)]
        late = asyncio.create_task(all_of(other.stream("asks", ASK, message_id=message_id)))
        counting.opened.set()

        answer = Told(text="once, 1")
        assert await all_of(first) == [3, answer]
        assert await late == [1, 2, 3, answer]
        assert await all_of(bus.stream("asks", ASK, message_id=message_id)) == [1, 2, 3, answer]


async def test_a_named_request_can_be_followed_from_its_start_while_it_runs_and_afterwards(
    site: Site,
) -> None:
    counting, message_id = Counting(opened=False), new_id()
    async with open_bus(site) as bus, open_bus(site) as other:
        await bus.subscribe(listening("counting", counting))
        asking = asyncio.create_task(bus.request("asks", ASK, message_id=message_id))
        following_it = other.follow(message_id)
        assert await first_of(following_it, 2) == [Progress(step=1), Progress(step=2)]
        counting.opened.set()

        answer = Told(text="once, 1")
        assert await all_of(following_it) == [3, answer]
        assert await asking == answer
        assert await all_of(other.follow(message_id)) == [1, 2, 3, answer]


async def test_any_request_can_be_followed_from_now_on(site: Site) -> None:
    counting = Counting(opened=False)
    seen: list[str] = []

    async def handle(ask: Ask, context: Context) -> Told:
        seen.append(context.message_id)
        return await counting(ask, context)

    async with open_bus(site) as bus, open_bus(site) as asker, open_bus(site) as other:
        await bus.subscribe(listening("counting", handle))
        asking = asyncio.create_task(asker.request("asks", ASK))
        await eventually(lambda: bool(seen))
        late = asyncio.create_task(all_of(other.follow(seen[0])))
        await eventually(lambda: seen[0] in bus._followers._until)
        asking.cancel()
        await asker.close()
        counting.opened.set()

        assert await late == [3, Told(text="once, 1")]


async def test_whoever_follows_hears_that_the_request_failed_or_was_cancelled(site: Site) -> None:
    async with open_bus(site) as bus, open_bus(site) as other:
        await bus.subscribe(listening("broken", Recorder(ValueError("no"))))
        hanging = Counting(opened=False)
        await bus.subscribe(listening("hanging", hanging, topics=["hang"]))
        failed, cancelled = new_id(), new_id()
        with pytest.raises(RequestFailedError):
            await bus.request("asks", ASK, message_id=failed)
        asking = asyncio.create_task(bus.request("hang", ASK, message_id=cancelled))
        late = asyncio.create_task(all_of(other.follow(cancelled)))
        await eventually(lambda: hanging.started == 1)

        with pytest.raises(RequestFailedError, match="ValueError: no") as told:
            await all_of(other.follow(failed))
        assert (told.value.asked_type, told.value.asked_id) == ("Ask", failed)

        await bus.cancel(cancelled, "enough")
        for one in (asking, late):
            with pytest.raises(RequestCancelledError, match="enough"):
                await one


async def test_whoever_follows_what_never_comes_is_told_in_time(site: Site) -> None:
    async with open_bus(site) as bus:
        unknown = new_id()
        with pytest.raises(RequestTimeoutError, match=f"no answer to the request {unknown} within"):
            await all_of(bus.follow(unknown, timeout_s=0.05))
        with pytest.raises(ValueError, match="32 lower-case hex digits"):
            await all_of(bus.follow("mine", whole_conversation=True))


async def test_a_named_request_fails_at_once_when_nobody_listens(site: Site) -> None:
    async with open_bus(site) as bus:
        with pytest.raises(NobodyListensError):
            await bus.request("asks", ASK, message_id=new_id(), timeout_s=PATIENCE_S)
        with pytest.raises(NobodyListensError):
            await all_of(bus.stream("asks", ASK, message_id=new_id(), timeout_s=PATIENCE_S))
        assert not bus._requests._attachments.everybody()


async def test_what_was_asked_before_and_not_answered_in_time_can_be_asked_again(
    site: Site,
) -> None:
    counting, message_id = Counting(opened=False), new_id()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("counting", counting))
        with pytest.raises(RequestTimeoutError, match="stays accepted"):
            await bus.request("asks", ASK, message_id=message_id, timeout_s=0.2)
        counting.opened.set()

        assert await bus.request("asks", ASK, message_id=message_id) == Told(text="once, 1")
        assert counting.started == 1


async def test_an_answer_is_kept_for_a_day_and_for_minutes_once_a_caller_has_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives: dict[str, float] = {}
    async with open_bus(site) as bus:
        opened = bus.backend.open_ephemeral

        async def note(topic: str, *, ttl_s: float, max_entries: int) -> None:
            lives[topic] = ttl_s
            await opened(topic, ttl_s=ttl_s, max_entries=max_entries)

        monkeypatch.setattr(bus.backend, "open_ephemeral", note)
        await bus.subscribe(listening("counting", Counting(), topics=["asks"]))
        await bus.register(listening("late", Counting(), topics=["later"]))
        answered, owed = new_id(), new_id()

        await bus.request("asks", ASK, message_id=answered)
        with pytest.raises(RequestTimeoutError):
            await bus.request("later", ASK, message_id=owed, timeout_s=0.05)

        def of(message_id: str) -> set[float]:
            return {lives[f"_reply.{message_id}"], lives[f"_emit.{message_id}"]}

        assert of(answered) == {following.KEPT_ANSWERED_S}
        assert of(owed) == {following.KEPT_UNANSWERED_S}


async def test_a_request_without_a_name_shares_the_topic_of_its_bus(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes not one call more than before: no topic of its own, nothing remembered."""
    async with open_bus(site) as bus:
        await bus.subscribe(listening("counting", Counting()))
        await bus.request("asks", ASK)
        opened: list[str] = []

        async def refuse(self: Publisher, *_: object, **__: object) -> None:
            raise AssertionError("only what has a name is remembered")

        async def note(topic: str, **_: object) -> None:
            if topic.startswith(("_reply.", "_emit.")) and topic != bus._tail.reply_topic:
                opened.append(topic)

        monkeypatch.setattr(Publisher, "append_once", refuse)
        monkeypatch.setattr(bus.backend, "open_ephemeral", note)
        await bus.request("asks", ASK)

        assert opened == []


async def append_anew(
    self: Publisher, envelopes: Iterable[Envelope], *, require_listener: bool
) -> None:
    await self.append(tuple(envelopes), require_listener=require_listener)


async def test_if_it_were_published_anew_it_would_be_handled_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Publisher, "append_once", append_anew)
    counting, message_id = Counting(), new_id()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("counting", counting))
        for _ in range(2):
            await bus.request("asks", ASK, message_id=message_id)

        await eventually(lambda: counting.started == 2)


async def test_if_nobody_sent_copies_whoever_follows_would_see_no_answer(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Followers, "with_copies", lambda _, outbox: outbox)
    seen: list[str] = []
    opened = asyncio.Event()

    async def handle(ask: Ask, context: Context) -> Told:
        seen.append(context.message_id)
        await opened.wait()
        return Told(text="done")

    async with open_bus(site) as bus, open_bus(site) as other:
        await bus.subscribe(listening("slow", handle))
        asking = asyncio.create_task(bus.request("asks", ASK))
        await eventually(lambda: bool(seen))
        late = asyncio.create_task(all_of(other.follow(seen[0], timeout_s=1.0)))
        await eventually(lambda: seen[0] in bus._followers._until)
        opened.set()

        assert await asking == Told(text="done")
        with pytest.raises(RequestTimeoutError):
            await late


def test_only_so_many_are_remembered_as_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers, "MOST_FOLLOWED", 3)

    async def announce() -> int:
        async with memory_bus() as bus:
            for _ in range(5):
                await bus._followers.announce(new_id())
            return len(bus._followers._until)

    assert asyncio.run(announce()) == 3
