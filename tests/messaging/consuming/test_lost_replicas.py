"""A handling has its effects once, whatever happens to the replica, the store or the loop."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from messaging.backend import Backend, Consumer, Delivery, Incident, Settlement
from messaging.errors import (
    BackendUnavailableError,
    BusFullError,
)
from messaging.handling.context import Context
from messaging.handling.failure_record import reason_of
from messaging.handling.runner import HandlerRunner
from messaging.handling.settlement import RetryInPlace
from messaging.handling.worker_slot import WorkerSlot
from messaging.testing import Recorder, eventually
from tests.messaging.buses import (
    Ask,
    Gate,
    Told,
    dead_letters,
    listening,
    lying_in,
    open_bus,
    settled_all,
    tell,
    texts_in,
)
from tests.messaging.conftest import Site


async def test_what_a_dead_replica_held_is_handled_by_another_exactly_once(site: Site) -> None:
    stuck = Gate()
    async with open_bus(site) as one, open_bus(site) as two:
        victim = await one.subscribe(listening("team", stuck, lease_s=1.0))
        await one.publish_many("asks", [Ask(text=str(number)) for number in range(5)])
        await eventually(lambda: len(stuck.started) == 5)

        await victim.kill()
        await two.subscribe(listening("team", tell, lease_s=1.0))

        told = await texts_in(two, "told", 5)
        await settled_all(two, "team")
        assert sorted(told) == [str(number) for number in range(5)]
        assert len(await lying_in(two, "told", 5)) == 5


async def test_a_replica_that_was_taken_over_drops_its_results_and_comes_back(site: Site) -> None:
    gate = Gate()
    incidents: list[Incident] = []
    async with open_bus(site) as bus:
        bus.listen(incidents.append)
        await bus.subscribe(listening("team", gate))
        await bus.publish("asks", Ask(text="once"))
        await eventually(lambda: len(gate.started) == 1)
        thief = await bus.backend.join("team")
        (fenced,) = [name for name in await thief.beat() if name != thief.incarnation]

        (stolen,) = await thief.take_over(fenced, 10)
        await eventually(lambda: gate.cancelled == 1)
        await thief.leave([stolen])
        gate.opened.set()

        assert await texts_in(bus, "told") == ["once"]
        await settled_all(bus, "team")
        assert len(await lying_in(bus, "told")) == 1
        assert gate.started[0].cancelled
        assert "fenced" in [incident.event for incident in incidents]


async def test_a_blocked_loop_notices_that_it_was_taken_over(site: Site) -> None:
    gate, backend = Gate(), Watched(await site.open())
    async with open_bus(site, backend=backend) as slow, open_bus(site) as quick:
        await slow.subscribe(listening("team", gate, lease_s=1.0))
        await slow.publish("asks", Ask(text="once"))
        await eventually(lambda: len(gate.started) == 1)
        (victim,) = backend.joined
        # What a blocked loop is to the others: no beats. It goes on once it was taken over.
        victim.beat = _never  # type: ignore[method-assign]

        await quick.subscribe(listening("team", tell, lease_s=1.0))

        assert await texts_in(quick, "told") == ["once"]
        gate.opened.set()
        await settled_all(quick, "team")
        assert len(await lying_in(quick, "told")) == 1


async def _never() -> Mapping[str, int]:
    return await asyncio.Future()


class Watched:
    """A backend that shows the consumers that have joined it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.joined: list[Consumer] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    async def join(self, group: str, partition: int | None = None) -> Consumer:
        consumer = await self._backend.join(group, partition)
        self.joined.append(consumer)
        return consumer


class Failing(Watched):
    """A backend whose consumers fail to commit as often as they are told to."""

    def __init__(self, backend: Backend, error: Exception, times: int) -> None:
        super().__init__(backend)
        self.error = error
        self.times = times

    async def join(self, group: str, partition: int | None = None) -> Consumer:
        consumer = await super().join(group, partition)
        commit = consumer.commit

        async def failing_commit(settlements: Sequence[Settlement]) -> list[int]:
            if self.times > 0:
                self.times -= 1
                raise self.error
            return await commit(settlements)

        consumer.commit = failing_commit  # type: ignore[method-assign]
        return consumer


