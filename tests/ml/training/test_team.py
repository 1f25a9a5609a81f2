"""Several processes train as one would, and a team that is killed goes on where it was."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from agents.ml.checkpoints import load_checkpoint
from agents.ml.training import __main__ as command
from tests.ml.training.test_resume import timeless

REPOSITORY = Path(__file__).parents[3]
PAYLOAD: dict[str, Any] = {
    "model_script_path": "models.py",
    "model_class_name": "Plain",
    "trainer_config": {
        "dataset": "digits",
        "batch_size": 50,  # 25 and 25; of the last 7 samples 4 and 3
        "epochs": 2,
        "optimizer": {"type": "AdamW", "params": {"lr": 0.01}},
        "scheduler": {"type": "OneCycleLR", "params": {"max_lr": 0.02}},
        "gradient_clip_norm": 1.0,
        "checkpoint_every_steps": 4,
        "device": "cpu",
    },
    "experiment_name": "run",
    "log_base_dir": "runs",
}
SOURCE = """
import os, signal
from pathlib import Path
import torch
import torch.distributed
from torch import nn

class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.head = nn.Linear(64, 32), nn.Linear(32, 10)
        self.unused = nn.Linear(2, 2)

    def forward(self, x):
        return self.head(self.hidden(x.flatten(1)).relu())

class Normed(Plain):
    '''Cannot be trained on a single sample.'''

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(32)

    def forward(self, x):
        return self.head(self.norm(self.hidden(x.flatten(1))).relu())

class Waiting(Plain):
    '''Tells how long its process would wait for the others.'''

    def forward(self, x):
        group = torch.distributed.group.WORLD._get_backend(torch.device("cpu"))
        Path("wait_s").write_text(str(group.options._timeout.total_seconds()))
        return super().forward(x)

class Dropping(Plain):
    '''Has random numbers and a state of its own, and dies when it is told to.'''

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(32)
        self.steps = 0

    def forward(self, x):
        self.steps += self.training
        if self.steps == int(os.environ.get('DIE_AT', 0)) and os.environ['RANK'] == '1':
            os.kill(os.getpid(), signal.SIGKILL)
        hidden = self.norm(self.hidden(x.flatten(1))).relu()
        return self.head(nn.functional.dropout(hidden, 0.2, self.training))
