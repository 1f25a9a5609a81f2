"""Order by key with several replicas at work, on every backend, whatever happens to them."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection

import pytest

from messaging.backend import Backend, StateValue, StateWrite, history_key
from messaging.bus import Bus
from messaging.consuming.partitions import IN_FORCE, in_force
from messaging.errors import BusFullError, RequestFailedError
from messaging.handling.context import Context
from messaging.handling.retry import RetryPolicy
from messaging.handling.subscription import Subscription
from messaging.testing import eventually
from messaging.wire.envelope import payload_of, seal
from messaging.wire.message import Message, decode
from messaging.wire.topic import is_partition, partition_topic_of
from tests.messaging.buses import (
    Ask,
    Told,
    dead_letters,
    listening,
    open_bus,
    settled_all,
    texts_in,
)
from tests.messaging.conftest import Site

CUSTOMERS = 12
PATIENCE_S = 20.0


class Step(Message):
    customer: int
    number: int


class Done(Step):
    """A step as it comes out: once, however often it was handled."""


class Shop:
    """Replicas that handle steps, and what they did: by customer, and by replica."""

    def __init__(self) -> None:
        self.published = 0
        self.by: dict[str, set[int]] = defaultdict(set)
        self.waiting: set[str] = set()
        self.doors = asyncio.Event()
        self.doors.set()
        self._at_work: set[int] = set()

    def replica(self, name: str, **options: object) -> Subscription:
        """A replica that handles behind open doors only."""

        async def handle(step: Step, context: Context) -> None:
            assert step.customer not in self._at_work, "two at once"
            self._at_work.add(step.customer)
            try:
                self.waiting.add(name)
                await self.doors.wait()
                await asyncio.sleep(0)
                self.by[name].add(step.customer)
                context.send(Done(customer=step.customer, number=step.number), "done")
            finally:
                self._at_work.discard(step.customer)

        chosen = {
            "ordered_by": "customer",
            "partitions": 4,
            "lease_s": 1.0,
            "concurrency": 16,
            **options,
        }
        return listening("shop", handle, Step, **chosen)

    async def publish(self, bus: Bus, count: int = 1) -> None:
        for _ in range(count):
            numbers = [Step(customer=c, number=self.published) for c in range(CUSTOMERS)]
            self.published += 1
            await bus.publish_many("asks", numbers)

    async def until_all_work(self, bus: Bus, names: Collection[str]) -> None:
        """Publish until each of these has handled something, and nothing is left."""
        self.by.clear()
        async with asyncio.timeout(PATIENCE_S):
            while not all(self.by[name] for name in names):
                await self.publish(bus)
                await settled_all(bus, "shop")

    async def is_done_in_order(self, bus: Bus) -> bool:
        """Whether each customer's steps came out once each, the one after the other."""
        numbers = list(range(self.published))
        return await done(bus) == dict.fromkeys(range(CUSTOMERS), numbers)


async def done(bus: Bus) -> dict[int, list[int]]:
    """The numbers of the steps that came out, by customer."""
    numbers = defaultdict(list)
    for entry in await bus.backend.tail({"done": ""}, max_count=100_000, wait_s=0):
        step = decode(Done, payload_of(entry.envelope))
        numbers[step.customer].append(step.number)
    return numbers


async def until(is_so: Callable[[], bool]) -> None:
    await eventually(is_so, timeout_s=PATIENCE_S)


async def until_no_consumer(backend: Backend, group: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await backend.consumers(group):  # noqa: ASYNC110 - it is the store that changes
            await asyncio.sleep(0.01)


async def until_in_force(backend: Backend, group: str, count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await in_force(backend.load_state, group)).number != count:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)


async def test_two_replicas_work_at_the_same_time_and_in_order(site: Site) -> None:
    shop = Shop()
    async with open_bus(site) as here, open_bus(site) as there:
        await here.subscribe(shop.replica("one"))
        await there.subscribe(shop.replica("other"))
        await shop.until_all_work(here, ("one", "other"))
        shop.waiting.clear()
        shop.doors.clear()
        await shop.publish(here, 10)
        await until(lambda: shop.waiting == {"one", "other"})
        shop.doors.set()
        await settled_all(here, "shop")

        assert await shop.is_done_in_order(here)


async def test_a_killed_replicas_share_goes_on_where_it_stopped(site: Site) -> None:
    shop = Shop()
    async with open_bus(site) as here, open_bus(site) as there, open_bus(site) as client:
        doomed = [
            await here.subscribe(shop.replica("doomed")),
            await there.subscribe(shop.replica("other")),
        ]
        await shop.until_all_work(client, ("doomed", "other"))
        shop.doors.clear()
        await shop.publish(client, 10)
        await until(lambda: shop.waiting == {"doomed", "other"})
        await doomed[0].kill()
        shop.doors.set()
        await settled_all(client, "shop")

        assert await shop.is_done_in_order(client)


