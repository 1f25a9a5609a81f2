"""Handlings that use one key of the state take turns: they wait, instead of running again."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext

import pytest
import structlog.testing

from messaging.bus import Bus
from messaging.errors import RequestTimeoutError, StateConflictError
from messaging.handling.context import Context
from messaging.state import contention
from messaging.state.circles import Circles
from messaging.state.contender import Contender
from messaging.state.contention import Contention
from messaging.state.key_habits import READS_OF_A_READER
from messaging.testing import eventually
from tests.messaging.buses import (
    Ask,
    Count,
    Told,
    dead_letters,
    listening,
    lying_in,
    open_bus,
    settled_all,
    texts_in,
)
from tests.messaging.conftest import Site


class Counting:
    """A handler that loads a counter, sends a mail and saves the counter; it counts its runs."""

    def __init__(self, key_of: Callable[[Ask], str] = lambda ask: "count") -> None:
        self.runs = 0
        self._key_of = key_of

    async def __call__(self, ask: Ask, context: Context) -> None:
        self.runs += 1
        key = self._key_of(ask)
        counted = await context.state.load(key, Count) or Count()
        context.send(Told(text=ask.text), "told")
        await asyncio.sleep(0)  # let the others load the same version
        context.state.save(key, Count(value=counted.value + 1))


async def count_in(bus: Bus, group: str, key: str = "count") -> int:
    stored = await bus.backend.load_state(group, key)
    return Count.model_validate_json(stored.value).value if stored else 0


@asynccontextmanager
async def buses(site: Site, count: int) -> AsyncIterator[list[Bus]]:
    """As many processes."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_bus(site)) for _ in range(count)]


def without_turn(self: Contention, contender: Contender, key: str) -> None:
    """Instead of `enter`: nothing waits."""


@pytest.mark.parametrize("is_mutant", [False, True])
async def test_each_of_a_hundred_handlings_of_one_counter_runs_once(
    site: Site, monkeypatch: pytest.MonkeyPatch, is_mutant: bool
) -> None:
    if is_mutant:
        monkeypatch.setattr(Contention, "enter", without_turn)
    handler = Counting()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("counter", handler, concurrency=16))

        await bus.publish_many("asks", [Ask(text=str(number)) for number in range(100)])
        await settled_all(bus, "counter")

        assert len(await texts_in(bus, "told", 100)) == 100
        assert await count_in(bus, "counter") == 100
    assert (handler.runs > 100) if is_mutant else (handler.runs == 100)


async def test_plain_handlers_take_turns_too(site: Site) -> None:
    runs, lock = 0, threading.Lock()

    def count(ask: Ask, context: Context) -> None:
        nonlocal runs
        with lock:
            runs += 1
        counted = context.wait_for(context.state.load("count", Count)) or Count()
        context.state.save("count", Count(value=counted.value + 1))

    async with open_bus(site) as bus:
        await bus.subscribe(listening("counter", count, concurrency=8))
        await bus.publish_many("asks", [Ask(text=str(number)) for number in range(40)])
        await settled_all(bus, "counter")

        assert await count_in(bus, "counter") == 40
    assert runs == 40


async def no_turn(self: Contention, contender: Contender, keys: object) -> None:
    """Instead of `_share`: between processes the version alone decides, again and again."""


@pytest.mark.parametrize("is_mutant", [False, True])
async def test_processes_take_turns_at_a_key_after_the_first_conflict(
    site: Site, monkeypatch: pytest.MonkeyPatch, is_mutant: bool
) -> None:
    if is_mutant:
        monkeypatch.setattr(Contention, "_share", no_turn)
    inputs, handler = 300, Counting()
    async with buses(site, 3) as processes:
        bus = processes[0]
        for each in processes:
            await each.subscribe(listening("counter", handler, concurrency=16, prefetch=16))
        with structlog.testing.capture_logs() as logs:
            await bus.publish_many("asks", [Ask(text=str(number)) for number in range(inputs)])
            await settled_all(bus, "counter")

        assert await count_in(bus, "counter") == inputs
        assert len(await lying_in(bus, "told", inputs)) == inputs
        assert not await bus.dead_letters.list()
    conflicts = [log for log in logs if log["event"] == "state.conflict"]
    assert len(conflicts) == handler.runs - inputs
    assert all(log["key"] == "count" and "ordered_by" in log["remedy"] for log in conflicts)
    assert all(log["agent"] == "counter" for log in conflicts)
    if is_mutant:
        assert len(conflicts) > inputs // 10
    else:
        assert len(conflicts) <= inputs // 30


