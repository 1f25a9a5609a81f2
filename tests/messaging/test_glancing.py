"""An onlooker is told of some handlings and of whatever fails; all others are counted."""

import asyncio
from collections import Counter
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest

from messaging.bus import Bus
from messaging.glancing import MOST, Glance, Onlooker
from messaging.handling.context import Context
from messaging.handling.observed import ObservedRunner
from messaging.handling.retry import RetryPolicy
from messaging.handling.watched import WatchedRunner
from messaging.observing import Ending, Handling
from messaging.testing import eventually, memory_bus
from tests.messaging.buses import Ask, Count, Gate, Told, dead_letters, listening, settled_all
from tests.messaging.conftest import Site
from tests.messaging.test_observing import Witness, cancel_itself, fail, seen_by, site

__all__ = ["site"]

ONCE = RetryPolicy(attempts=1)
TWICE = RetryPolicy(attempts=2, backoff_s=0.01, jitter=0.0)
ASK = ("ask", "tests")


class Blink(Onlooker):
    """Looks at no handling of which it is not told anyway."""

    def __init__(self) -> None:
        self.glances: dict[str, Glance] = {}
        self.ends: list[tuple[Handling, Ending]] = []

    def glance(self, group: str) -> Glance:
        glance = self.glances.setdefault(group, Glance())
        glance.left = 1_000_000
        return glance

    def ended(self, handling: Handling, ending: Ending, token: Any) -> None:
        self.ends.append((handling, ending))

    @property
    def outcomes(self) -> list[str]:
        return [ending.outcome for _, ending in self.ends]

    @property
    def counted(self) -> int:
        return sum(sum(glance.counts.values()) for glance in self.glances.values())


async def ignore(ask: Ask, context: Context) -> None: ...


async def test_what_goes_well_is_counted_by_type_and_sender() -> None:
    blink = Blink()
    async with memory_bus(Ask) as bus:
        bus.attach(blink)
        await bus.subscribe(listening("reader", ignore))
        await bus.publish_many("asks", [Ask(text=str(number)) for number in range(30)])
        await settled_all(bus, "reader")
        bus.detach(blink)
        await bus.publish("asks", Ask(text="later"))
        await settled_all(bus, "reader")

    assert blink.ends == []
    (((_, sender), count),) = blink.glances["reader"].counts.items()
    assert (sender, count) == (bus.name, 30)


async def test_what_fails_is_told_and_not_counted() -> None:
    blink = Blink()
    async with memory_bus(Ask) as bus:
        bus.attach(blink)
        await bus.subscribe(listening("reader", fail, retry=TWICE))
        await bus.publish("asks", Ask(text="x"))
        await dead_letters(bus)
        await settled_all(bus, "reader")

    assert blink.outcomes == ["retried", "dead_lettered"]
    assert [handling.attempt for handling, _ in blink.ends] == [1, 2]
    assert all(type(ending.error) is RuntimeError for _, ending in blink.ends)
    assert all(ending.handled_s is None for _, ending in blink.ends)
    assert blink.counted == 0


@pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])
async def test_what_a_drain_breaks_off_is_told_and_not_counted(
    is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        monkeypatch.setattr(WatchedRunner, "_broken_off", lambda *_: None)
    blink, gate = Blink(), Gate()
    async with memory_bus(Ask) as bus:
        bus.attach(blink)
        running = await bus.subscribe(listening("reader", gate, drain_s=0.0))
        await bus.publish("asks", Ask(text="x"))
        await eventually(lambda: bool(gate.started))
        await running.drain()

    assert blink.outcomes == ([] if is_mutant else ["interrupted"])
    assert blink.counted == 0


async def test_what_swallows_that_it_is_broken_off_is_not_counted() -> None:
    blink, started = Blink(), asyncio.Event()

    async def swallow(ask: Ask, context: Context) -> None:
        started.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async with memory_bus(Ask) as bus:
        bus.attach(blink)
        running = await bus.subscribe(listening("reader", swallow, drain_s=0.0))
        await bus.publish("asks", Ask(text="x"))
        await started.wait()
        await running.drain()

    assert (blink.outcomes, blink.counted) == (["interrupted"], 0)


@pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])
@pytest.mark.parametrize(
    ("text", "outcomes", "counted"),
    [("and return", [], 1), ("and fail", ["dead_lettered"], 0), ("and wait", ["dead_lettered"], 0)],
)
async def test_a_handler_that_spoils_its_task_is_counted_or_told_once(
    text: str,
    outcomes: list[str],
    counted: int,
    is_mutant: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if is_mutant:
        monkeypatch.setattr(WatchedRunner, "settle", ObservedRunner.settle)
    blink = Blink()
    async with memory_bus(Ask) as bus:
        bus.attach(blink)
        await bus.subscribe(listening("reader", cancel_itself, retry=ONCE))
        await bus.publish("asks", Ask(text=text))
        await settled_all(bus, "reader")

    assert blink.outcomes == outcomes
    assert blink.counted == (0 if is_mutant else counted)


async def test_what_cannot_be_committed_was_counted_and_is_told_besides(site: Site) -> None:
    blink = Blink()

    async def tell_too_much(ask: Ask, context: Context) -> None:
        context.send(Told(text="x" * 10_000), "told")

    async with seen_by(None, await site.open(max_envelope_bytes=5_000)) as bus:
        bus.attach(blink)
        await bus.subscribe(listening("reader", tell_too_much, retry=ONCE))
        await bus.publish("asks", Ask(text="x"))
        await dead_letters(bus)

    assert (blink.outcomes, blink.counted) == (["dead_lettered"], 1)


async def test_what_conflicts_is_told_besides(site: Site) -> None:
    blink, started, both = Blink(), list[str](), asyncio.Event()

    async def count(ask: Ask, context: Context) -> None:
        value = await context.state.load("count", Count) or Count()
        started.append(ask.text)
        if len(started) == 2:
            both.set()
        await both.wait()
        await context.state.save("count", Count(value=value.value + 1))

    async with seen_by(None, await site.open()) as one, seen_by(None, await site.open()) as two:
        for bus in (one, two):
            bus.attach(blink)
            await bus.subscribe(listening("counters", count, concurrency=1, prefetch=1))
        await one.publish_many("asks", [Ask(text="a"), Ask(text="b")])
        await settled_all(one, "counters")

    assert (blink.outcomes, blink.counted) == (["conflicted"], 3)


async def test_with_a_second_one_that_looks_at_each_both_are_told_of_each() -> None:
    blink, witness = Blink(), Witness()
    async with memory_bus(Ask) as bus:
        bus.attach(blink)
        await bus.subscribe(listening("reader", ignore))
        bus.attach(witness)
        await publish_and_settle(bus)
        assert (blink.outcomes, witness.outcomes) == (["handled"], ["handled"])
        bus.detach(witness)
        await publish_and_settle(bus)

    assert (len(blink.ends), len(witness.ends), blink.counted) == (1, 1, 1)


async def publish_and_settle(bus: Bus) -> None:
    await bus.publish("asks", Ask(text="x"))
    await settled_all(bus, "reader")


def test_few_are_all_told() -> None:
    glance = Glance()

    assert all(glance.takes() for _ in range(MOST))


@pytest.mark.parametrize("count", [100, 10_000, 1_000_000])
def test_of_many_a_few_are_told_evenly(count: int) -> None:
    glance = Glance()
    for _ in range(20):  # until it knows how many there are
        told = [number for number in range(count) if glance.takes()]
        glance.begin_anew()

    assert MOST / 4 <= len(told) <= MOST
    steps = Counter(later - sooner for sooner, later in pairwise(told))
    assert len(steps) == 1


def test_after_many_few_are_all_told_again() -> None:
    glance = Glance()
    for _ in range(100_000):
        glance.takes()
    for _ in range(20):
        glance.begin_anew()
        for _ in range(3):
            glance.takes()

    assert all(glance.takes() for _ in range(3))


def test_what_was_counted_is_taken_once() -> None:
    glance = Glance()
    glance.counts[ASK] += 2

    assert glance.begin_anew() == {ASK: 2}
    assert glance.begin_anew() == {}
