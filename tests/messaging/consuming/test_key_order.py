"""Order and urgency of handling, on every backend, whatever happens to the one who handles."""

import asyncio
from collections import defaultdict
from typing import Any

import pytest

from messaging.bus import Bus
from messaging.client.replay import Range, replay
from messaging.handling.context import Context
from messaging.handling.failure_record import reason_of
from messaging.handling.retry import RetryPolicy
from messaging.wire.message import Message
from tests.messaging.buses import (
    Ask,
    Told,
    dead_letters,
    listening,
    lying_in,
    open_bus,
    settled_all,
    texts_in,
)
from tests.messaging.conftest import Site


class Order(Message):
    customer: str | None
    number: int


class HopelessError(Exception):
    retryable = False


class Log:
    """A handler that tells in which order it was called, and how far it is with each key."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.changed = asyncio.Condition()
        self.held: dict[str, asyncio.Event] = {}

    async def __call__(self, ask: Ask, context: Context) -> None:
        async with self.changed:
            self.calls.append(ask.text)
            self.changed.notify_all()
        if ask.text in self.held:
            await self.held[ask.text].wait()

    def hold(self, text: str) -> asyncio.Event:
        return self.held.setdefault(text, asyncio.Event())

    async def until(self, *texts: str) -> None:
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(lambda: all(text in self.calls for text in texts))


async def lent(bus: Bus, group: str, count: int) -> None:
    """Return once `count` messages are lent to the replicas of `group`."""
    async with asyncio.timeout(10):
        while True:
            topics = await bus.backend.topics()
            if sum(topic.pending.get(group, 0) for topic in topics) >= count:
                return
            await asyncio.sleep(0.005)


async def nobody_works(bus: Bus, group: str) -> None:
    """Return once all replicas of `group` have given back what they were lent, and left."""
    async with asyncio.timeout(10):
        while True:
            if not await bus.backend.consumers(group):
                return
            await asyncio.sleep(0.005)


async def test_a_message_waits_for_the_one_before_it_with_the_same_key(site: Site) -> None:
    log = Log()
    release = log.hold("a1")
    async with open_bus(site) as bus:
        await bus.register(listening("ordered", log, ordered_by="key"))
        for text in ("a1", "a2", "b1", "b2", "none"):
            key = "" if text == "none" else text[0]
            await bus.publish("asks", Ask(text=text), key=key)
        await bus.subscribe(listening("ordered", log, ordered_by="key"))

        await log.until("a1", "b2", "none")
        assert "a2" not in log.calls
        release.set()
        await log.until("a2")


async def test_a_field_of_the_message_orders_too(site: Site) -> None:
    handled: dict[str | None, list[int]] = defaultdict(list)

    async def handle(order: Order, context: Context) -> None:
        await asyncio.sleep(0)
        handled[order.customer].append(order.number)

    async with open_bus(site) as bus:
        await bus.subscribe(listening("ordered", handle, Order, ordered_by="customer"))
        for number in range(60):
            customer = (None, "x", "y")[number % 3]
            await bus.publish("asks", Order(customer=customer, number=number))
        await settled_all(bus, "ordered")

    assert handled["x"] == list(range(1, 60, 3))
    assert handled["y"] == list(range(2, 60, 3))
    assert sorted(handled[None]) == list(range(0, 60, 3))


async def test_a_retry_holds_back_its_key_and_no_other(site: Site) -> None:
    log = Log()
    failing = asyncio.Event()

    async def handle(ask: Ask, context: Context) -> None:
        await log(ask, context)
        if ask.text == "a1" and not failing.is_set():
            raise RuntimeError("not yet")

    patient = RetryPolicy(attempts=255, backoff_s=0.01, factor=1.0)
    wanted = listening("ordered", handle, ordered_by="key", concurrency=1, prefetch=8)
    object.__setattr__(wanted.options, "retry", patient)
    async with open_bus(site) as bus:
        await bus.register(wanted)
        for text in ("a1", "a2", "a3", "a4", "a5", "b1", "b2"):
            await bus.publish("asks", Ask(text=text), key=text[0])
        await bus.subscribe(wanted)

        await log.until("b1", "b2")
        assert not {"a2", "a3"} & set(log.calls)
        failing.set()
        await log.until("a5")
        await settled_all(bus, "ordered")

    calls = [text for text in log.calls if text in ("a2", "a3", "a4", "a5")]
    assert calls == ["a2", "a3", "a4", "a5"]


async def test_a_message_that_is_given_up_lets_its_successors_go(site: Site) -> None:
    log = Log()

    async def handle(ask: Ask, context: Context) -> Told:
        await log(ask, context)
        if ask.text == "a1":
            raise RuntimeError("never")
        return Told(text=ask.text)

    async with open_bus(site) as bus:
        await bus.subscribe(listening("ordered", handle, ordered_by="key", output_topic="told"))
        for text in ("a1", "a2"):
            await bus.publish("asks", Ask(text=text), key="a")

        (letter,) = await dead_letters(bus)
        assert letter.envelope.payload or letter.envelope.message == Ask(text="a1")
        assert (await bus.dead_letters.list())[0].envelope.attempt == 3
        assert await texts_in(bus, "told") == ["a2"]

    assert log.calls == ["a1", "a1", "a1", "a2"]


async def test_a_retry_that_is_given_back_begins_anew(site: Site) -> None:
    log = Log()

    async def handle(ask: Ask, context: Context) -> None:
        await log(ask, context)
        raise RuntimeError("the first time") if len(log.calls) == 1 else HopelessError

    wanted = listening("ordered", handle, ordered_by="key")
    object.__setattr__(wanted.options, "retry", RetryPolicy(attempts=3, backoff_s=60.0))
    async with open_bus(site) as bus:
        await bus.subscribe(wanted)
        await bus.publish("asks", Ask(text="a1"), key="a")
        await log.until("a1")
        await bus.pause("ordered")
        await nobody_works(bus, "ordered")
        await bus.resume("ordered")
        (letter,) = await dead_letters(bus)

    assert [attempt.number for attempt in reason_of(letter).attempts] == [1]


async def test_an_answer_that_can_never_be_stored_lets_the_successors_go(site: Site) -> None:
    async def handle(ask: Ask, context: Context) -> Told:
        return Told(text=ask.text * (5_000 if ask.text == "a1" else 1))

    backend = await site.open(max_envelope_bytes=2_000)
    async with open_bus(site, backend=backend) as bus:
        await bus.subscribe(listening("ordered", handle, ordered_by="key", output_topic="told"))
        for text in ("a1", "a2"):
            await bus.publish("asks", Ask(text=text), key="a")
        assert await texts_in(bus, "told") == ["a2"]
        await dead_letters(bus)


async def test_one_replica_works_and_the_next_goes_on_in_order_when_it_dies(site: Site) -> None:
    one, other = Log(), Log()
    one.hold("a1")
    one.hold("b1")
    async with open_bus(site) as here, open_bus(site) as there:
        await here.register(listening("ordered", one, ordered_by="key"))
        for text in ("a1", "b1", "a2", "a3", "b2"):
            await here.publish("asks", Ask(text=text), key=text[0])
        doomed = await here.subscribe(listening("ordered", one, ordered_by="key"))
        await one.until("a1", "b1")
        await there.subscribe(listening("ordered", other, ordered_by="key"))
        await here.publish("asks", Ask(text="a4"), key="a")

        assert other.calls == []
        await doomed.kill()
        await other.until("a4", "b2")
        await settled_all(there, "ordered")

    assert [text for text in other.calls if text[0] == "a"] == ["a1", "a2", "a3", "a4"]
    assert [text for text in other.calls if text[0] == "b"] == ["b1", "b2"]
    assert one.calls == ["a1", "b1"]


async def test_a_replica_that_leaves_hands_its_work_on_in_order(site: Site) -> None:
    one, other = Log(), Log()
    one.hold("a1")
    async with open_bus(site) as here, open_bus(site) as there:
        leaver = await here.subscribe(
            listening("ordered", one, ordered_by="key", drain_s=0.0, lease_s=30.0)
        )
        await there.subscribe(listening("ordered", other, ordered_by="key", lease_s=30.0))
        texts = [f"a{number}" for number in range(1, 30)]
        for text in texts:
            await here.publish("asks", Ask(text=text), key="a")
        await one.until("a1") if not other.calls else None
        await leaver.drain()
        await other.until("a29")

    assert other.calls[-29:] == texts


@pytest.mark.parametrize("priority", [3, -3])
async def test_what_is_urgent_is_handled_first_of_what_is_at_hand(
    site: Site, priority: int
) -> None:
    log = Log()
    busy = ["busy 1", "busy 2", "busy 3", "busy 4"]
    releases = [log.hold(text) for text in busy]
    async with open_bus(site) as bus, open_bus(site) as sender:
        await bus.subscribe(listening("workers", log, concurrency=4))
        for text in busy:
            await bus.publish("asks", Ask(text=text))
        await log.until(*busy)
        await asyncio.gather(  # the first of a sender: they go out together, and are read together
            sender.publish("asks", Ask(text="usual")),
            sender.publish("asks", Ask(text="other"), priority=priority),
        )
        await lent(bus, "workers", 6)
        releases[0].set()
        await log.until("usual", "other")
        for release in releases:
            release.set()

    expected = ["other", "usual"] if priority > 0 else ["usual", "other"]
    assert log.calls[4:] == expected


async def test_a_priority_survives_retries_and_is_that_of_what_follows(site: Site) -> None:
    seen: list[tuple[int, int]] = []

    async def handle(ask: Ask, context: Context) -> Told:
        seen.append((context.attempt, context.envelope.priority))
        if context.attempt == 1:
            raise RuntimeError("once")
        context.send(Told(text="plain"), "told", priority=0)
        context.send(Told(text="same"), "told")
        return Told(text="answer")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("workers", handle, output_topic="told"))
        await bus.publish("asks", Ask(text="urgent"), priority=7)
        told = await lying_in(bus, "told", 3)

    assert seen == [(1, 7), (2, 7)]
    assert [entry.envelope.priority for entry in told] == [0, 7, 7]


async def test_priorities_outlive_the_replica_that_held_them(site: Site) -> None:
    sent = {"first": 127, "low": -5, "usual": 0, "high": 3}
    one, handled = Log(), dict[str, int]()
    one.hold("first")

    async def handle(ask: Ask, context: Context) -> None:
        handled[ask.text] = context.envelope.priority

    async with open_bus(site) as here, open_bus(site) as there:
        doomed = await here.subscribe(listening("workers", one, concurrency=1))
        for text, priority in sent.items():
            await here.publish("asks", Ask(text=text), priority=priority)
        await one.until("first")
        await lent(here, "workers", 2)
        await doomed.kill()

        await there.subscribe(listening("workers", handle))
        await settled_all(there, "workers")

    assert handled == sent


async def test_what_is_replayed_has_the_priority_it_had(site: Site) -> None:
    log = Log()
    backend = await site.open(keep_settled_s=3600.0)
    async with open_bus(site, backend=backend) as bus:
        wanted = listening("workers", log, concurrency=1)
        running = await bus.subscribe(wanted)
        for text, priority in {"low": -5, "usual": 0, "high": 3}.items():
            await bus.publish("asks", Ask(text=text), priority=priority)
        await settled_all(bus, "workers")
        await running.drain()
        log.calls.clear()

        await replay(backend, "asks", "workers", Range(), types={"Ask"}, really=True)
        entries = await backend.tail({"_retry.workers": ""}, max_count=9, wait_s=0)
        await bus.subscribe(wanted)
        await log.until("low", "usual", "high")
        await settled_all(bus, "workers")

    assert [entry.envelope.priority for entry in entries] == [-5, 0, 3]
    assert sorted(log.calls) == ["high", "low", "usual"]


@pytest.mark.parametrize("priority", [128, -129])
async def test_a_priority_out_of_range_is_refused(site: Site, priority: Any) -> None:
    async with open_bus(site) as bus:
        with pytest.raises(ValueError, match="from -128 to 127"):
            await bus.publish("asks", Ask(text="too much"), priority=priority)