"""


# Ray listens on all addresses: here there is the loopback alone.
APART = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$0" "$@"')
TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node")


def start(
    folder: Path,
    class_name: str,
    processes: int,
    *,
    launcher: Sequence[str] = TORCHRUN,
    change: Mapping[str, Any] | None = None,
    **environment: str,
) -> int:
    prepare(folder, class_name, change)
    several = [sys.executable, "-m", *launcher, str(processes)] if processes > 1 else []
    is_on_ray = "on_ray" in launcher[0]
    job = [] if is_on_ray else ["-m", "agents.ml.training"]
    program = [*(APART if is_on_ray else []), *(several or [sys.executable]), *job]
    home = {"HOME": str(folder)} if is_on_ray else {}  # for its token
    inherited = {**os.environ, **home, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*program, str(folder)],
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    (folder / "stderr").write_text(done.stderr)
    return done.returncode


def prepare(folder: Path, class_name: str, change: Mapping[str, Any] | None = None) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "models.py").write_text(SOURCE)
    config = {**PAYLOAD["trainer_config"], **(change or {})}
    payload = {**PAYLOAD, "model_class_name": class_name, "trainer_config": config}
    (folder / "job.json").write_text(json.dumps({"job": "train", "payload": payload}))


def result_of(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "job_result.json").read_text())
    return result


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = load_checkpoint(
        max((folder / "runs" / "run" / "checkpoints").glob("step_*.pt"))
    )["model"]
    return weights


@pytest.mark.slow
def test_two_processes_have_the_loss_curve_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # which the command changes
    prepare(tmp_path / "one", "Plain")
    assert command.main([str(tmp_path / "one")]) == 0
    assert start(tmp_path / "two", "Plain", 2) == 0

    assert_same_curve(tmp_path / "two", tmp_path / "one")
    stored = json.loads((tmp_path / "two/runs/run/result.json").read_text())
    assert stored == result_of(tmp_path / "two")


@pytest.mark.long
@pytest.mark.parametrize(
    ("class_name", "processes", "change"),
    [
        ("Plain", 2, {"class_weights": [0.0, 9.0, 1.0, 0.5, 3.0, 0.0, 1.0, 7.0, 1.0, 0.1]}),
        ("Normed", 2, {"batch_size": 3, "epochs": 1}),  # two processes, and three samples
        ("Plain", 3, {"batch_size": 4, "epochs": 1}),  # the third has none
    ],
    ids=["class weights", "a sample too few", "processes too many"],
)
def test_a_step_is_the_same_however_it_is_shared(
    tmp_path: Path, class_name: str, processes: int, change: dict[str, Any]
) -> None:
    assert start(tmp_path / "one", class_name, 1, change=change) == 0
    assert start(tmp_path / "many", class_name, processes, change=change) == 0

    assert_same_curve(tmp_path / "many", tmp_path / "one")


@pytest.mark.long
def test_the_others_wait_for_hours_while_the_first_one_measures(tmp_path: Path) -> None:
    """RETURNN 1621: half an hour, which is usual, is shorter than many a validation."""
    assert start(tmp_path, "Waiting", 2, change={"epochs": 1}) == 0

    assert float((tmp_path / "wait_s").read_text()) >= 12 * 3600


@pytest.mark.long
def test_accelerate_starts_two_processes_with_the_same_result(tmp_path: Path) -> None:
    """Its launcher for GPUs does so on CPUs, too; that for CPUs starts several by MPI alone."""
    accelerate = [
        "accelerate.commands.launch",
        *("--multi_gpu", "--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no"),
        *("--main_process_port=0", "--num_processes"),
    ]
    assert start(tmp_path / "torchrun", "Dropping", 2) == 0
    assert start(tmp_path / "accelerate", "Dropping", 2, launcher=accelerate) == 0

    assert_equal(tmp_path / "accelerate", tmp_path / "torchrun")


def assert_same_curve(ours: Path, theirs: Path) -> None:
    """Up to rounding."""
    records = zip(result_of(ours)["history"], result_of(theirs)["history"], strict=True)
    for record, expected in records:
        assert record["train_loss"] == pytest.approx(expected["train_loss"], rel=1e-3)
        assert record["val_loss"] == pytest.approx(expected["val_loss"], rel=1e-3)
        assert record["lr"] == expected["lr"]
    expected_weights = weights_of(theirs)
    for name, weight in weights_of(ours).items():
        torch.testing.assert_close(weight, expected_weights[name], rtol=1e-2, atol=1e-3)


def assert_equal(ours: Path, theirs: Path) -> None:
    """Bit for bit."""
    histories = [[timeless(r) for r in result_of(each)["history"]] for each in (ours, theirs)]
    assert histories[0] == histories[1]
    expected = weights_of(theirs)
    for name, weight in weights_of(ours).items():
        assert torch.equal(weight, expected[name]), name


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    assert start(folder, "Dropping", 2) == 0
    return folder


@pytest.mark.long
@pytest.mark.parametrize(("die_at", "resumed_from"), [(1, 0), (7, 4), (30, 28), (51, 48)])
def test_a_team_of_which_one_is_killed_ends_like_one_that_was_not(
    whole: Path, tmp_path: Path, die_at: int, resumed_from: int
) -> None:
    assert start(tmp_path, "Dropping", 2, DIE_AT=str(die_at)) != 0
    assert not (tmp_path / "job_result.json").exists()

    assert start(tmp_path, "Dropping", 2) == 0

    assert result_of(tmp_path)["resumed_from_step"] == resumed_from
    assert_equal(tmp_path, whole)
