"""How a model runs fastest is measured, and taken only where the model allows it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn

from agents.ml.training import tuning
from agents.ml.training.full import pytorch_full_trainer
from agents.ml.training.measuring import evaluate_checkpoint

CONFIG: dict[str, Any] = {"dataset": "digits", "batch_size": 64, "epochs": 2, "device": "cpu"}

VIEWING = """
from torch import nn

class Viewing(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.head = nn.Linear(256, 10)

    def forward(self, x):
        x = self.conv(x)
        return self.head(x.view(x.size(0), -1))

class Touchy(nn.Module):
    '''Puts out something else in bfloat16.'''

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        out = self.head(x.flatten(1))
        return out + (5 if out.dtype.itemsize == 2 else 0)

class Locked(Touchy):
    def __deepcopy__(self, memo):
        raise TypeError('there is one of me')
"""

Fast = Callable[..., None]


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> Fast:
    """Make every run long enough, and one way of running a model much faster than the others."""

    def choose(*, bf16: bool, channels_last: bool = False) -> None:
        def step(model: nn.Module, task: Any, batch: tuple[Tensor, Tensor]) -> float:
            honest(model, task, batch)
            compute = task._compute
            return 0.1 if (compute.bf16, compute.channels_last) == (bf16, channels_last) else 1.0

        monkeypatch.setattr(tuning, "_step", step)

    honest = tuning._step
    monkeypatch.setattr(tuning, "_LEAST_STEPS", 0)
    monkeypatch.setattr(tuning, "_LEAST_S", 0.0)
    return choose


@pytest.fixture
def viewing(tmp_path: Path) -> str:
    (tmp_path / "viewing.py").write_text(VIEWING)
    return str(tmp_path / "viewing.py")


@pytest.mark.parametrize(
    ("bf16", "channels_last"), [(False, True), (True, False), (True, True), (False, False)]
)
def test_the_fastest_way_is_taken_and_told(
    models: str, runs: str, fast: Fast, bf16: bool, channels_last: bool
) -> None:
    fast(bf16=bf16, channels_last=channels_last)

    result = pytorch_full_trainer(models, "CNN", CONFIG, "tuned", runs)
    measured = evaluate_checkpoint(result["experiment_dir"], split="val")

    assert result["compute"]["precision"] == ("bf16" if bf16 else "fp32")
    assert result["compute"]["layout"] == ("channels_last" if channels_last else "contiguous")
    assert len(result["compute"]["step_s"]) == 4
    assert result["final_evaluation"]["accuracy"] > 0.8
    assert measured["metrics"] == result["final_evaluation"]


def test_a_script_that_views_what_a_convolution_gives_is_left_its_layout(
    viewing: str, runs: str, fast: Fast
) -> None:
    fast(bf16=False, channels_last=True)

    result = pytorch_full_trainer(viewing, "Viewing", CONFIG, "viewing", runs)

    assert result["status"] == "completed"
    assert result["compute"]["layout"] == "contiguous"
    assert "fp32, channels_last" not in result["compute"]["step_s"]


@pytest.mark.parametrize("class_name", ["Touchy", "Locked"])
def test_a_model_that_puts_out_something_else_or_cannot_be_copied_stays_plain(
    viewing: str, runs: str, fast: Fast, class_name: str
) -> None:
    fast(bf16=True)

    result = pytorch_full_trainer(viewing, class_name, CONFIG, "touchy", runs)

    assert result["compute"]["precision"] == "fp32"


def test_what_was_asked_for_by_name_is_not_measured(models: str, runs: str, fast: Fast) -> None:
    fast(bf16=True)

    result = pytorch_full_trainer(models, "MLP", {**CONFIG, "precision": "fp32"}, "asked", runs)

    assert result["compute"] == {"precision": "fp32", "layout": "contiguous", "step_s": {}}


def test_a_short_run_measures_nothing(models: str, runs: str) -> None:
    result = pytorch_full_trainer(models, "CNN", CONFIG, "short", runs)

    assert result["compute"]["step_s"] == {}


def test_measuring_changes_neither_weights_nor_random_numbers(
    models: str, runs: str, fast: Fast
) -> None:
    fast(bf16=False)
    plain = pytorch_full_trainer(models, "CNN", {**CONFIG, "precision": "fp32"}, "plain", runs)

    fast(bf16=False)
    measured = pytorch_full_trainer(models, "CNN", CONFIG, "measured", runs)

    assert len(measured["compute"]["step_s"]) == 4
    assert measured["final_evaluation"] == plain["final_evaluation"]


def test_a_run_that_goes_on_computes_as_it_did(models: str, runs: str, fast: Fast) -> None:
    fast(bf16=True)
    begun = pytorch_full_trainer(models, "CNN", CONFIG, "kept", runs)
    folder = Path(begun["experiment_dir"])
    (folder / "result.json").unlink()
    max((folder / "checkpoints").glob("step_*.pt")).unlink()
    fast(bf16=False)

    resumed = pytorch_full_trainer(models, "CNN", CONFIG, "kept", runs)

    assert resumed["resumed_from_step"] == begun["steps_run"] // 2
    assert resumed["compute"] == begun["compute"]
    assert resumed["final_evaluation"] == begun["final_evaluation"]
