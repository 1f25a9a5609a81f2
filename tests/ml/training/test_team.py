"""Several processes train as one would, and a team that is killed goes on where it was."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from agents.ml.checkpoints import load_checkpoint
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
from torch import nn

class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.head = nn.Linear(64, 32), nn.Linear(32, 10)
        self.unused = nn.Linear(2, 2)

    def forward(self, x):
        return self.head(self.hidden(x.flatten(1)).relu())

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


def start(folder: Path, class_name: str, processes: int, **environment: str) -> int:
    folder.mkdir(exist_ok=True)
    (folder / "models.py").write_text(SOURCE)
    job = {"job": "train", "payload": {**PAYLOAD, "model_class_name": class_name}}
    (folder / "job.json").write_text(json.dumps(job))
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(torchrun if processes > 1 else []), "-m", "agents.ml.training"]
    inherited = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(folder)],
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    (folder / "stderr").write_text(done.stderr)
    return done.returncode


def result_of(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "job_result.json").read_text())
    return result


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = load_checkpoint(
        max((folder / "runs" / "run" / "checkpoints").glob("step_*.pt"))
    )["model"]
    return weights


@pytest.mark.slow
def test_two_processes_have_the_loss_curve_of_one(tmp_path: Path) -> None:
    assert start(tmp_path / "one", "Plain", 1) == 0
    assert start(tmp_path / "two", "Plain", 2) == 0

    one, two = result_of(tmp_path / "one"), result_of(tmp_path / "two")
    for ours, theirs in zip(two["history"], one["history"], strict=True):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-3)
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"], rel=1e-3)
        assert ours["lr"] == theirs["lr"]
    theirs_by_name = weights_of(tmp_path / "one")
    for name, ours in weights_of(tmp_path / "two").items():
        torch.testing.assert_close(ours, theirs_by_name[name], rtol=1e-2, atol=1e-3)
    assert json.loads((tmp_path / "two/runs/run/result.json").read_text()) == two


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

    ours, theirs = result_of(tmp_path), result_of(whole)
    assert ours["resumed_from_step"] == resumed_from
    assert [timeless(r) for r in ours["history"]] == [timeless(r) for r in theirs["history"]]
    expected = weights_of(whole)
    for name, weight in weights_of(tmp_path).items():
        assert torch.equal(weight, expected[name]), name