async def test_whoever_routes_may_die_as_well(site: Site) -> None:
    shop = Shop()
    async with open_bus(site) as client:
        for name in ("first", "second", "third"):  # one after the other they lead
            async with open_bus(site) as bus:
                doomed = await bus.subscribe(shop.replica(name))
                await shop.until_all_work(client, (name,))
                shop.doors.clear()
                await shop.publish(client, 5)
                await until(lambda name=name: name in shop.waiting)
                await doomed.kill()
                shop.doors.set()
                await shop.publish(client, 5)
        async with open_bus(site) as bus:
            await bus.subscribe(shop.replica("last"))
            await settled_all(client, "shop")

        assert await shop.is_done_in_order(client)


async def test_replicas_that_come_and_go_share_the_work_anew(site: Site) -> None:
    shop = Shop()
    async with open_bus(site) as client, open_bus(site) as one, open_bus(site) as other:
        stays = await one.subscribe(shop.replica("stays"))
        await shop.until_all_work(client, ("stays",))
        goes = await other.subscribe(shop.replica("goes"))
        await shop.until_all_work(client, ("stays", "goes"))
        publishing = asyncio.create_task(shop.publish(client, 50))
        await goes.drain()
        await publishing
        await settled_all(client, "shop")
        shop.by.clear()
        await shop.publish(client)
        await settled_all(client, "shop")
        await stays.drain()

        assert shop.by.keys() == {"stays"}
        assert await shop.is_done_in_order(client)


@pytest.mark.parametrize(("before", "after"), [(1, 4), (4, 1), (4, 3), (2, 5)])
async def test_another_number_of_partitions_keeps_the_order(
    site: Site, before: int, after: int
) -> None:
    shop = Shop()
    async with open_bus(site) as client, open_bus(site) as old, open_bus(site) as new:
        leaves = await old.subscribe(shop.replica("old", partitions=before))
        await shop.until_all_work(client, ("old",))
        shop.doors.clear()
        await shop.publish(client, 10)
        await until(lambda: "old" in shop.waiting)
        await new.subscribe(shop.replica("new", partitions=after))
        await shop.publish(client, 10)
        leaving = asyncio.create_task(leaves.drain())
        shop.doors.set()
        await leaving
        await shop.publish(client, 10)
        await settled_all(client, "shop")
        shop.by.clear()
        await shop.until_all_work(client, ("new",))

        assert (await in_force(client.backend.load_state, "shop")).number == after
        assert await shop.is_done_in_order(client)


async def test_replicas_of_different_opinion_follow_whoever_leads(site: Site) -> None:
    shop = Shop()
    async with open_bus(site) as client, open_bus(site) as one, open_bus(site) as other:
        first = await one.subscribe(shop.replica("one", partitions=3))
        await shop.until_all_work(client, ("one",))
        await other.subscribe(shop.replica("other", partitions=1))
        await shop.until_all_work(client, ("one", "other"))  # both work, and none for itself
        assert (await in_force(client.backend.load_state, "shop")).number == 3

        await shop.publish(client, 5)
        await first.kill()
        await until_in_force(client.backend, "shop", 1)
        await settled_all(client, "shop")
        assert await shop.is_done_in_order(client)


@pytest.mark.parametrize("present", [None, b"2"])
async def test_partitions_beyond_the_number_in_force_are_emptied_first(
    site: Site, present: bytes | None
) -> None:
    shop = Shop()
    async with open_bus(site) as bus:
        await bus.register(shop.replica("one"))
        lost = seal(Step(customer=0, number=0), partition_topic_of("shop", 6), by_reference=False)
        await bus.backend.append([lost._replace(origin="asks")])  # as after a loss of data
        await bus.publish("asks", Step(customer=0, number=1))
        if present:
            writer = await bus.backend.join("shop")
            await writer.journal(StateWrite(IN_FORCE, present, 0))
            await writer.leave([])

        await bus.subscribe(shop.replica("one", partitions=2))
        await settled_all(bus, "shop")

        assert await done(bus) == {0: [0, 1]}


async def test_a_retry_in_a_partition_holds_back_its_key_and_no_other(site: Site) -> None:
    calls: list[str] = []
    failing = asyncio.Event()

    async def handle(ask: Ask, context: Context) -> None:
        calls.append(ask.text)
        if ask.text == "a1" and not failing.is_set():
            raise RuntimeError("not yet")

    patient = RetryPolicy(attempts=255, backoff_s=0.01, factor=1.0)
    wanted = listening("ordered", handle, ordered_by="key", partitions=2, retry=patient)
    async with open_bus(site) as bus:
        await bus.subscribe(wanted)
        for text in ("a1", "a2", "a3", *(f"b{number}" for number in range(8))):
            await bus.publish("asks", Ask(text=text), key=text if text[0] == "b" else "a")
        await until(lambda: len([text for text in calls if text[0] == "b"]) == 8)
        assert not {"a2", "a3"} & set(calls)
        failing.set()
        await settled_all(bus, "ordered")

    assert [text for text in calls if text in ("a2", "a3")] == ["a2", "a3"]


