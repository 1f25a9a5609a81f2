"""Worker processes die, stop, stall and starve."""

import asyncio
import signal
import time

import pytest

from messaging.handling.failure_record import reason_of
from tests.reliability.fault_matrix.conftest import (
    PATIENCE_S,
    RECOVERY_S,
    SHORT_LEASE_S,
    patience_s,
)
from tests.reliability.workers.handler_faults import STARVES_S
from tests.reliability.workers.orders import (
    AFTER_COMMIT,
    AFTER_READ,
    AFTER_TAKEOVER,
    BEFORE_COMMIT,
    BUS,
    COMMIT_SENT,
    COUNTED,
    GROUP,
    IN_HANDLER,
    STARVED,
    TOTAL,
    Total,
)
from tests.reliability.workers.scenario import Scenario, scenario_on

INPUTS = 400
FEW_INPUTS = 100
ATTEMPTS = 3


@pytest.mark.parametrize(
    ("hold_point", "kind"),
    [
        (AFTER_READ, BUS),
        (AFTER_READ, "early-ack"),
        (IN_HANDLER, BUS),
        (IN_HANDLER, "early-ack"),
        (BEFORE_COMMIT, BUS),
        (BEFORE_COMMIT, "early-ack"),
        (COMMIT_SENT, BUS),
        (COMMIT_SENT, "plain"),
        (AFTER_COMMIT, BUS),
        (AFTER_COMMIT, "early-ack"),
    ],
)
async def test_a_worker_that_is_killed(server_url: str, hold_point: str, kind: str) -> None:
    async with scenario_on(server_url, workers=1, kind=kind) as scenario:
        victim = await scenario.workers.start_one(hold_at=hold_point)
        if hold_point == AFTER_COMMIT:  # it has to have more in hand
            await scenario.publish(INPUTS // 3, handler_fault="dally")
        else:
            await scenario.publish(INPUTS)
        await scenario.held(victim)
        await scenario.server_is_through()

        await victim.kill()

        outcome = await scenario.outcome(patience_s=patience_s(kind))
    outcome.check(within_s=RECOVERY_S, is_mutant=kind != BUS)


@pytest.mark.parametrize("kind", [BUS, "early-ack"])
async def test_all_workers_are_killed_at_once(server_url: str, kind: str) -> None:
    async with scenario_on(server_url, workers=3, kind=kind) as scenario:
        publishing = asyncio.create_task(scenario.publish(INPUTS, handler_fault="dally"))
        await scenario.told(INPUTS // 4)

        await asyncio.gather(*[worker.kill() for worker in scenario.workers.all])

        killed_at = time.monotonic()
        await scenario.workers.start(3, concurrency=64)
        await publishing
        outcome = await scenario.outcome(since_s=killed_at, patience_s=patience_s(kind))
    outcome.check(within_s=10, is_mutant=kind != BUS)


@pytest.mark.parametrize("kind", [BUS, "count-lendings"])
async def test_many_workers_die_with_inputs_that_they_never_began(
    server_url: str, kind: str
) -> None:
    """Each takes over from the one before, and dies before a handler begins on any of it."""
    async with scenario_on(server_url, kind=kind, attempts=ATTEMPTS, fails_every=0) as scenario:
        victim = await scenario.workers.start_one(hold_at=AFTER_READ, hold_on=1)
        await scenario.publish(FEW_INPUTS)
        await victim.held()
        await victim.kill()
        for _ in range(2 * ATTEMPTS):
            victim = await scenario.workers.start_one(wait=False, hold_at=AFTER_TAKEOVER, hold_on=1)
            await victim.held()
            await victim.kill()

        await scenario.workers.start_one()

        outcome = await scenario.outcome(patience_s=patience_s(kind))
        assert bool(await scenario.bus.dead_letters.list()) is (kind != BUS)
    outcome.check(within_s=RECOVERY_S, is_mutant=kind != BUS)


@pytest.mark.parametrize("kind", [BUS, "forget-starts"])
async def test_an_input_that_kills_its_worker(server_url: str, kind: str) -> None:
    """It is given up after so many recorded starts and the first, which is not recorded."""
    async with scenario_on(server_url, kind=kind, attempts=ATTEMPTS, fails_every=0) as scenario:
        worker = await scenario.workers.start_one()
        await scenario.publish(FEW_INPUTS)
        (poison,) = await scenario.publish(1, handler_fault="die")
        await scenario.publish(FEW_INPUTS)
        for _ in range(ATTEMPTS + 1):
            assert await worker.gone() == -signal.SIGKILL
            worker = await scenario.workers.start_one(wait=False)
        if kind != BUS:
            await worker.gone()  # and so on
            return

        scenario.accepted.discard(poison)
        outcome = await scenario.outcome(patience_s=patience_s(kind))
        (letter,) = await scenario.bus.dead_letters.list()
        assert f"was begun {ATTEMPTS} times" in reason_of(letter).text
    outcome.check(within_s=RECOVERY_S)


@pytest.mark.parametrize(
    ("hold_point", "kind"), [(BEFORE_COMMIT, BUS), (BEFORE_COMMIT, "no-fence"), (COMMIT_SENT, BUS)]
)
async def test_a_worker_that_stands_still_for_three_leases(
    server_url: str, hold_point: str, kind: str
) -> None:
    async with scenario_on(server_url, workers=1, kind=kind, lease_s=SHORT_LEASE_S) as scenario:
        victim = await scenario.workers.start_one(hold_at=hold_point)
        await scenario.publish(INPUTS)
        await scenario.held(victim)

        await asyncio.sleep(3 * SHORT_LEASE_S)
        victim.go_on()

        outcome = await scenario.outcome(patience_s=PATIENCE_S)
    outcome.check(within_s=RECOVERY_S, is_mutant=kind != BUS)


@pytest.mark.parametrize("kind", [BUS, "no-fence"])
async def test_an_event_loop_that_is_blocked_for_three_leases(server_url: str, kind: str) -> None:
    async with scenario_on(server_url, workers=1, kind=kind, lease_s=SHORT_LEASE_S) as scenario:
        victim = await scenario.workers.start_one(hold_at=IN_HANDLER, blocks=True)
        await scenario.publish(INPUTS)
        await scenario.held(victim)

        await asyncio.sleep(3 * SHORT_LEASE_S)

        outcome = await scenario.outcome(patience_s=PATIENCE_S)
    outcome.check(within_s=RECOVERY_S, is_mutant=kind != BUS)


@pytest.mark.parametrize("kind", [BUS, "no-retry"])
async def test_a_worker_out_of_memory(server_url: str, kind: str) -> None:
    async with scenario_on(server_url, workers=2, kind=kind, lease_s=SHORT_LEASE_S) as scenario:
        await _starve(scenario, "use up memory")

        outcome = await scenario.outcome(patience_s=patience_s(kind))
    outcome.check(within_s=RECOVERY_S, is_mutant=kind != BUS)


@pytest.mark.parametrize("kind", [BUS, "no-fence"])
async def test_a_worker_out_of_descriptors(server_url: str, kind: str) -> None:
    async with scenario_on(server_url, workers=2, kind=kind, lease_s=SHORT_LEASE_S) as scenario:
        await _starve(scenario, "use up descriptors", is_cut_off=True)

        outcome = await scenario.outcome(patience_s=PATIENCE_S)
    outcome.check(within_s=RECOVERY_S, is_mutant=kind != BUS)


@pytest.mark.parametrize("kind", [BUS, "no-turns"])
async def test_workers_that_count_in_one_place_while_one_is_killed(
    server_url: str, kind: str
) -> None:
    counted = 600
    async with scenario_on(server_url, workers=3, kind=kind, fails_every=0) as scenario:
        publishing = asyncio.create_task(scenario.publish(counted, handler_fault="count"))
        await scenario.told(counted // 3)

        await scenario.workers.all[0].kill()

        await publishing
        outcome = await scenario.outcome(patience_s=PATIENCE_S)
        stored = await scenario.bus.backend.load_state(GROUP, TOTAL)
        letters = await scenario.bus.dead_letters.list()
    assert stored is not None
    assert Total.model_validate_json(stored.value).number == counted
    assert not letters
    runs = sum(worker.heard.count(COUNTED) for worker in scenario.workers.all)
    if kind == BUS:
        outcome.check(within_s=PATIENCE_S)
        assert runs <= 1.1 * counted
    else:
        assert runs > 1.5 * counted


async def _starve(scenario: Scenario, handler_fault: str, *, is_cut_off: bool = False) -> None:
    """Among many inputs, one whose handler leaves its process nothing; until it has enough."""
    await scenario.publish(INPUTS // 2)
    await scenario.publish(1, handler_fault=handler_fault)
    await scenario.publish(INPUTS // 2)
    async with asyncio.timeout(PATIENCE_S):
        while not any(STARVED in worker.heard for worker in scenario.workers.all):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    for kind_of_client in ("normal", "pubsub") * is_cut_off:
        await scenario.command("CLIENT", "KILL", "TYPE", kind_of_client)
    await asyncio.sleep(STARVES_S)
    for worker in scenario.workers.all * is_cut_off:
        await worker.told_of("bus.reconnected")
