"""Only what began may count: deliveries that ended before a handler began condemn no message."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from messaging.backend import Backend, Consumer, Delivery, Settlement, StateWrite, starts_key
from messaging.bus import Bus
from messaging.consuming.partitions import handed_on, in_force
from messaging.errors import LostWorkerError
from messaging.handling.context import Context
from messaging.handling.failure_record import reason_of
from messaging.handling.starts import Starts
from messaging.handling.subscription import Subscription
from messaging.state.steps import Journal
from messaging.testing import PATIENCE_S, eventually
from messaging.wire.topic import partition_of
from tests.messaging.buses import (
    Ask,
    Count,
    Told,
    dead_letters,
    listening,
    open_bus,
    settled_all,
    tell,
    texts_in,
)
from tests.messaging.conftest import Site
from tests.messaging.notes import take

ATTEMPTS = 3
LOSSES = 4 * ATTEMPTS
ASKS = 5

Losing = Callable[[Consumer, Consumer], Awaitable[list[Delivery]]]


async def taken_over(heir: Consumer, victim: Consumer) -> list[Delivery]:
    lent = list[Delivery]()
    while batch := await heir.take_over(victim.incarnation, ASKS):
        lent += batch
    return lent


async def inherited(heir: Consumer, victim: Consumer) -> list[Delivery]:
    await heir.take_over(victim.incarnation, 0)
    assert await heir.lead()
    return await heir.inherit(ASKS)


async def count_lendings(self: Starts, delivery: Delivery, journal: Journal) -> Delivery:
    """The mutant: what was lent so often is taken for what was begun so often."""
    if (
        delivery.redelivery_count > 1
        and delivery.envelope.attempt + delivery.redelivery_count > ATTEMPTS
    ):
        raise LostWorkerError(
            delivery.envelope.type, delivery.envelope.id, delivery.redelivery_count
        )
    return delivery


with_mutant = pytest.mark.parametrize(
    "begin", [Starts.begin, count_lendings], ids=["bus", "mutant"]
)


async def lose_again_and_again(
    backend: Backend, group: str, lose: Losing, partition: int | None = None
) -> None:
    """Consumers that die with what they were lent in their hands, before any of it is begun."""
    victim = await backend.join(group, partition)
    if lose is inherited:
        await victim.lead()
    await take(victim, ASKS)
    for lending in range(1, LOSSES):
        heir = await backend.join(group, partition)
        lent = await lose(heir, victim)
        assert [delivery.redelivery_count for delivery in lent] == [lending] * ASKS
        victim = heir


async def expect_mercy(bus: Bus, team: Subscription, asks: list[str], *, is_mutant: bool) -> None:
    await bus.subscribe(team)
    if is_mutant:
        letters = await dead_letters(bus, ASKS)
        assert {reason_of(letter).error_type for letter in letters} == {"LostWorkerError"}
        return
    assert sorted(await texts_in(bus, "told", ASKS)) == asks
    await settled_all(bus, "team")
    assert not await bus.dead_letters.list()


@with_mutant
@pytest.mark.parametrize("ordered_by", ["", "text"])
async def test_a_message_lent_to_many_that_died_before_it_was_begun_is_handled(
    site: Site, begin: Any, ordered_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Starts, "begin", begin)
    team = listening("team", tell, lease_s=0.6, ordered_by=ordered_by)
    asks = [str(number) for number in range(ASKS)]
    async with open_bus(site) as bus:
        await bus.register(team)
        await bus.publish_many("asks", [Ask(text=text) for text in asks])
        await lose_again_and_again(bus.backend, "team", inherited if ordered_by else taken_over)

        await expect_mercy(bus, team, asks, is_mutant=begin is count_lendings)


@with_mutant
async def test_a_message_of_a_partition_lent_to_many_that_died_is_handled(
    site: Site, begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Starts, "begin", begin)
    team = listening("team", tell, lease_s=0.6, ordered_by="text", partitions=2)
    async with open_bus(site) as bus:
        running = await bus.subscribe(team)
        await in_force_at(bus, 2)
        await running.drain()
        await bus.publish_many("asks", [Ask(text="same")] * ASKS)
        number = await hand_on(bus.backend)
        await lose_again_and_again(bus.backend, "team", inherited, number)

        await expect_mercy(bus, team, ["same"] * ASKS, is_mutant=begin is count_lendings)


async def in_force_at(bus: Bus, number: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await in_force(bus.backend.load_state, "team")).number != number:  # noqa: ASYNC110 - as told by the store
            await asyncio.sleep(0.01)


async def hand_on(backend: Backend) -> int:
    """Route what was asked to its partition, as whoever leads does, and leave; the partition."""
    router = await backend.join("team")
    assert await router.lead()
    settlements = [
        Settlement(delivery, (handed_on(delivery, "team", "text", 2),))
        for delivery in await take(router, ASKS)
    ]
    assert not await router.commit(settlements)
    await router.leave(())
    partition = partition_of(settlements[0].outbox[0].topic)
    assert partition is not None
    return partition[1]


async def test_what_began_is_counted_by_the_group_and_forgotten_with_the_message(
    site: Site,
) -> None:
    seen: list[tuple[int, int]] = []
    state: dict[str, Any] = {}

    async def handle(ask: Ask, context: Context) -> None:
        stored = await bus.backend.load_state("team", starts_key(context.message_id))
        seen.append((context.attempt, int(stored.value) if stored else 0))
        state["id"] = context.message_id
        if len(seen) < 4:
            await asyncio.Future()
        context.send(Told(text=ask.text), "told")

    team = listening("team", handle, lease_s=0.6)
    async with open_bus(site) as bus:
        await bus.register(team)
        await bus.publish("asks", Ask(text="a"))
        for count in range(1, 4):
            running = await bus.subscribe(team)
            await eventually(partial(has, seen, count))
            await running.kill()
        await bus.subscribe(team)

        await texts_in(bus, "told")
        await settled_all(bus, "team")
        assert seen == [(1, 0), (2, 1), (3, 2), (4, 3)]
        assert await bus.backend.load_state("team", starts_key(state["id"])) is None


def has(seen: list[tuple[int, int]], count: int) -> bool:
    return len(seen) == count


async def keep_the_record(self: Starts, *_: Any) -> None:
    """The mutant: what is given back stays counted."""


@pytest.mark.parametrize("take_back", [Starts.take_back, keep_the_record], ids=["bus", "mutant"])
async def test_what_was_given_back_was_not_begun_there(
    site: Site, take_back: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often an agent is restarted while a handler works on what was once taken over."""
    monkeypatch.setattr(Starts, "take_back", take_back)
    started = asyncio.Event()
    is_over = False

    async def handle(ask: Ask, context: Context) -> None:
        started.set()
        if not is_over:
            await asyncio.Future()
        context.send(Told(text=str(context.attempt)), "told")

    team = listening("team", handle, lease_s=0.6, drain_s=0.0)
    async with open_bus(site) as bus:
        await bus.register(team)
        await bus.publish("asks", Ask(text="long"))
        victim = await bus.backend.join("team")
        await take(victim, 1)
        for _ in range(ATTEMPTS):
            running = await bus.subscribe(team)
            await started.wait()
            started.clear()
            await running.drain()
        is_over = True
        if take_back is keep_the_record:
            await bus.subscribe(team)
            await dead_letters(bus)
            return
        await bus.subscribe(team)

        assert await texts_in(bus, "told") == ["2"]
        await settled_all(bus, "team")
        assert not await bus.dead_letters.list()


async def test_a_conflict_is_no_further_start_of_what_was_taken_over(site: Site) -> None:
    conflicts = 2 * ATTEMPTS

    async def handle(ask: Ask, context: Context) -> None:
        nonlocal conflicts
        await context.state.load("count", Count)
        await context.state.save("count", Count(value=conflicts))
        if conflicts:
            conflicts -= 1
            await interfere(bus.backend)
        context.send(Told(text=str(context.attempt)), "told")

    team = listening("team", handle, lease_s=0.6)
    async with open_bus(site) as bus:
        await bus.register(team)
        await bus.publish("asks", Ask(text="contended"))
        await take(await bus.backend.join("team"), 1)
        await bus.subscribe(team)

        assert await texts_in(bus, "told") == ["2"]
        await settled_all(bus, "team")
        assert not await bus.dead_letters.list()


async def interfere(backend: Backend) -> None:
    """Write what the handler has read."""
    rival = await backend.join("team")
    present = await backend.load_state("team", "count")
    await rival.journal(StateWrite("count", b'{"value":0}', present.version if present else 0))
    await rival.leave(())