async def test_keys_taken_in_opposite_order_never_wait_in_a_circle(site: Site) -> None:
    async def move(ask: Ask, context: Context) -> None:
        keys = ("left", "right") if int(ask.text) % 2 else ("right", "left")
        counts = []
        for key in keys:
            counts.append(await context.state.load(key, Count) or Count())
            await asyncio.sleep(0)
        for key, counted in zip(keys, counts, strict=True):
            context.state.save(key, Count(value=counted.value + 1))

    async with buses(site, 2) as processes:
        bus = processes[0]
        for each in processes:
            await each.subscribe(listening("mover", move, concurrency=8, prefetch=8))
        await bus.publish_many("asks", [Ask(text=str(number)) for number in range(80)])
        await settled_all(bus, "mover")

        assert not await bus.dead_letters.list()
        assert await count_in(bus, "mover", "left") == 80
        assert await count_in(bus, "mover", "right") == 80


@pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])
async def test_agents_that_ask_each_other_during_their_turns_never_wait_in_a_circle(
    site: Site, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        monkeypatch.setattr(Circles, "waiting", lambda *_: nullcontext())
    together = asyncio.Barrier(2)

    async def ask_the_other(ask: Ask, context: Context) -> Told:
        counted = await context.state.load("count", Count) or Count()
        if ask.text:  # by the caller, not by the other agent
            if context.attempt == 1 and not counted.value:
                await together.wait()
            await context.request(ask.text, Ask(text=""), timeout_s=1.0 if is_mutant else 30.0)
        context.state.save("count", Count(value=counted.value + 1))
        return Told(text=ask.text)

    async with open_bus(site) as bus:
        for name in ("left", "right"):
            await bus.subscribe(listening(name, ask_the_other, topics=(name,)))
        asked = [
            bus.request(here, Ask(text=there), timeout_s=0.5 if is_mutant else 30.0)
            for here, there in (("left", "right"), ("right", "left"))
        ]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        if is_mutant:
            assert all(isinstance(answer, RequestTimeoutError) for answer in answers)
            return
        for name in ("left", "right"):
            await settled_all(bus, name)

        assert answers == [Told(text="right"), Told(text="left")]
        assert not await bus.dead_letters.list()


async def test_handlings_of_different_keys_do_not_wait_for_each_other(site: Site) -> None:
    running, opened = 0, asyncio.Event()

    async def work(ask: Ask, context: Context) -> None:
        nonlocal running
        await context.state.load(ask.text, Count)
        running += 1
        await opened.wait()
        context.state.save(ask.text, Count(value=1))

    async with open_bus(site) as bus:
        await bus.subscribe(listening("worker", work, concurrency=8))
        await bus.publish_many("asks", [Ask(text=str(number)) for number in range(8)])

        await eventually(lambda: running == 8)
        opened.set()


@pytest.mark.parametrize("writes_its_own", [False, True])
async def test_handlings_that_only_read_a_key_do_not_wait_for_each_other_for_long(
    site: Site, writes_its_own: bool
) -> None:
    started, opened = 0, asyncio.Event()

    async def work(ask: Ask, context: Context) -> None:
        nonlocal started
        await context.state.load("settings", Count)
        started += 1
        if started > READS_OF_A_READER:
            await opened.wait()
        if writes_its_own:
            context.state.save(f"own.{ask.text}", Count(value=1))

    async with open_bus(site) as bus:
        await bus.subscribe(listening("reader", work, concurrency=8))
        await bus.publish_many("asks", [Ask(text=str(number)) for number in range(16)])

        await eventually(lambda: started == READS_OF_A_READER + 8)
        opened.set()
        await settled_all(bus, "reader")


async def test_what_reads_most_of_the_time_is_exact_when_it_writes(site: Site) -> None:
    runs = Counter[str]()

    async def book(ask: Ask, context: Context) -> None:
        runs[ask.text] += 1
        booked = await context.state.load("booked", Count) or Count()
        await asyncio.sleep(0)
        if int(ask.text) % 5 == 0:
            context.state.save("booked", Count(value=booked.value + 1))

    async with open_bus(site) as bus:
        await bus.subscribe(listening("booker", book, concurrency=16))
        await bus.publish_many("asks", [Ask(text=str(number)) for number in range(200)])
        await settled_all(bus, "booker")

        assert await count_in(bus, "booker", "booked") == 40
    assert sum(runs.values()) <= 200 + 16  # one conflict makes it wait like a writer


async def test_waiting_for_a_turn_is_not_the_handlers_own_time(site: Site) -> None:
    async def work(ask: Ask, context: Context) -> None:
        counted = await context.state.load("count", Count) or Count()
        await asyncio.sleep(0.1)
        context.state.save("count", Count(value=counted.value + 1))

    async with open_bus(site) as bus:
        await bus.subscribe(listening("slow", work, concurrency=12, timeout_s=0.6))
        await bus.publish_many("asks", [Ask(text=str(number)) for number in range(12)])
        await settled_all(bus, "slow")

        assert await count_in(bus, "slow") == 12
        assert not await bus.dead_letters.list()


async def test_a_handler_may_ask_for_what_uses_the_key_it_has_loaded(site: Site) -> None:
    async def ask_oneself(ask: Ask, context: Context) -> Told:
        seen = await context.state.load("count", Count)
        if ask.text == "inner":
            return Told(text=f"inner {seen}")
        answer = await context.request("asks", Ask(text="inner"), timeout_s=5)
        context.state.save("count", Count(value=1))
        assert isinstance(answer, Told)
        return Told(text=f"outer, {answer.text}")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("self", ask_oneself))

        answer = await bus.request("asks", Ask(text="outer"), timeout_s=10)

    assert answer == Told(text="outer, inner None")


