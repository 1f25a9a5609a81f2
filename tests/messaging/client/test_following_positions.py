"""Going on behind a position: what was emitted for a request, to a caller that comes back."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest
from pydantic import BaseModel

from messaging.client import following
from messaging.client.following import Followed
from messaging.errors import PositionLostError
from messaging.handling.context import Context
from messaging.testing import PATIENCE_S, eventually
from messaging.wire.envelope import new_id
from messaging.wire.topic import emit_topic_of
from tests.messaging.buses import Ask, Progress, Told, listening, open_bus
from tests.messaging.conftest import Site

ASK = Ask(text="once")
ANSWER = Told(text="done")


class Counting:
    """Emits `steps` items, is let through before the last `held` of them, and answers."""

    def __init__(self, steps: int, *, held: int = 0) -> None:
        self.steps = steps
        self.message_id = ""
        self.opened = asyncio.Event()
        self._held_from = steps - held

    async def __call__(self, ask: Ask, context: Context) -> Told:
        self.message_id = context.message_id
        for step in range(self.steps):
            if step == self._held_from:
                await self.opened.wait()
            context.emit(Progress(step=step))
        return ANSWER


def shown(message: BaseModel) -> Any:
    return message.step if isinstance(message, Progress) else message


async def all_of(items: AsyncGenerator[BaseModel, None]) -> list[Any]:
    return [shown(item) async for item in items]


async def first_of(items: AsyncGenerator[Followed, None], count: int) -> list[Followed]:
    async with asyncio.timeout(PATIENCE_S), aclosing(items):
        return [await anext(items) for _ in range(count)]


async def test_a_caller_goes_on_behind_any_position_that_it_was_told(site: Site) -> None:
    message_id = new_id()
    async with open_bus(site) as bus, open_bus(site) as other:
        await bus.subscribe(listening("counting", Counting(3)))
        await bus.request("asks", ASK, message_id=message_id)

        told = [each async for each in other.follow_with_positions(message_id)]

        everything = [0, 1, 2, ANSWER]
        assert [shown(each.message) for each in told] == everything
        assert [each.is_answer for each in told] == [False, False, False, True]
        assert len({each.position for each in told}) == 4
        for number, each in enumerate(told):
            assert each.position.isascii()
            assert each.position.isprintable()
            assert (
                await all_of(bus.follow(message_id, after=each.position))
                == everything[number + 1 :]
            )


async def test_a_caller_comes_back_to_a_request_that_still_runs(site: Site) -> None:
    counting, message_id = Counting(4, held=2), new_id()
    async with open_bus(site) as bus, open_bus(site) as other, open_bus(site) as third:
        await bus.subscribe(listening("counting", counting))
        asking = asyncio.create_task(bus.request("asks", ASK, message_id=message_id))
        first, _ = await first_of(other.follow_with_positions(message_id), 2)
        again = third.follow_with_positions(message_id, after=first.position)
        rest = asyncio.create_task(first_of(again, 4))
        await eventually(lambda: bool(third._requests._attachments.waiting_for(message_id)))
        counting.opened.set()

        assert [shown(each.message) for each in await rest] == [1, 2, 3, ANSWER]
        assert await asking == ANSWER


async def test_a_caller_comes_back_to_a_request_without_an_id_of_its_own_choice(
    site: Site,
) -> None:
    counting = Counting(2, held=1)
    async with open_bus(site) as bus, open_bus(site) as asker, open_bus(site) as other:
        await bus.subscribe(listening("counting", counting))
        asking = asyncio.create_task(all_of(asker.stream("asks", ASK)))
        await eventually(lambda: bool(counting.message_id))
        (first,) = await first_of(other.follow_with_positions(counting.message_id), 1)
        shown_items = list[BaseModel]()
        again = other.follow(counting.message_id, after=first.position, show=shown_items.append)
        rest = asyncio.create_task(all_of(again))
        waiting_for = other._requests._attachments.waiting_for
        await eventually(lambda: bool(waiting_for(counting.message_id)))
        counting.opened.set()

        assert await rest == [ANSWER]
        assert shown_items == [Progress(step=1)]
        assert await asking == [0, 1, ANSWER]


async def test_what_is_behind_a_position_may_take_several_reads(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "MOST_AT_ONCE", 2)
    message_id = new_id()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("counting", Counting(8)))
        await bus.request("asks", ASK, message_id=message_id)
        first, second = await first_of(bus.follow_with_positions(message_id), 2)

        after_first = await all_of(bus.follow(message_id, after=first.position))
        after_second = await all_of(bus.follow(message_id, after=second.position))
        assert after_first == [1, 2, 3, 4, 5, 6, 7, ANSWER]
        assert after_second == [2, 3, 4, 5, 6, 7, ANSWER]


async def test_a_position_that_the_topic_dropped_is_told_before_any_item(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "MOST_ENTRIES", 5)
    counting, message_id = Counting(1_001, held=1_000), new_id()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("counting", counting))
        asking = asyncio.create_task(bus.request("asks", ASK, message_id=message_id))
        (first,) = await first_of(bus.follow_with_positions(message_id), 1)
        counting.opened.set()
        await asking

        with pytest.raises(PositionLostError, match=f"for {message_id} is not kept from") as lost:
            await anext(bus.follow(message_id, after=first.position))
        assert (lost.value.position, lost.value.message_id) == (first.position, message_id)
        kept = await all_of(bus.follow(message_id))
        assert kept[-2:] == [1_000, ANSWER]


async def test_a_position_in_a_topic_that_is_gone_is_told(site: Site) -> None:
    message_id = new_id()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("counting", Counting(2)))
        await bus.request("asks", ASK, message_id=message_id)
        (first,) = await first_of(bus.follow_with_positions(message_id), 1)
        await bus.backend.close_ephemeral(emit_topic_of(message_id))

        with pytest.raises(PositionLostError):
            await anext(bus.follow_with_positions(message_id, after=first.position))
        assert await all_of(bus.follow(message_id)) == [ANSWER]


async def test_what_is_no_position_is_refused(site: Site) -> None:
    async with open_bus(site) as bus:
        for text in ("mine", "$", "1-1\n", "mine!", "1-1!!"):
            with pytest.raises(ValueError, match="no position"):
                await anext(bus.follow(new_id(), after=text))


@pytest.mark.parametrize("wrong", ["\ud800", "a\0b", 5], ids=["lone surrogate", "NUL", "number"])
async def test_a_conversation_that_no_message_can_belong_to_is_refused(
    site: Site, wrong: Any
) -> None:
    async with open_bus(site) as bus:
        for following in (
            bus.follow(new_id(), conversation=wrong, timeout_s=0.2),
            bus.follow_with_positions(new_id(), conversation=wrong, timeout_s=0.2),
        ):
            with pytest.raises(ValueError, match="no message can belong to"):
                await anext(following)