async def test_a_message_looks_as_if_it_had_come_straight_from_its_topic(site: Site) -> None:
    seen: list[tuple[str, int]] = []
    loads: list[str] = []

    async def handle(ask: Ask, context: Context) -> Told:
        seen.append((context.envelope.published_to, context.attempt))
        if ask.text == "bad" and len(seen) < 5:
            raise RuntimeError("bad")
        return Told(text=ask.text)

    async with open_bus(site) as bus:
        load = bus.backend.load_state

        async def counted(group: str, key: str) -> StateValue | None:
            loads.append(key)
            return await load(group, key)

        bus.backend.load_state = counted  # type: ignore[method-assign]
        await bus.subscribe(listening("ordered", handle, ordered_by="key", partitions=2))
        assert await bus.request("asks", Ask(text="good")) == Told(text="good")
        assert set(loads) <= {IN_FORCE}, "a message that is new has no history"
        with pytest.raises(RequestFailedError):
            await bus.request("asks", Ask(text="bad"))
        (letter,) = await dead_letters(bus)
        assert letter.envelope.published_to == "asks"

        assert await bus.dead_letters.requeue(letter.id)
        await settled_all(bus, "ordered")
        state = await load("ordered", history_key(letter.envelope.id))

    assert seen == [("asks", 1), ("asks", 1), ("asks", 2), ("asks", 3), ("asks", 1)]
    assert state is None, "what was requeued has a history, which its success forgets"


async def test_a_timer_rings_in_its_partition(site: Site) -> None:
    async def handle(ask: Ask, context: Context) -> None:
        for name in ("kept", "called off"):
            context.send(Told(text=name), "told", delay_s=0.2, timer=name)
        if ask.text == "second":
            context.cancel_timer("called off")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("clock", handle, ordered_by="key", partitions=2))
        await bus.publish("asks", Ask(text="first"), key="k")
        await bus.publish("asks", Ask(text="second"), key="k")
        assert await texts_in(bus, "told") == ["kept"]
        await settled_all(bus, "clock")
        assert await texts_in(bus, "told") == ["kept"]


async def test_what_cannot_be_read_is_given_up_and_the_rest_goes_on(site: Site) -> None:
    shop = Shop()
    if site.kind.startswith("memory"):
        pytest.skip("nobody else can write into the memory of this process")
    async with open_bus(site) as bus:
        await bus.register(shop.replica("one"))
        await shop.publish(bus)
        await site.inject("asks", {"h": b"\x07nonsense", "p": b"{}"})
        await shop.publish(bus)
        running = await bus.subscribe(shop.replica("one"))
        await settled_all(bus, "shop")

        (letter,) = await dead_letters(bus)
        assert letter.envelope.published_to == "asks"
        assert await shop.is_done_in_order(bus)
        assert not running._replica._runner.noted, "what is settled is forgotten"


async def test_a_full_partition_holds_the_others_up_until_there_is_room(site: Site) -> None:
    handled: dict[int, list[int]] = defaultdict(list)
    doors = asyncio.Event()

    async def handle(step: Step, context: Context) -> None:
        await doors.wait()
        handled[step.customer].append(step.number)

    backend = await site.open(max_backlog=20)
    async with open_bus(site, backend=backend) as bus:
        await bus.subscribe(
            listening("shop", handle, Step, ordered_by="customer", partitions=2, prefetch=16)
        )
        accepted = 0
        async with asyncio.timeout(PATIENCE_S):
            while accepted < 200:
                try:
                    await bus.publish("asks", Step(customer=accepted % 5, number=accepted))
                    accepted += 1
                except BusFullError:  # the partitions are full, and now the topic is, too
                    doors.set()
                    await asyncio.sleep(0.01)
        assert doors.is_set()
        await settled_all(bus, "shop")

    assert handled == {customer: list(range(customer, 200, 5)) for customer in range(5)}


async def test_a_replica_handles_as_many_at_a_time_as_it_may(site: Site) -> None:
    running, most = 0, 0

    async def handle(ask: Ask, context: Context) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1

    wanted = listening("ordered", handle, ordered_by="key", partitions=4, concurrency=3)
    async with open_bus(site) as bus:
        await bus.subscribe(wanted)
        for number in range(60):
            await bus.publish("asks", Ask(text=str(number)), key=str(number))
        await settled_all(bus, "ordered")

    assert most == 3


async def test_a_paused_group_works_at_no_partition(site: Site) -> None:
    shop = Shop()
    async with open_bus(site) as bus:
        await bus.subscribe(shop.replica("one"))
        await shop.until_all_work(bus, ("one",))
        await bus.pause("shop")
        await until_no_consumer(bus.backend, "shop")
        before = await done(bus)
        await shop.publish(bus, 3)
        assert await done(bus) == before

        await bus.resume("shop")
        await settled_all(bus, "shop")

        assert await shop.is_done_in_order(bus)


async def test_an_unsubscribed_group_leaves_no_partition_behind(site: Site) -> None:
    shop = Shop()
    async with open_bus(site) as bus:
        one = await bus.subscribe(shop.replica("one"))
        await shop.until_all_work(bus, ("one",))
        await one.drain()
        await bus.unsubscribe("shop")

        topics = {info.topic for info in await bus.backend.topics()}

    assert not any(map(is_partition, topics))
