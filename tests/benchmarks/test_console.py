"""What it costs to look at a guild is measured in a real browser, or it is said what is missing."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from redis import Redis

from benchmarks.console import browser
from benchmarks.console import measure as console
from benchmarks.console.stages import ALONE, ATTACHED, STAGES, VIEWS
from benchmarks.goals import Goal
from benchmarks.measure import Meter, Round
from benchmarks.server import private_server
from tests.servers import missing


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_a_console_is_measured_from_its_first_page_to_a_guild_at_full_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, little in {"LOADS": 1, "IDLE_S": 0.2, "RATE": 400, "WATCHED_S": 2.0}.items():
        monkeypatch.setattr(console, name, little)
    for name in ("TURNS", "ROUNDS"):
        monkeypatch.setattr(console, name, 1)
    with private_server(tmp_path) as url, Redis.from_url(url) as server:
        async with asyncio.timeout(170):
            report = await console.measure(url, Meter(server), messages=400)

    if report.startswith("skipped"):
        missing(report)
    head, rule, *rows = [line.strip("|").split("|") for line in report.splitlines()]
    assert {len(rule), *map(len, rows)} == {len(head)}
    seen = {row[0].strip(): float(row[2].strip().rstrip("%").replace(",", "")) for row in rows}
    for what in ("first paint, cold cache", "agents are shown", "guild's CPU, a message"):
        assert seen[what] > 0
    for view in VIEWS:
        assert seen[f"guild's CPU: {view} ÷ {ATTACHED}"] > 0
        assert any(what.startswith(view) and what.endswith("last ÷ first") for what in seen)


async def test_without_a_browser_it_is_said_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser, "NAMES", ("no-such-browser",))
    monkeypatch.delenv("CHROMIUM", raising=False)
    with private_server(tmp_path) as url, Redis.from_url(url) as server:
        report = await console.measure(url, Meter(server), messages=400)

    assert report.startswith("skipped: ")
    assert "install" in report


def test_a_stage_is_compared_with_the_one_beside_it_in_the_same_turn() -> None:
    quick, slow = Round(1.0, 0.020, 0.010, 1_000), Round(1.0, 0.021, 0.010, 1_000)
    hit = Round(9.0, 9.0, 9.0, 1_000)
    calm = {stage: [quick, hit] for stage in STAGES} | {VIEWS[0]: [hit, slow]}
    busy = {stage: [_twice(each) for each in rounds] for stage, rounds in calm.items()}

    goals = _by_name(list(console._slowed([calm, busy])))

    assert goals[f"guild's CPU: {VIEWS[0]} ÷ {ATTACHED}"].seen == pytest.approx(1.05)
    assert goals[f"guild's CPU: {ATTACHED} ÷ {ALONE}"].seen == 1.0
    assert goals[f"guild's CPU: {ATTACHED} ÷ {ALONE}"].verdict == "met"


def _twice(one: Round) -> Round:
    return Round(one.wall_s * 2, one.cpu_s * 2, one.server_cpu_s * 2, one.messages)


def _by_name(goals: Sequence[Goal]) -> dict[str, Goal]:
    return {goal.what: goal for goal in goals}
