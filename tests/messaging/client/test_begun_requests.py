"""Requests that are begun and left: their answers wait for whoever follows them."""

import asyncio

import pytest

from messaging.errors import NobodyListensError
from messaging.wire.envelope import new_id
from tests.messaging.buses import Told, listening, open_bus, settled_all
from tests.messaging.client.test_following import ASK, Counting, all_of
from tests.messaging.conftest import Site


async def test_an_answer_that_came_before_anybody_followed_is_kept(site: Site) -> None:
    counting, message_id = Counting(), new_id()
    async with open_bus(site) as handling:
        await handling.subscribe(listening("counting", counting))
        async with open_bus(site) as leaving:
            await leaving.begin_request("asks", ASK, message_id=message_id)
        await settled_all(handling, "counting")

        async with open_bus(site) as coming:
            items = await all_of(coming.follow(message_id))

    assert items == [1, 2, 3, Told(text="once, 1")]


async def test_begun_and_asked_under_one_id_it_is_handled_once(site: Site) -> None:
    counting, message_id = Counting(), new_id()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("counting", counting))
        for _ in range(2):
            await bus.begin_request("asks", ASK, message_id=message_id)

        assert await bus.request("asks", ASK, message_id=message_id) == Told(text="once, 1")
        assert await all_of(bus.stream("asks", ASK, message_id=message_id)) == [
            *(1, 2, 3),
            Told(text="once, 1"),
        ]
    assert counting.started == 1


async def test_what_nobody_would_answer_is_refused_at_once(site: Site) -> None:
    async with open_bus(site) as bus:
        with pytest.raises(NobodyListensError):
            await bus.begin_request("asks", ASK, message_id=new_id())
        with pytest.raises(ValueError, match="32 lower-case hex digits"):
            await bus.begin_request("asks", ASK, message_id="mine")


async def test_who_leaves_while_the_store_is_asked_leaves_nothing_behind(site: Site) -> None:
    async with open_bus(site) as bus:
        for patience in range(200):
            following = asyncio.create_task(all_of(bus.follow(new_id())))
            for _ in range(patience):  # from before its first step until behind its last
                await asyncio.sleep(0)
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

        assert not list(bus._requests._attachments.everybody())
