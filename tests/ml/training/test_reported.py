"""What users of other trainers reported as wrong, asked of this one. Each names a public report."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from agents.ml.checkpoints import load_checkpoint
from agents.ml.data import load_dataset
from agents.ml.errors import CheckpointError
from agents.ml.models.script import build_model
from agents.ml.training.full import pytorch_full_trainer
from tests.ml.training.dying import train_and_die

SGD: dict[str, Any] = {"type": "SGD", "params": {"lr": 0.1}}
CONFIG: dict[str, Any] = {
    "dataset": "digits",
    "batch_size": 64,
    "epochs": 2,
    "optimizer": SGD,
    "device": "cpu",
}
UNEVEN = [0.0, 9.0, 1.0, 0.5, 3.0, 0.0, 1.0, 7.0, 1.0, 0.1]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def steady(models: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The models without dropout: what they learn depends on samples alone."""
    path = tmp_path_factory.mktemp("steady") / "models.py"
    path.write_text(Path(models).read_text().replace("nn.Dropout(0.1)", "nn.Identity()"))
    return str(path)


def weights_of(result: dict[str, Any]) -> torch.Tensor:
    newest = max(Path(result["experiment_dir"], "checkpoints").glob("step_*.pt"))
    return torch.cat([weight.flatten() for weight in load_checkpoint(newest)["model"].values()])


@pytest.mark.parametrize(
    "change",
    [
        {},  # Lightning 19987: the last window of an epoch is scaled as if it were full
        {"class_weights": UNEVEN},  # pytorch 72047: a mean of weighted means is another mean
        {"class_weights": UNEVEN, "label_smoothing": 0.1},
        {"gradient_clip_norm": 0.05},  # transformers 1563: clipped at each batch, not at each step
        # Each of its steps makes the rounding of sums in another order larger.
        {"epochs": 1, "optimizer": {"type": "LBFGS", "params": {"lr": 0.1, "max_iter": 2}}},
    ],
    ids=lambda change: ", ".join(name for name in change if name != "epochs") or "plain",
)
def test_a_step_is_the_same_in_one_batch_or_in_many(
    steady: str, runs: str, change: dict[str, Any]
) -> None:
    large, small = (
        pytorch_full_trainer(steady, "MLP", {**CONFIG, **change, **size}, name, runs)
        for name, size in (
            ("large", {"batch_size": 60}),
            ("small", {"batch_size": 10, "gradient_accumulation_steps": 6}),
        )
    )

    assert small["steps_run"] == large["steps_run"]
    for ours, theirs in zip(small["history"], large["history"], strict=True):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-4)
    torch.testing.assert_close(weights_of(small), weights_of(large), rtol=1e-3, atol=1e-5)


def test_weights_of_classes_count_in_batches_of_one_too(steady: str, runs: str) -> None:
    """pytorch 50528: divided by its own weight, a sample alone weighs what any other does."""
    weights = {"class_weights": UNEVEN}
    whole, single = (
        pytorch_full_trainer(steady, "MLP", {**CONFIG, "epochs": 1, **size, **weights}, name, runs)
        for name, size in (
            ("whole", {"batch_size": 16}),
            ("single", {"batch_size": 1, "gradient_accumulation_steps": 16}),
        )
    )

    torch.testing.assert_close(weights_of(single), weights_of(whole), rtol=1e-3, atol=1e-5)


def test_a_step_of_classes_that_weigh_nothing_is_no_divergence(steady: str, runs: str) -> None:
    """Its weighted mean would be 0 / 0."""
    config = {**CONFIG, "batch_size": 2, "epochs": 1, "class_weights": [0.0] * 9 + [1.0]}

    result = pytorch_full_trainer(steady, "MLP", config, "rare", runs)

    assert result["status"] == "completed"
    assert 0 <= result["history"][0]["train_loss"] < 5


@pytest.mark.parametrize("accumulate", [1, 4])
def test_a_schedule_moves_with_steps_and_comes_to_its_end(
    steady: str, runs: str, accumulate: int
) -> None:
    """accelerate 963, burn 5695: moved with each batch, it ends early or runs over its length."""
    schedule = {"type": "OneCycleLR", "params": {"max_lr": 0.1, "final_div_factor": 1e4}}
    change = {"scheduler": schedule, "gradient_accumulation_steps": accumulate}

    result = pytorch_full_trainer(steady, "MLP", {**CONFIG, **change}, "cycle", runs)

    assert result["history"][-1]["lr"] == pytest.approx(0.1 / 25 / 1e4, rel=0.01)
    assert result["history"][0]["lr"] > 0.05


