"""The benchmarks run, count every message and compare what belongs together."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from redis import Redis

from benchmarks import agents, fence, neighbours, recovery, scale, telemetry
from benchmarks.__main__ import measure
from benchmarks.contestant import ALL, AWAITED, BULK, HANDLED, REQUEST, Contestant, Note
from benchmarks.floor import Floor
from benchmarks.goals import judged
from benchmarks.measure import Meter, Round
from benchmarks.observers import ALL as ALL_TRACES
from benchmarks.observers import HUNDREDTH, METRICS, SAMPLED
from benchmarks.server import private_server
from benchmarks.storage import stored_bytes
from benchmarks.table import Results, table, times
from benchmarks.victim import HANGING_FROM


def test_every_scenario_is_measured_for_whoever_takes_part(tmp_path: Path) -> None:
    with private_server(tmp_path) as url, Redis.from_url(url) as server:
        names = ["Guildbus", "bus beneath", "floor by hand"]
        results = measure(url, names, messages=64, rounds=1)
        stored = asyncio.run(stored_bytes(url, server))

    assert list(results) == list(ALL)
    for by_name in results.values():
        for name in ("Guildbus", "bus beneath"):
            (round_,) = by_name[name]
            assert round_.messages > 0
            assert round_.cpu_s > 0
            assert round_.server_cpu_s > 0
    assert [scenario for scenario in ALL if results[scenario]["floor by hand"]] == list(
        Floor.scenarios
    )
    assert len(results[REQUEST]["Guildbus"][0].latencies_s) == 20
    assert "times the payload" in stored
    assert json.loads(json.dumps(results))[BULK]["Guildbus"]
    assert len(table(results).splitlines()) == 2 + 2 * len(ALL) + len(Floor.scenarios)


class Trailing(Contestant):
    """Has handled everything before the server has been told."""

    scenarios = (HANDLED, BULK)
    is_on_server = False

    def __init__(self) -> None:
        self.asked = 0

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def publish_handled(self, notes: Sequence[Note]) -> None: ...

    async def publish_bulk(self, notes: Sequence[Note]) -> None: ...

    async def unacknowledged(self) -> int:
        self.asked += 1
        return 3 - self.asked


async def test_a_round_lasts_until_the_last_acknowledgement(tmp_path: Path) -> None:
    handled, stored = Trailing(), Trailing()
    with private_server(tmp_path) as url, Redis.from_url(url) as server:
        await Meter(server).run(HANDLED, handled, 64)
        await Meter(server).run(BULK, stored, 64)

    assert (handled.asked, stored.asked) == (3, 0)


async def test_growth_is_measured_per_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = scale.Setting("two of all", topics=2, groups=2, payload_bytes=500)
    waiting = scale.Setting("some waiting", backlog=5_000)
    monkeypatch.setattr(scale, "SETTINGS", (setting, waiting))
    with private_server(tmp_path) as url, Redis.from_url(url) as server:
        async with asyncio.timeout(20):
            measured = await scale.measure(url, Meter(server), messages=64)

    assert "two of all" in measured
    assert "some waiting" in measured


async def test_the_neighbours_of_a_hot_agent_are_compared_with_calm_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "ROUNDS", 2)
    monkeypatch.setattr(neighbours, "PROBES", 3)
    with private_server(tmp_path) as url, Redis.from_url(url) as server:
        async with asyncio.timeout(30):
            report = await neighbours.measure(url, Meter(server), 0)

    rows = [line.strip("|").split("|") for line in report.splitlines()[2:4]]
    assert all(float(cell) > 0 for row in rows for cell in row)
    assert neighbours.slowed_by([(1.0, 2.0), (1.0, 1.5), (2.0, 2.0)]) == 1.5


async def test_agents_are_measured_from_start_to_idleness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "AGENTS", (1, 3))
    monkeypatch.setattr(agents, "IDLE_S", 0.1)
    monkeypatch.setattr(agents, "PUBLISHES", 20)
    with private_server(tmp_path) as url, Redis.from_url(url) as server:
        async with asyncio.timeout(60):
            report = await agents.measure(url, Meter(server), 0)

    head, rule, *rows = [line.strip("|").split("|") for line in report.splitlines()]
    assert len(head) == len(rule)
    assert [row[0].strip() for row in rows] == ["1", "3"]
    assert all(len(row) == len(head) for row in rows)
    assert all(
        float(cell.strip().rstrip("%").replace(",", "")) >= 0 for row in rows for cell in row
    )


async def test_the_fence_is_weighed_against_a_commit_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fence, "PAIRS", 8)
    with private_server(tmp_path) as url, Redis.from_url(url) as server:
        report = await fence.measure(url, Meter(server), 0)

    batches, costs_us = zip(
        *((line.split("|")[1:3]) for line in report.splitlines()[2:]), strict=True
    )
    assert tuple(map(int, batches)) == fence.BATCHES
    assert 0 < int(costs_us[0]) < int(costs_us[1])


def test_a_median_is_told_with_where_it_may_lie_and_no_outlier_moves_it() -> None:
    steady = [float(number) for number in range(101)]
    hit = [*steady[:-3], 1e6, 1e6, 1e6]

    assert fence.median(steady) == fence.median(hit) == (50.0, 40.0, 60.0)
    assert fence.median([1.0, 3.0]) == (2.0, 1.0, 3.0)


async def test_recovery_is_measured_from_the_death_of_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = recovery.Setting("quick", lease_s=4.0, is_elsewhere=True, goal_s=9.0)
    monkeypatch.setattr(recovery, "SETTINGS", (setting,))
    with private_server(tmp_path) as url, Redis.from_url(url) as server:
        measured = await recovery.measure(url, Meter(server), 0, HANGING_FROM + 100)

    held, took_s = (cell.strip() for cell in measured.splitlines()[-1].split("|")[2:4])
    assert int(held) == 100
    assert float(took_s) > 0


def test_a_table_compares_rates_and_for_requests_the_median_latency() -> None:
    ours = Round(1.0, 0.1, 0.05, 1_000)
    theirs = Round(2.0, 0.4, 0.05, 500)
    far_behind = Round(1.0, 0.4, 0.05, 8)
    asked = Round(1.0, 0.1, 0.0, 2, (0.001, 0.001))
    answered_late = Round(1.0, 0.1, 0.0, 2, (0.004, 0.006))

    text = table(
        {
            BULK: {"Guildbus": [ours], "FastStream": [theirs], "taskiq": [], "arq": [far_behind]},
            REQUEST: {"Guildbus in memory": [asked], "autogen-core in memory": [answered_late]},
        }
    )

    lines = text.splitlines()
    assert lines[2] == f"| {BULK} | Guildbus | 1,000 | 100.0 | 50.0 |  |  |  |"
    assert lines[3] == f"| {BULK} | FastStream | 250 | 800.0 | 100.0 |  |  | 4 |"
    assert lines[4].endswith("|  |  | 125 |")
    assert lines[6].endswith("| 5.00 | 5.98 | 5 |")
    assert len(lines) == 7


def test_a_table_without_guildbus_compares_with_nobody() -> None:
    text = table({BULK: {"FastStream": [Round(2.0, 0.4, 0.05, 500)]}})

    assert text.splitlines()[2].endswith("| 100.0 |  |  |  |")


def test_the_bus_beneath_stands_beside_what_the_guild_adds_to_its_processor_time() -> None:
    by_name = {
        "Guildbus": [Round(1.0, 0.11, 0.1, 1_000), Round(1.0, 0.9, 0.1, 1_000)],
        "bus beneath": [Round(1.0, 0.5, 0.1, 1_000), Round(1.0, 0.1, 0.1, 1_000)],
    }

    assert table({BULK: by_name}).splitlines()[3].endswith("| guild +10% CPU |")


def test_rounds_are_compared_with_their_neighbours() -> None:
    ours = [Round(1.0, 0.1, 0.0, 1_000), Round(4.0, 0.1, 0.0, 1_000), Round(8.0, 0.1, 0.0, 1_000)]
    theirs = [Round(2.0, 0.1, 0.0, 1_000), Round(8.0, 0.1, 0.0, 1_000), Round(1.0, 0.1, 0.0, 1_000)]

    assert times(BULK, ours, theirs) == 2


def test_a_goal_is_met_or_missed_by_so_much() -> None:
    ours = [Round(1.0, 0.012, 0.012, 1_000)]
    results: Results = {
        AWAITED: {
            "Guildbus": ours,
            "bus beneath": [Round(1.0, 0.01, 0.012, 1_000)],
            "floor by hand": [Round(1.0, 0.01, 0.01, 2_000)],
            "FastStream": [Round(20.0, 0.4, 0.05, 1_000)],
            "FastStream batches": [Round(5.0, 0.4, 0.05, 1_000)],
            "rusticai": [],
        },
        HANDLED: {
            "Guildbus": ours,
            "FastStream": [Round(20.0, 0.4, 0.05, 1_000)],
            "FastStream batches": [Round(5.0, 0.4, 0.05, 1_000)],
        },
    }

    cells = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in judged(results, 1.1).splitlines()
    ]

    assert [(row[0], *row[2:]) for row in cells[2:]] == [
        ("awaited publish ÷ FastStream", "20.0", "≥ 25.0", "missed by 20.0%"),
        ("the same ÷ its handlers of batches", "5.0", "", ""),
        ("bulk to handled ÷ FastStream's fastest", "5.0", "≥ 4.0", "met"),
        ("share of the floor, awaited", "50%", "≥ 60%", "missed by 10.0 points"),
        ("client CPU, an awaited message", "12.0", "≤ 13.0", "met"),
        ("server CPU, an awaited message", "12.0", "≤ 6.0", "missed by 100.0%"),
        ("p99 beside a hot agent ÷ calm", "1.10", "≤ 1.20", "met"),
        (f"CPU that the guild adds: {AWAITED}", "20%", "≤ 10%", "missed by 10.0 points"),
    ]


async def test_what_telemetry_costs_is_told_of_every_observer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry, "ROUNDS", 1)
    monkeypatch.setattr(telemetry, "A_ROUND", 64)
    monkeypatch.setattr(telemetry, "SCENARIOS", (AWAITED,))
    monkeypatch.setattr(shutil, "which", lambda name: None)  # counting takes minutes
    with private_server(tmp_path) as url, Redis.from_url(url) as server:
        told = await telemetry.measure(url, Meter(server), 0)

    for name in (METRICS, HUNDREDTH, SAMPLED, ALL_TRACES):
        assert f"| {name}" in told
    assert "there is no valgrind here" in told


@pytest.mark.parametrize("observer", ["bare", "off", "metrics"])
def test_what_valgrind_counts_can_be_run_without_it(observer: str) -> None:
    """Where the hooks have changed it says so, and counts nothing wrong."""
    command = [sys.executable, "-m", "benchmarks.instructions", observer, "64"]
    subprocess.run(command, cwd=Path(__file__).parents[2], check=True)
