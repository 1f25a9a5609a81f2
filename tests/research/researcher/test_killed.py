"""A study on a real server with real trials, killed twenty times."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pytest

from agents.research.experiments import ExperimentStore, store_path
from agents.research.researcher.budget import Budget
from agents.research.researcher.messages import StudyReport, StudyRequest
from messaging.testing import eventually
from tests.research.test_main_job import lives

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[3]
KILLS = 20
REQUEST = StudyRequest(
    name="killed",
    dataset="wine",
    budget=Budget(seconds=None, trials=24),
    folds=3,
)


async def run(folder: Path, kill_after: int | None) -> StudyReport | None:
    """Let the guild work; kill it with all it has started once it has emitted so many items."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with (folder / "stderr.txt").open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.research.researcher.drive", REQUEST.model_dump_json()),
            cwd=folder,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            limit=2**22,
        )
    assert process.stdout is not None
    seen, line = 0, b""
    children: list[psutil.Process] = []
    while more := await process.stdout.readline():
        seen, line = seen + 1, more
        if kill_after is not None and seen >= kill_after:
            with contextlib.suppress(psutil.NoSuchProcess):  # it may end at this very moment
                children = psutil.Process(process.pid).children(recursive=True)
                process.send_signal(signal.SIGKILL)
            break
    await process.wait()
    await eventually(lambda: not any(map(lives, children)), timeout_s=60)
    said: dict[str, Any] = json.loads(line) if line else {"type": ""}
    if said["type"] != "research.study_report":
        assert kill_after is not None, (folder / "stderr.txt").read_text("utf-8")[-2000:]
        return None
    return StudyReport.model_validate(said["fields"])


def results(folder: Path) -> dict[str, tuple[int, int]]:
    """The results of trials; a trial that is run again would write its anew."""
    found = (folder / ".guildbus" / "scores").rglob("result.json")
    return {path.parent.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def recorded(folder: Path) -> dict[str, tuple[Any, ...]]:
    with ExperimentStore(store_path(folder)) as store:
        return {
            t.id: (t.kind, t.parent, t.proposer, t.config, t.seed, t.status, t.metrics, t.note)
            for t in store.trials(REQUEST.name)
        }


async def test_a_study_killed_twenty_times_repeats_and_loses_no_trial_and_reports_the_same(
    tmp_path: Path,
) -> None:
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    for folder in (killed, undisturbed):
        folder.mkdir()
    whole = await run(undisturbed, None)
    assert whole is not None
    random, before = Random(0), results(killed)
    kills = 0
    while kills < KILLS and await run(killed, random.randrange(2, 40)) is None:
        kills += 1
        now = results(killed)
        assert before.items() <= now.items()
        before = now
    report = await run(killed, None)

    assert report is not None
    assert kills >= min(KILLS, 5)
    assert before.items() <= results(killed).items()
    assert recorded(killed) == recorded(undisturbed)
    costs = {"findings": {"__all__": {"cost_s"}}, "seconds": True}
    assert report.model_dump(exclude=costs) == whole.model_dump(exclude=costs)
