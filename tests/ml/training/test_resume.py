"""A run that dies anywhere ends like one that did not: these tests really kill processes."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from agents.ml.checkpoints import load_checkpoint
from agents.ml.errors import CheckpointError
from agents.ml.training import __main__ as command
from agents.ml.training.full import pytorch_full_trainer
from agents.ml.training.measuring import evaluate_checkpoint
from tests.ml.training.dying import train_and_die

REPOSITORY = Path(__file__).parents[3]
TIMINGS = {"seconds", "samples_per_s"}
PLACES = {"experiment_dir", "best_checkpoint_path", "resumed_from_step", "history"}

# Everything with a state of its own: dropout, batch norm, momentum, a schedule, early stopping.
CONFIG: dict[str, Any] = {
    "dataset": "digits",
    "batch_size": 64,
    "epochs": 3,
    "gradient_accumulation_steps": 2,
    "optimizer": {"type": "AdamW", "params": {"lr": 0.01}},
    "scheduler": {"type": "OneCycleLR", "params": {"max_lr": 0.02}},
    "early_stopping": {"metric": "val_accuracy", "patience": 5},
    "checkpoint_every_steps": 3,
    "device": "cpu",
}


LINEAR = """
from torch import nn


class Net(nn.Linear):
    def __init__(self):
        super().__init__(2, 2)
"""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    """Sums are the same bit for bit only over the same number of threads."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def uninterrupted(models: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    runs = tmp_path_factory.mktemp("uninterrupted")
    return pytorch_full_trainer(models, "CNN", CONFIG, "run", str(runs))


@pytest.mark.parametrize(
    ("place", "count"),
    [
        ("step", 1),  # before the first checkpoint
        ("step", 8),  # inside the first epoch, after a checkpoint
        ("step", 14),
        ("best", 2),  # the best weights are written, no checkpoint names them
        ("append", 2),  # the line is written, no checkpoint knows it
        ("save", 1),
        ("before result", 1),  # trained to the end, no result written
    ],
)
def test_a_run_killed_anywhere_ends_bit_for_bit_like_one_that_was_not(
    models: str, runs: str, uninterrupted: dict[str, Any], place: str, count: int
) -> None:
    arguments = (models, "CNN", CONFIG, "run", runs)
    assert train_and_die(place, count, pytorch_full_trainer, *arguments) == -signal.SIGKILL

    result = pytorch_full_trainer(*arguments)

    assert_same(result, uninterrupted)


def test_a_run_that_dies_again_and_again_still_ends_the_same(
    models: str, runs: str, uninterrupted: dict[str, Any]
) -> None:
    arguments = (models, "CNN", CONFIG, "run", runs)
    for count in (4, 7, 11):
        assert train_and_die("step", count, pytorch_full_trainer, *arguments) == -signal.SIGKILL

    result = pytorch_full_trainer(*arguments)

    assert_same(result, uninterrupted)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(8))
def test_a_run_killed_at_random_steps_ends_the_same(
    models: str, runs: str, uninterrupted: dict[str, Any], seed: int
) -> None:
    arguments = (models, "CNN", CONFIG, "run", runs)
    places = random.Random(seed)
    for _ in range(3):
        place = places.choice(["step", "step", "step", "save", "best", "append"])
        train_and_die(place, places.randint(1, 12), pytorch_full_trainer, *arguments)

    assert_same(pytorch_full_trainer(*arguments), uninterrupted)


def test_sigterm_saves_a_checkpoint_at_the_very_step(
    models: str, runs: str, uninterrupted: dict[str, Any]
) -> None:
    arguments = (models, "CNN", CONFIG, "run", runs)
    died = train_and_die("step", 13, pytorch_full_trainer, *arguments, by=signal.SIGTERM)
    assert died == 143

    result = pytorch_full_trainer(*arguments)

    assert result["resumed_from_step"] == 13
    assert_same(result, uninterrupted)


@pytest.mark.parametrize("is_ended", [False, True])
def test_data_that_changed_are_another_experiment(
    tmp_path: Path, runs: str, *, is_ended: bool
) -> None:
    """An old result came back for labels that were mended; what was cut short went on with both."""
    (tmp_path / "net.py").write_text(LINEAR)
    table = tmp_path / "t.csv"
    table.write_text("a,b,label\n" + "".join(f"{n},{n % 7},{n % 2}\n" for n in range(200)))
    params = {"data_path": str(table), "label_column": "label"}
    config = {**CONFIG, "dataset": "csv", "dataset_params": params, "batch_size": 8}
    arguments = (str(tmp_path / "net.py"), "Net", config, "run", runs)
    if is_ended:
        pytorch_full_trainer(*arguments)
    else:
        assert train_and_die("step", 14, pytorch_full_trainer, *arguments) == -signal.SIGKILL

    text = table.read_text()
    table.write_text(text.replace("5,5,1", "5,5,0"))
    with pytest.raises(CheckpointError, match="another configuration: data_sha256 differ"):
        pytorch_full_trainer(*arguments)

    table.write_text(text)
    result = pytorch_full_trainer(*arguments)
    assert result["status"] == "completed"
    assert evaluate_checkpoint(result["experiment_dir"])["warnings"] == []
    table.write_text(text.replace("5,5,1", "5,5,0"))
    [warning] = evaluate_checkpoint(result["experiment_dir"])["warnings"]
    assert "may have learned from what is scored here" in warning


