import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents.research.experiments import ExperimentStore, worker
from agents.research.experiments.recording import STUDY
from tests.research.experiments.samples import trial

_START = """
import os, signal, sys
from pathlib import Path
from agents.research.experiments import ExperimentStore
from tests.research.experiments.samples import trial
with ExperimentStore(Path(sys.argv[1])) as store:
    store.start(store.plan(trial(study=sys.argv[2])).id)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with a trial that a process began, which was killed then, and one of this process."""
    path = tmp_path / "experiments.db"
    subprocess.run([sys.executable, "-c", _START, str(path), STUDY], check=False)
    with ExperimentStore(path) as store:
        store.start(store.plan(trial(2, study=STUDY)).id)
    return path


def test_a_trial_of_a_killed_process_is_known_to_be_abandoned(path: Path) -> None:
    with ExperimentStore(path) as store:
        killed, mine = store.trials()

    assert (killed.status, mine.status) == ("running", "running")
    assert (killed.is_abandoned, mine.is_abandoned) == (True, False)


def test_only_what_is_abandoned_is_interrupted_where_others_may_be_at_work(path: Path) -> None:
    with ExperimentStore(path) as store:
        ended = store.interrupt(STUDY, "its process has ended", abandoned_only=True)

        assert [each.config["width"] for each in ended] == [16]
        assert [each.status for each in store.trials()] == ["interrupted", "running"]


@pytest.mark.parametrize(
    ("change", "is_gone"),
    [
        ({}, False),
        ({3: "4194304"}, True),
        ({4: "1"}, True),
        ({1: "another-boot"}, True),
        ({0: "another-machine"}, False),
        ({2: "pid:[1]"}, False),
    ],
    ids=["alive", "no such process", "number used again", "booted anew", "elsewhere", "container"],
)
def test_a_process_is_gone_only_where_that_is_sure(change: dict[int, str], is_gone: bool) -> None:
    parts = worker.this_worker().split(" ")
    for place, value in change.items():
        parts[place] = value

    assert worker.is_gone(" ".join(parts)) is is_gone


@pytest.mark.parametrize("odd", ["", "x", "a b c d"])
def test_a_worker_that_nobody_knows_is_not_gone(odd: str) -> None:
    assert worker.is_gone(odd) is False


def test_a_process_that_only_waits_to_be_collected_is_gone() -> None:
    child = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], os.environ)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    start = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[19]
    waiting = " ".join([*worker.this_worker().split(" ")[:3], str(child), start])

    assert worker.is_gone(waiting)
    os.waitpid(child, 0)