@pytest.mark.parametrize(
    "change",
    [
        # Lightning 14699: a plateau that goes on begins its count anew.
        {"scheduler": {"type": "ReduceLROnPlateau", "params": {"patience": 1, "factor": 0.5}}},
        # A patience that goes on begins its count anew, or is 0.
        {"early_stopping": {"metric": "val_accuracy", "patience": 3}},
        # accelerate 4071, ms-swift 10050: the order of another epoch, samples seen twice.
        {"scheduler": {"type": "CosineAnnealingLR"}},
    ],
    ids=["plateau", "patience", "order"],
)
@pytest.mark.parametrize(
    ("place", "count"), [("save", 2), ("step", 27)], ids=["between epochs", "inside an epoch"]
)
def test_a_run_that_goes_on_remembers_what_it_was_counting(
    steady: str, runs: str, change: dict[str, Any], place: str, count: int
) -> None:
    """verl 7401: taken up between two epochs, the next one is left out."""
    still = {"type": "SGD", "params": {"lr": 1e-6}}
    config = {**CONFIG, "epochs": 6, "optimizer": still, **change}
    whole = pytorch_full_trainer(steady, "MLP", config, "whole", runs)
    arguments = (steady, "MLP", config, "cut", runs)
    assert train_and_die(place, count, pytorch_full_trainer, *arguments) == -signal.SIGKILL

    resumed = pytorch_full_trainer(*arguments)

    assert resumed["resumed_from_step"] > 0
    assert resumed["epochs_run"] == whole["epochs_run"]
    assert [r["lr"] for r in resumed["history"]] == [r["lr"] for r in whole["history"]]
    assert [r["train_loss"] for r in resumed["history"]] == [
        r["train_loss"] for r in whole["history"]
    ]
    assert torch.equal(weights_of(resumed), weights_of(whole))


def test_a_validation_loss_is_that_of_all_samples(steady: str, runs: str) -> None:
    """keras 13591, netspresso 360: the mean of batches, or the last one, is told instead."""
    result = pytorch_full_trainer(steady, "MLP", {**CONFIG, "epochs": 1}, "mean", runs)

    model = build_model(steady, "MLP")
    model.load_state_dict(load_checkpoint(Path(result["best_checkpoint_path"]))["model"])
    val = load_dataset("digits", {}).split("val")
    inputs, labels = val.batch(torch.arange(len(val)))
    with torch.no_grad():
        expected = float(functional.cross_entropy(model.eval()(inputs), labels))
    assert result["history"][0]["val_loss"] == pytest.approx(expected, rel=1e-5)


def test_the_best_is_kept_and_told_though_only_one_checkpoint_stays(steady: str, runs: str) -> None:
    """transformers 15089: the best is the first that a limit on checkpoints deletes."""
    worse = {"type": "SGD", "params": {"lr": 0.5}}
    schedule = {"type": "StepLR", "params": {"step_size": 1, "gamma": 20.0}}
    config = {**CONFIG, "optimizer": worse, "scheduler": schedule, "keep_last": 1, "epochs": 3}

    result = pytorch_full_trainer(steady, "MLP", config, "kept", runs)

    assert result["best_epoch"] < len(result["history"])
    kept = load_checkpoint(Path(result["best_checkpoint_path"]))
    assert kept["record"]["epoch"] == result["best_epoch"]
    best = result["history"][result["best_epoch"] - 1]
    assert result["final_evaluation"]["loss"] == best["val_loss"]


def test_more_epochs_than_an_experiment_began_with_are_refused_by_their_key(
    steady: str, runs: str
) -> None:
    """Lightning 2823: it ends at once, or its schedule was made for another length."""
    pytorch_full_trainer(steady, "MLP", {**CONFIG, "epochs": 1}, "short", runs)

    with pytest.raises(CheckpointError, match=r"trainer_config\.epochs differ.* choose another"):
        pytorch_full_trainer(steady, "MLP", {**CONFIG, "epochs": 2}, "short", runs)


def test_a_score_that_is_no_number_is_told_as_none_and_is_never_the_best(
    runs: str, tmp_path: Path
) -> None:
    """Lightning 1008 and 2636: once the best is NaN, nothing is better. Here it is infinite."""
    (tmp_path / "models.py").write_text(
        "import torch\nfrom torch import nn\n\n\nclass Sure(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.scores = nn.Embedding(16, 16)\n"
        "        self.epochs = 0\n\n"
        "    def train(self, mode=True):\n"
        "        self.epochs += not mode\n        return super().train(mode)\n\n"
        "    def forward(self, x):\n"
        "        return self.scores(x) * (1e6 if self.epochs == 1 and not self.training else 1)\n"
    )
    tokens = {"model": {"type": "WordLevel", "vocab": {str(i): i for i in range(16)}}}
    tokens["model"]["unk_token"] = "0"
    words = {"version": "1.0", "pre_tokenizer": {"type": "WhitespaceSplit"}, **tokens}
    (tmp_path / "tokenizer.json").write_text(json.dumps(words))
    (tmp_path / "text.txt").write_text(" ".join(str(i * i % 16) for i in range(30_000)))
    config = {
        "dataset": "text",
        "num_classes": 16,
        "dataset_params": {
            "data_path": str(tmp_path / "text.txt"),
            "tokenizer_config": {"path": str(tmp_path)},
            "context_length": 8,
        },
        "epochs": 3,
        "metrics": ["perplexity"],
        "best_metric": "perplexity",
        "device": "cpu",
    }
    events: list[dict[str, Any]] = []

    result = pytorch_full_trainer(
        str(tmp_path / "models.py"), "Sure", config, "sure", runs, report=events.append
    )

    assert result["history"][0]["val_perplexity"] is None
    assert result["best_epoch"] == 3
    for event in events:
        json.dumps(event, allow_nan=False)
