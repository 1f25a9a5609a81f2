"""Stopping: what runs may finish, the rest is given back, and nothing stays behind."""

import asyncio
from typing import Any

import pytest

from messaging.consuming.consumer_loop import ConsumerLoop
from messaging.testing import Recorder, eventually
from tests.messaging.buses import (
    Ask,
    Gate,
    echo,
    listening,
    open_bus,
    settled_all,
    texts_in,
)
from tests.messaging.conftest import Site


async def test_draining_may_be_hurried_when_only_the_farewell_is_left(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaving, may_leave = asyncio.Event(), asyncio.Event()
    async with open_bus(site) as bus:
        running = await bus.subscribe(listening("team", Recorder()))
        await settled_all(bus, "team")

        async def leave_slowly(self: ConsumerLoop, *tasks: object) -> None:
            leaving.set()
            await may_leave.wait()
            await leave(self, *tasks)  # type: ignore[arg-type]

        leave = ConsumerLoop._leave
        monkeypatch.setattr(ConsumerLoop, "_leave", leave_slowly)
        draining = asyncio.create_task(running.drain())
        await leaving.wait()
        hurrying = asyncio.create_task(running.drain())
        await asyncio.sleep(0)
        may_leave.set()

        await asyncio.gather(draining, hurrying)


async def test_draining_finishes_what_runs_and_gives_back_what_did_not_start(site: Site) -> None:
    gate, later = Gate(), Recorder()
    async with open_bus(site) as one, open_bus(site) as two:
        running = await one.subscribe(listening("team", gate, concurrency=1))
        await one.publish_many("asks", [Ask(text=str(number)) for number in range(4)])
        await eventually(lambda: len(gate.started) == 1)

        draining = asyncio.create_task(running.drain())
        await asyncio.sleep(0)
        gate.opened.set()
        await draining
        await two.subscribe(listening("team", later))

        assert await texts_in(one, "told") == ["0"]
        assert len(await later.messages(3)) == 3
        assert [context.attempt for context in later.contexts] == [1, 1, 1]


async def test_a_second_drain_does_not_wait_for_the_handlers(site: Site) -> None:
    gate = Gate()
    async with open_bus(site) as bus:
        running = await bus.subscribe(listening("team", gate, drain_s=600.0))
        await bus.publish("asks", Ask(text="slow"))
        await eventually(lambda: len(gate.started) == 1)

        async with asyncio.timeout(10):
            await asyncio.gather(running.drain(), running.drain())

        assert gate.cancelled == 1
        heir = await bus.backend.join("team")
        (given_back,) = await heir.read(10, wait_s=5)
        assert given_back.redelivery_count == 0


async def test_closing_the_bus_leaves_no_task_behind(site: Site) -> None:
    before = asyncio.all_tasks()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("echo", echo))
        await bus.request("asks", Ask(text="hello"))

    await eventually(lambda: not _tasks_of_the_bus(before))


def _tasks_of_the_bus(before: set[asyncio.Task[Any]]) -> set[str]:
    names = {task.get_name() for task in asyncio.all_tasks() - before}
    return {name for name in names if name.startswith(("consumer_loop", "replica", "tail", "emit"))}