async def test_an_outage_past_the_deadline_is_survived_under_a_new_name(site: Site) -> None:
    failing = Failing(await site.open(), BackendUnavailableError("gone"), times=1)
    incidents: list[Incident] = []
    async with open_bus(site, backend=failing) as bus:
        bus.listen(incidents.append)
        await bus.subscribe(listening("team", tell))

        await bus.publish_many("asks", [Ask(text=str(number)) for number in range(5)])

        told = await texts_in(bus, "told", 5)
        await settled_all(bus, "team")
        assert sorted(told) == [str(number) for number in range(5)]
        assert [incident.event for incident in incidents] == ["backend_away", "takeover"]


async def test_a_full_topic_holds_the_commit_until_there_is_room(site: Site) -> None:
    failing = Failing(await site.open(), BusFullError("told is full"), times=4)
    calls = 0

    async def count(ask: Ask, context: Context) -> None:
        nonlocal calls
        calls += 1
        context.send(Told(text=ask.text), "told")

    async with open_bus(site, backend=failing) as bus:
        await bus.subscribe(listening("team", count))

        await bus.publish_many("asks", [Ask(text="a"), Ask(text="b")])

        assert sorted(await texts_in(bus, "told", 2)) == ["a", "b"]
        assert calls == 2


async def test_a_result_too_large_to_store_fails_alone(site: Site) -> None:
    async def grow(ask: Ask, context: Context) -> Told:
        return Told(text=ask.text * 100)

    if site.kind == "memory":
        pytest.skip("messages by reference have no size")
    backend = await site.open(max_envelope_bytes=5_000)
    async with open_bus(site, backend=backend) as bus:
        await bus.subscribe(listening("grower", grow, output_topic="told"))

        await bus.publish_many("asks", [Ask(text="x" * 100), Ask(text="y")])

        (letter,) = await dead_letters(bus)
        assert reason_of(letter).error_type == "PayloadTooLargeError"
        assert await texts_in(bus, "told") == ["y" * 100]


@pytest.mark.parametrize("attempts", [1, 4])
async def test_a_message_that_kills_its_process_dies_after_exactly_so_many_starts(
    site: Site, attempts: int
) -> None:
    """Those that are recorded and the first, which is not. Its neighbours are handled."""
    starts = 0
    crashed = asyncio.Event()

    async def handle(ask: Ask, context: Context) -> None:
        nonlocal starts
        if ask.text == "poison":
            starts += 1
            crashed.set()
            await asyncio.Future()
        if context.attempt <= min(2, attempts):
            await asyncio.Future()  # neighbours are not done before the process dies
        context.send(Told(text=ask.text), "told")

    retry = listening("x", handle).options.retry
    from dataclasses import replace  # noqa: PLC0415

    async with open_bus(site) as bus:
        subscription = listening(
            "team", handle, lease_s=0.6, retry=replace(retry, attempts=attempts)
        )
        await bus.register(subscription)
        await bus.publish_many("asks", [Ask(text="a"), Ask(text="poison"), Ask(text="b")])

        for _ in range(attempts + 1):
            running = await bus.subscribe(subscription)
            async with asyncio.timeout(20):
                await crashed.wait()
            crashed.clear()
            await running.kill()
        await bus.subscribe(subscription)

        (letter,) = await dead_letters(bus)
        assert letter.envelope.type == "Ask"
        reason = reason_of(letter)
        assert reason.error_type == "LostWorkerError"
        times = "once" if attempts == 1 else f"{attempts} times"
        assert f"was begun {times}" in reason.text
        assert starts == attempts + 1
        assert sorted(await texts_in(bus, "told", 2)) == ["a", "b"]


# -- a mutant that has to fail -------------------------------------------------------------------


async def test_acknowledging_before_handling_would_lose_the_message_of_a_crash(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first test proves something: this replica fails it."""

    handle = HandlerRunner.handle

    async def acknowledge_first(
        self: HandlerRunner, delivery: Delivery, slot: WorkerSlot
    ) -> Settlement | RetryInPlace:
        await slot.consumer.commit([Settlement(delivery)])
        return await handle(self, delivery, slot)

    stuck, later = Gate(), Recorder()
    async with open_bus(site) as one, open_bus(site) as two:
        with monkeypatch.context() as mutant:
            mutant.setattr(HandlerRunner, "handle", acknowledge_first)
            victim = await one.subscribe(listening("team", stuck, lease_s=1.0))
            await one.publish("asks", Ask(text="lost"))
            await eventually(lambda: len(stuck.started) == 1)
            await victim.kill()
        await two.subscribe(listening("team", later, lease_s=1.0))
        await settled_all(two, "team")

        await two.publish("asks", Ask(text="next"))

        assert await later.messages(1) == [Ask(text="next")]