def test_what_was_begun_before_data_were_noted_goes_on(
    models: str, runs: str, uninterrupted: dict[str, Any]
) -> None:
    arguments = (models, "CNN", CONFIG, "run", runs)
    train_and_die("step", 14, pytorch_full_trainer, *arguments)
    noted = Path(runs, "run", "config.json")
    config = json.loads(noted.read_text())
    assert config.pop("data_sha256") == ""
    noted.write_text(json.dumps(config))

    result = pytorch_full_trainer(*arguments)

    assert result["resumed_from_step"] > 0
    assert_same(result, uninterrupted)


@pytest.mark.parametrize("forgotten", ["rng", "optimizer", "schedule", "history"])
def test_a_resume_that_forgets_a_part_is_noticed(
    models: str,
    runs: str,
    uninterrupted: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    forgotten: str,
) -> None:
    """The comparison above can fail: each part of a checkpoint matters to it."""
    arguments = (models, "CNN", CONFIG, "run", runs)
    train_and_die("step", 14, pytorch_full_trainer, *arguments)
    with monkeypatch.context() as patch:
        patch.setattr(
            "agents.ml.training.experiment.load_checkpoint", forgetting(forgotten, load_checkpoint)
        )
        result = pytorch_full_trainer(*arguments)

    with pytest.raises(AssertionError):
        assert_same(result, uninterrupted)


def test_a_job_in_a_process_of_its_own_ends_with_its_result(
    models: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payload = {
        "model_script_path": models,
        "model_class_name": "MLP",
        "eval_config": {"dataset": "digits", "device": "cpu"},
    }
    (tmp_path / "good.json").write_text(json.dumps(payload))
    (tmp_path / "bad.json").write_text(json.dumps({**payload, "model_class": "x"}))

    good = run_job("quick_evaluate", tmp_path / "good.json")
    bad = command.main(["quick_evaluate", str(tmp_path / "bad.json")])

    assert good.returncode == 0
    *progress, last = [json.loads(line) for line in good.stdout.splitlines()]
    assert progress[-1]["kind"] == "epoch"
    assert last["result"]["status"] == "completed"
    assert bad == 1
    assert "did you mean 'model_class_name'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("job", "told"),
    [
        ("[]", "expected a mapping"),
        ("{", "JSONDecodeError"),
        ('{"job": [], "payload": {}}', "job.json.job"),
        ('{"job": "train"}', "job.json.payload"),
        ('{"job": "tain", "payload": {}}', "did you mean 'train'?"),
        ('{"job": "train", "payload": {}, "extra": 1}', "job.json.extra"),
    ],
)
def test_a_job_directory_that_asks_for_nothing_is_told_why(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    job: str,
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.json").write_text(job)

    assert command.main([str(tmp_path)]) == 1
    assert told in capsys.readouterr().err


def run_job(job: str, payload: Path) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "agents.ml.training", job, str(payload)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        program, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def assert_same(result: dict[str, Any], expected: dict[str, Any]) -> None:
    """Compare history, metrics.jsonl, weights and measurements, all but the time they took."""
    for name in expected.keys() - PLACES - TIMINGS:
        assert result[name] == expected[name], name
    lines = Path(result["experiment_dir"], "metrics.jsonl").read_text().splitlines()
    expected_lines = [timeless(record) for record in expected["history"]]
    assert [timeless(json.loads(line)) for line in lines] == expected_lines
    ours, theirs = last_checkpoint(result), last_checkpoint(expected)
    assert_equal_weights(ours, theirs)
    assert_equal_weights(best_checkpoint(result), best_checkpoint(expected))
    assert str(ours["optimizer"]) == str(theirs["optimizer"])
    assert torch.equal(ours["rng"][0]["torch"], theirs["rng"][0]["torch"])


def assert_equal_weights(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    for name, weight in theirs["model"].items():
        assert torch.equal(ours["model"][name], weight), name


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in TIMINGS}


def last_checkpoint(result: dict[str, Any]) -> dict[str, Any]:
    return load_checkpoint(max(Path(result["experiment_dir"], "checkpoints").glob("step_*.pt")))


def best_checkpoint(result: dict[str, Any]) -> dict[str, Any]:
    return load_checkpoint(Path(result["best_checkpoint_path"]))


def forgetting(
    part: str, load: Callable[[Path], dict[str, Any]]
) -> Callable[[Path], dict[str, Any]]:
    def forget(path: Path) -> dict[str, Any]:
        state = load(path)
        if part == "rng":
            state["rng"][0]["torch"] = torch.Generator().manual_seed(99).get_state()
        elif part == "optimizer":
            state["optimizer"]["state"] = {}
        elif part == "schedule":
            state["schedule"]["last_epoch"] = 0
        else:
            state["history"] = state["history"][1:]
        return state

    return forget
