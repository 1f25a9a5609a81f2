"""A paused group begins nothing, anywhere, and loses nothing."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from messaging.backend import Backend
from messaging.backends.memory import MemoryBackend
from messaging.bus import Bus
from messaging.control import pausing
from messaging.testing import Recorder
from tests.messaging.buses import Ask, listening, open_bus, settled_all
from tests.messaging.conftest import Site
from tests.messaging.notes import joined


async def replicas(bus: Bus, group: str, count: int) -> None:
    """Return once `group` has this many consumers."""
    async with asyncio.timeout(10):
        while True:
            if len(await bus.backend.consumers(group)) == count:
                return
            await asyncio.sleep(0.005)


async def in_hand(bus: Bus, group: str) -> int:
    return sum(topic.pending.get(group, 0) for topic in await bus.backend.topics())


@pytest.fixture
async def here(site: Site) -> AsyncIterator[Bus]:
    async with open_bus(site) as bus:
        yield bus


async def test_a_pause_is_seen_by_every_backend_until_it_ends(site: Site) -> None:
    here, there = await site.open(), await site.open()
    await joined(here, "workers")

    await here.set_paused("workers", True)
    await here.set_paused("workers", True)
    assert list(await there.paused()) == ["workers"]

    await there.set_paused("workers", False)
    assert list(await here.paused()) == []


async def test_a_group_that_is_unsubscribed_is_not_paused_any_more(backend: Backend) -> None:
    await joined(backend, "workers")
    await backend.set_paused("workers", True)

    await backend.unsubscribe("workers")

    assert list(await backend.paused()) == []


async def test_a_paused_group_begins_nothing_in_any_process_and_then_goes_on(
    site: Site, here: Bus
) -> None:
    recorder, other = Recorder(), Recorder()
    async with open_bus(site) as there:
        await here.subscribe(listening("workers", recorder))
        await there.subscribe(listening("workers", recorder))
        await there.subscribe(listening("others", other))
        await here.pause("workers")
        await replicas(here, "workers", 0)
        asks = [Ask(text=str(number)) for number in range(20)]
        await here.publish_many("asks", asks)
        await other.messages(20)

        assert recorder.contexts == []
        assert await here.paused() == {"workers"} == await there.paused()

        await there.resume("workers")
        await recorder.messages(20)
        await settled_all(here, "workers")
        assert sorted(c.envelope.id for c in recorder.contexts) == sorted(
            c.envelope.id for c in other.contexts
        )


async def test_a_running_handler_comes_to_its_end_and_the_rest_is_given_back(here: Bus) -> None:
    release = asyncio.Event()
    recorder = Recorder(release=release)
    await here.subscribe(listening("workers", recorder, concurrency=2))
    await here.publish_many("asks", [Ask(text=str(number)) for number in range(10)])
    await recorder.messages(2)

    await here.pause("workers")
    assert await in_hand(here, "workers") >= 2
    release.set()
    await replicas(here, "workers", 0)

    assert await in_hand(here, "workers") == 0
    assert len(recorder.contexts) == 2
    await here.resume("workers")
    await recorder.messages(10)
    await settled_all(here, "workers")
    assert len(recorder.contexts) == 10


async def test_a_group_that_is_resumed_while_a_handler_runs_goes_on_at_once(here: Bus) -> None:
    release = asyncio.Event()
    recorder = Recorder(release=release)
    await here.subscribe(listening("workers", recorder, concurrency=2))
    await here.publish("asks", Ask(text="long"))
    await recorder.messages(1)
    await here.pause("workers")
    await here.publish("asks", Ask(text="other"))

    await here.resume("workers")

    await recorder.messages(2)
    release.set()
    await settled_all(here, "workers")


async def test_a_process_that_starts_later_finds_the_pause(site: Site, here: Bus) -> None:
    recorder = Recorder()
    await here.register(listening("workers", recorder))
    await here.pause("workers")
    await here.publish("asks", Ask(text="waits"))
    async with open_bus(site) as later:
        running = await later.subscribe(listening("workers", recorder))
        await replicas(here, "workers", 0)
        assert not running.done
        assert recorder.contexts == []

        await here.resume("workers")
        assert await recorder.messages(1) == [Ask(text="waits")]


async def test_a_paused_subscription_can_be_drained(here: Bus) -> None:
    running = await here.subscribe(listening("workers", Recorder()))
    await here.pause("workers")
    await replicas(here, "workers", 0)

    async with asyncio.timeout(5):
        await running.drain()

    assert running.done


async def test_a_pause_is_found_even_if_nobody_told(
    site: Site, here: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pausing, "LOOK_EVERY_S", 0.05)
    recorder = Recorder()
    await here.subscribe(listening("workers", recorder))
    silent = await site.open()

    await silent.set_paused("workers", True)
    await replicas(here, "workers", 0)
    await silent.set_paused("workers", False)
    await here.publish("asks", Ask(text="again"))

    await recorder.messages(1)


async def test_an_ordered_group_keeps_its_order_over_a_pause(site: Site, here: Bus) -> None:
    recorder = Recorder()
    wanted = listening("workers", recorder, ordered_by="key")
    async with open_bus(site) as there:
        await here.subscribe(wanted)
        await there.subscribe(wanted)
        for number in range(40):
            await here.publish("asks", Ask(text=f"{number:02}"), key="a")
            if number == 10:
                await there.pause("workers")
        await here.resume("workers")
        handled = await recorder.messages(40)

    texts = [ask.text for ask in handled if isinstance(ask, Ask)]
    assert texts == sorted(texts)


async def test_looks_that_overtake_each_other_leave_no_group_paused() -> None:
    """A group was paused and resumed while two looks were on their way."""

    class Slow(MemoryBackend):
        answered = asyncio.Event()

        async def paused(self) -> Sequence[str]:
            found = await super().paused()
            await self.answered.wait()
            return found

    told = list[bool]()
    async with Bus(Slow("slow")) as bus:
        bus._pauses.watch("workers", told.append)
        looks = list[asyncio.Task[object]]()
        for is_paused in (True, False):
            await bus.backend.set_paused("workers", is_paused)
            looks.append(asyncio.create_task(bus._pauses.look()))
            await asyncio.sleep(0)  # it has asked
        Slow.answered.set()
        await asyncio.gather(*looks)

    assert told == [True, False]
