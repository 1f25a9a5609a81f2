"""Publishes inputs, torments workers, and counts the outcome."""

import asyncio
import random
import time
from dataclasses import dataclass

from tests.reliability.workers.orders import BUS, LEASE_S
from tests.reliability.workers.outcome import Outcome
from tests.reliability.workers.processes import Worker
from tests.reliability.workers.scenario import Scenario, scenario_on

WORKERS = 3
REST_S = 3 * LEASE_S


@dataclass
class Result:
    """What came of the inputs, and how bad the storm was."""

    outcome: Outcome
    kills: int
    stops: int
    took_s: float

    def __str__(self) -> str:
        storm = f"{self.kills} kills, {self.stops} stops of {REST_S:g} s, {self.took_s:.0f} s"
        return f"{storm}: {self.outcome}, {len(self.outcome.overtaken):,} overtaken"


async def storm(
    url: str,
    *,
    inputs: int,
    kills: int,
    seed: int,
    patience_s: float,
    kind: str = BUS,
    partitions: int = 0,
) -> Result:
    """Let `kills` workers die, and as many be stopped as there are two kills.

    Whoever is killed is replaced, whoever is stopped goes on after three leases. With `partitions`
    the workers keep the order of each lane.
    """
    started_at = time.monotonic()
    async with (
        asyncio.timeout(patience_s),
        scenario_on(url, kind=kind, partitions=partitions) as scenario,
    ):
        await scenario.publish(inputs // 2)  # there is always something to do
        await scenario.workers.start(WORKERS)
        publishing = asyncio.create_task(scenario.publish(inputs - inputs // 2))
        stops = await _torment(scenario, inputs, kills=kills, seed=seed)
        await publishing
        outcome = await scenario.outcome(patience_s=patience_s)
    return Result(outcome, kills, stops, time.monotonic() - started_at)


async def _torment(scenario: Scenario, inputs: int, *, kills: int, seed: int) -> int:
    """Spread over the work, so that none of it is spared; how many were stopped."""
    chance = random.Random(seed)
    resting: list[asyncio.Task[None]] = []
    for number in range(1, kills + 1):
        await scenario.told(number * inputs // (kills + 1), timeout_s=3600)
        await asyncio.sleep(chance.uniform(0, 0.05))
        await chance.choice(_working(scenario)).kill()
        await scenario.workers.start(wait=False)
        if number % 2 == 0:
            resting.append(asyncio.create_task(_rest(chance.choice(_working(scenario)))))
    await asyncio.gather(*resting)
    return len(resting)


def _working(scenario: Scenario) -> list[Worker]:
    return [worker for worker in scenario.workers.all if worker.exit_code is None]


async def _rest(worker: Worker) -> None:
    worker.stop()
    await asyncio.sleep(REST_S)
    worker.go_on()
