"""An observer that counts is told of many handlings at once, and of each that did not go well."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from structlog.testing import capture_logs

from messaging.handling.context import Context
from messaging.handling.retry import RetryPolicy
from messaging.handling.runner import HandlerRunner
from messaging.handling.watch import Watch
from messaging.observing import Ending, Handled, Handling, Observer, Observers
from messaging.testing import eventually, memory_bus
from messaging.wire.envelope import Envelope
from tests.messaging.buses import Ask, Count, Gate, Told, dead_letters, listening, settled_all, tell
from tests.messaging.conftest import Site
from tests.messaging.test_observing import (
    Witness,
    cancel_itself,
    fail,
    seen_by,
    settle_in_silence,
    site,
)

__all__ = ["site"]

ONCE = RetryPolicy(attempts=1)
TWICE = RetryPolicy(attempts=2, backoff_s=0.01, jitter=0.0)


class Counting(Observer):
    """Remembers what it is told at once and what one by one."""

    def __init__(self) -> None:
        self.many: list[tuple[str, Handled]] = []
        self.epochs_s: list[float] = []
        self.ends: list[tuple[Handling, Ending]] = []

    def handled(self, group: str, handlings: Sequence[Handled], epoch_s: float) -> None:
        self.many += [(group, each) for each in handlings]
        self.epochs_s.append(epoch_s)

    def ended(self, handling: Handling, ending: Ending, token: Any) -> None:
        self.ends.append((handling, ending))

    @property
    def outcomes(self) -> list[str]:
        return [ending.outcome for _, ending in self.ends]

    @property
    def counted(self) -> int:
        return len(self.many)


async def ignore(ask: Ask, context: Context) -> None: ...


async def test_what_goes_well_is_told_at_once_with_what_it_sent_and_when() -> None:
    counting = Counting()
    async with memory_bus(Ask) as bus:
        bus.attach(counting)
        await bus.subscribe(listening("teller", tell))
        began_at = time.time()
        ids = await bus.publish_many("asks", [Ask(text=str(number)) for number in range(30)])
        await settled_all(bus, "teller")
        ended_at = time.time()
        bus.detach(counting)
        await bus.publish("asks", Ask(text="later"))
        await settled_all(bus, "teller")

    assert counting.ends == []
    assert len(counting.epochs_s) < 30
    assert [envelope.id for _, (envelope, *_) in counting.many] == ids
    for group, (_, attempt, outbox, begun_s, ended_s) in counting.many:
        assert (group, attempt) == ("teller", 1)
        assert [sent.type for sent in outbox] == ["Told"]
        epoch_s = counting.epochs_s[0]
        assert began_at - 1 < epoch_s + begun_s <= epoch_s + ended_s < ended_at + 1


async def test_a_later_attempt_that_goes_well_is_told_at_once_too() -> None:
    counting = Counting()

    async def fail_once(ask: Ask, context: Context) -> None:
        if context.attempt == 1:
            raise RuntimeError(ask.text)

    async with memory_bus(Ask, observer=counting) as bus:
        await bus.subscribe(listening("reader", fail_once, retry=TWICE))
        await bus.publish("asks", Ask(text="x"))
        await eventually(lambda: counting.counted == 1)

    assert counting.outcomes == ["retried"]
    assert [attempt for _, (_, attempt, *_) in counting.many] == [2]


@pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])
async def test_seconds_are_those_of_the_handler(
    is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        monkeypatch.setattr("messaging.handling.watch.perf_counter", lambda: 0.0)
    counting, slept_s = Counting(), 0.02

    async def sleep(ask: Ask, context: Context) -> None:
        time.sleep(slept_s)  # noqa: ASYNC251 - a handler that computes

    async with memory_bus(Ask, observer=counting) as bus:
        await bus.subscribe(listening("reader", sleep, concurrency=1))
        await bus.publish_many("asks", [Ask(text="x"), Ask(text="y")])
        await settled_all(bus, "reader")

    took_s = [ended_s - begun_s for _, (_, _, _, begun_s, ended_s) in counting.many]
    assert all(slept_s <= each < 10 for each in took_s) is not is_mutant


async def test_what_fails_is_told_and_not_counted() -> None:
    counting = Counting()
    async with memory_bus(Ask) as bus:
        bus.attach(counting)
        await bus.subscribe(listening("reader", fail, retry=TWICE))
        await bus.publish("asks", Ask(text="x"))
        await dead_letters(bus)
        await settled_all(bus, "reader")

    assert counting.outcomes == ["retried", "dead_lettered"]
    assert [handling.attempt for handling, _ in counting.ends] == [1, 2]
    assert all(type(ending.error) is RuntimeError for _, ending in counting.ends)
    assert all(ending.handled_s is not None for _, ending in counting.ends)
    assert counting.counted == 0


@pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])
async def test_what_a_drain_breaks_off_is_told_and_not_counted(
    is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        monkeypatch.setattr(Watch, "_interrupted", lambda *_: None)
    counting, gate = Counting(), Gate()
    async with memory_bus(Ask) as bus:
        bus.attach(counting)
        running = await bus.subscribe(listening("reader", gate, drain_s=0.0))
        await bus.publish("asks", Ask(text="x"))
        await eventually(lambda: bool(gate.started))
        await running.drain()

    assert counting.outcomes == ([] if is_mutant else ["interrupted"])
    assert counting.counted == 0


async def test_what_swallows_that_it_is_broken_off_is_not_counted() -> None:
    counting, started = Counting(), asyncio.Event()

    async def swallow(ask: Ask, context: Context) -> None:
        started.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async with memory_bus(Ask) as bus:
        bus.attach(counting)
        running = await bus.subscribe(listening("reader", swallow, drain_s=0.0))
        await bus.publish("asks", Ask(text="x"))
        await started.wait()
        await running.drain()

    assert (counting.outcomes, counting.counted) == (["interrupted"], 0)


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
        monkeypatch.setattr(HandlerRunner, "settle", settle_in_silence)
        monkeypatch.setattr(Watch, "_interrupted", lambda *_: None)
    counting = Counting()
    async with memory_bus(Ask) as bus:
        bus.attach(counting)
        await bus.subscribe(listening("reader", cancel_itself, retry=ONCE))
        await bus.publish("asks", Ask(text=text))
        await settled_all(bus, "reader")

    assert counting.outcomes == ([] if is_mutant else outcomes)
    assert counting.counted == (0 if is_mutant else counted)


async def test_what_cannot_be_committed_was_counted_and_is_told_besides(site: Site) -> None:
    counting = Counting()

    async def tell_too_much(ask: Ask, context: Context) -> None:
        context.send(Told(text="x" * 10_000), "told")

    async with seen_by(None, await site.open(max_envelope_bytes=5_000)) as bus:
        bus.attach(counting)
        await bus.subscribe(listening("reader", tell_too_much, retry=ONCE))
        await bus.publish("asks", Ask(text="x"))
        await dead_letters(bus)

    assert (counting.outcomes, counting.counted) == (["dead_lettered"], 1)


async def test_what_conflicts_is_told_besides(site: Site) -> None:
    counting, started, both = Counting(), list[str](), asyncio.Event()

    async def count(ask: Ask, context: Context) -> None:
        value = await context.state.load("count", Count) or Count()
        started.append(ask.text)
        if len(started) == 2:
            both.set()
        await both.wait()
        await context.state.save("count", Count(value=value.value + 1))

    async with seen_by(None, await site.open()) as one, seen_by(None, await site.open()) as two:
        for bus in (one, two):
            bus.attach(counting)
            await bus.subscribe(listening("counters", count, concurrency=1, prefetch=1))
        await one.publish_many("asks", [Ask(text="a"), Ask(text="b")])
        await settled_all(one, "counters")

    assert (counting.outcomes, counting.counted) == (["conflicted"], 3)


@pytest.mark.parametrize("is_attached", [False, True])
async def test_beside_one_that_is_told_of_each_it_is_told_at_once_all_the_same(
    is_attached: bool,
) -> None:
    counting, witness = Counting(), Witness()
    observer = None if is_attached else Observers(counting, witness)
    async with memory_bus(Ask, observer=observer) as bus:
        await bus.subscribe(listening("reader", ignore))
        if is_attached:
            bus.attach(counting)
            bus.attach(witness)
        await bus.publish("asks", Ask(text="x"))
        await settled_all(bus, "reader")

    assert (counting.outcomes, counting.counted, witness.outcomes) == ([], 1, ["handled"])


async def test_what_another_does_not_want_is_counted() -> None:
    class Choosy(Witness):
        def wants(self, envelope: Envelope) -> bool:
            return envelope.key == "wanted"

    counting, choosy = Counting(), Choosy()
    async with memory_bus(Ask, observer=Observers(choosy, counting)) as bus:
        await bus.subscribe(listening("reader", ignore))
        for key in ("", "wanted"):
            await bus.publish("asks", Ask(text="x"), key=key)
        await settled_all(bus, "reader")

    assert (counting.counted, counting.outcomes) == (2, [])
    assert (len(choosy.begins), choosy.outcomes) == (1, ["handled"])


async def test_one_that_raises_while_it_counts_harms_nothing() -> None:
    class Broken(Counting):
        def handled(self, group: str, handlings: Sequence[Handled], epoch_s: float) -> None:
            raise ValueError(group)

    counting = Counting()
    with capture_logs() as logs:
        async with memory_bus(Ask, observer=Observers(Broken(), counting)) as bus:
            await bus.subscribe(listening("reader", ignore))
            for text in "ab":
                await bus.publish("asks", Ask(text=text))
                await settled_all(bus, "reader")

    assert counting.counted == 2
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["observer.failed"]