@pytest.mark.parametrize("how", ["fails", "is cancelled", "reads"])
async def test_a_handling_that_does_not_write_gives_its_turn_back(site: Site, how: str) -> None:
    holding = asyncio.Event()
    handled: list[str] = []

    async def work(ask: Ask, context: Context) -> None:
        counted = await context.state.load("count", Count) or Count()
        if ask.text != "first":
            context.state.save("count", Count(value=counted.value + 1))
            handled.append(ask.text)
            return
        holding.set()
        if how == "fails":
            raise StateConflictError("no")
        if how == "is cancelled":
            await asyncio.Event().wait()

    async with open_bus(site) as bus:
        await bus.subscribe(listening("worker", work))
        first = await bus.publish("asks", Ask(text="first"))
        await holding.wait()
        await bus.publish("asks", Ask(text="second"))
        if how == "is cancelled":
            await bus.cancel(first)

        await eventually(lambda: handled == ["second"])


async def test_state_that_is_written_unread_is_written_over_whatever_is_there(site: Site) -> None:
    runs = 0

    async def note(ask: Ask, context: Context) -> None:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0)
        context.state.save("latest", Count(value=int(ask.text)))
        context.state.delete("absent")

    async with buses(site, 2) as processes:
        bus = processes[0]
        for each in processes:
            await each.subscribe(listening("noter", note, concurrency=8, prefetch=8))
        await bus.publish_many("asks", [Ask(text=str(number)) for number in range(60)])
        await settled_all(bus, "noter")

        assert await bus.backend.load_state("noter", "latest") is not None
    assert runs == 60


async def test_timers_of_one_name_set_at_once_run_no_handler_again(site: Site) -> None:
    runs = 0

    async def arm(ask: Ask, context: Context) -> None:
        nonlocal runs
        if ask.text == "due":
            context.send(Told(text="due"), "told")
            return
        runs += 1
        await asyncio.sleep(0)
        context.send(Ask(text="due"), timer="flush", delay_s=0.3)

    async with open_bus(site) as bus:
        await bus.subscribe(listening("flusher", arm, concurrency=16))
        await bus.publish_many("asks", [Ask(text=str(number)) for number in range(50)])

        assert await texts_in(bus, "told", 1) == ["due"]
        await settled_all(bus, "flusher")
        assert len(await lying_in(bus, "told", 1)) == 1
    assert runs == 50


async def test_a_handling_that_loses_in_spite_of_its_turn_is_given_up_in_the_end(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contention, "MOST_LOST_IN_TURN", 3)

    async def spoil_oneself(ask: Ask, context: Context) -> Told:
        counted = await context.state.load("count", Count) or Count()
        context.state.save("count", Count(value=counted.value + 1))
        if ask.text == "outer":
            await context.request("asks", Ask(text="inner"), timeout_s=5)
        return Told(text=ask.text)

    async with open_bus(site) as bus:
        await bus.subscribe(listening("self", spoil_oneself))
        await bus.publish("asks", Ask(text="outer"))

        (letter,) = await dead_letters(bus)

    assert b"StateConflictError" in letter.reason
    assert b"does it ask for something that writes the same key" in letter.reason


async def test_order_and_turns_go_together(site: Site) -> None:
    seen: list[int] = []

    async def work(ask: Ask, context: Context) -> None:
        counted = await context.state.load("count", Count) or Count()
        await asyncio.sleep(0)
        seen.append(int(ask.text))
        context.state.save("count", Count(value=counted.value + 1))

    async with open_bus(site) as bus:
        await bus.subscribe(listening("ordered", work, ordered_by="key", concurrency=8))
        for number in range(40):
            await bus.publish("asks", Ask(text=str(number)), key=str(number % 4))
        await settled_all(bus, "ordered")

        assert await count_in(bus, "ordered") == 40
    assert len(seen) == 40
    for lane in range(4):
        assert [n for n in seen if n % 4 == lane] == sorted(n for n in seen if n % 4 == lane)


async def test_partitions_of_one_group_take_turns_at_its_state(site: Site) -> None:
    handler = Counting()
    async with buses(site, 2) as processes:
        bus = processes[0]
        for each in processes:
            await each.subscribe(
                listening("shared", handler, ordered_by="key", partitions=4, concurrency=8)
            )
        for number in range(60):
            await bus.publish("asks", Ask(text=str(number)), key=str(number % 8))
        await settled_all(bus, "shared")
        await lying_in(bus, "told", 60)

        assert await count_in(bus, "shared") == 60
        assert not await bus.dead_letters.list()
    assert handler.runs <= 60 + 10
