"""Those who ask for the same at the same time share what is done about it."""

import asyncio

import pytest

from messaging.process.coalesced import Coalesced


class Action:
    """Counts its runs; each ends when it is let go, or fails if it is told to."""

    def __init__(self) -> None:
        self.runs = 0
        self.may_end = asyncio.Event()
        self.errors: list[Exception] = []

    async def __call__(self) -> None:
        self.runs += 1
        await self.may_end.wait()
        if self.errors:
            raise self.errors.pop()


async def test_all_who_ask_while_it_runs_share_one_more_run() -> None:
    action = Action()
    shared = Coalesced(action)
    first = asyncio.create_task(shared())
    await asyncio.sleep(0)
    others = [asyncio.create_task(shared()) for _ in range(100)]
    await asyncio.sleep(0)
    action.may_end.set()
    await asyncio.gather(first, *others)

    assert action.runs == 2


async def test_a_run_that_began_before_the_call_is_not_enough() -> None:
    action = Action()
    shared = Coalesced(action)
    first = asyncio.create_task(shared())
    await asyncio.sleep(0)
    late = asyncio.create_task(shared())
    await asyncio.sleep(0)
    action.may_end.set()
    await late

    assert first.done()
    assert action.runs == 2


async def test_who_shared_a_run_that_failed_tries_again() -> None:
    action = Action()
    shared = Coalesced(action)
    action.errors = [ConnectionError("away")]
    first = asyncio.create_task(shared())
    await asyncio.sleep(0)
    late = asyncio.create_task(shared())
    action.may_end.set()

    with pytest.raises(ConnectionError):
        await first
    await late
    assert action.runs == 2


async def test_who_is_cancelled_leaves_the_others_what_they_need() -> None:
    action = Action()
    shared = Coalesced(action)
    first = asyncio.create_task(shared())
    await asyncio.sleep(0)
    late = asyncio.create_task(shared())
    await asyncio.sleep(0)
    first.cancel()
    action.may_end.set()
    await late

    assert first.cancelled()
    assert not shared.is_running
