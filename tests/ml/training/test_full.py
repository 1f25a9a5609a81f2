import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from agents.ml.checkpoints import load_checkpoint
from agents.ml.errors import CheckpointError, ConfigError, DatasetError
from agents.ml.training.experiment import Experiment
from agents.ml.training.full import pytorch_full_trainer
from agents.ml.training.measuring import evaluate_checkpoint

CONFIG: dict[str, Any] = {
    "dataset": "digits",
    "batch_size": 64,
    "epochs": 4,
    "optimizer": {"type": "AdamW", "params": {"lr": 0.01}},
    "metrics": ["accuracy", "f1_macro"],
    "device": "cpu",
}


def lines(folder: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(folder, "metrics.jsonl").read_text().splitlines()]


def test_a_training_returns_and_keeps_all_it_measured(models: str, runs: str) -> None:
    result = pytorch_full_trainer(models, "MLP", CONFIG, "first", runs)

    assert result["status"] == "completed"
    assert result["epochs_run"] == 4
    assert result["final_evaluation"]["accuracy"] > 0.9
    assert result["best_value"] == min(record["val_loss"] for record in result["history"])
    assert result["final_evaluation"]["loss"] == pytest.approx(result["best_value"])
    assert result["history"] == lines(result["experiment_dir"])
    stored = json.loads(Path(result["experiment_dir"], "result.json").read_text())
    assert stored == result
    weights = load_checkpoint(Path(result["best_checkpoint_path"]))["model"]
    assert set(weights) == {"body.1.weight", "body.1.bias", "head.weight", "head.bias"}


def test_the_document_s_configuration_is_understood(models: str, runs: str) -> None:
    result = pytorch_full_trainer(
        models,
        "MLP",
        {
            **CONFIG,
            "num_classes": 10,
            "dataset_params": {"split": "train"},
            "scheduler": {"type": "CosineAnnealingLR", "params": {"T_max": 4, "eta_min": 1e-6}},
            "loss_function": "CrossEntropyLoss",
            "checkpoint_interval": 5,
            "save_best_model": True,
            "early_stopping": {"metric": "val_loss", "patience": 10, "mode": "min"},
        },
        "documented",
        runs,
    )

    assert result["history"][-1]["lr"] < result["history"][0]["lr"]


def test_optimizer_and_scheduler_may_be_names_alone(models: str, runs: str) -> None:
    config = {**CONFIG, "optimizer": "RMSprop", "scheduler": "OneCycleLR"}

    with pytest.raises(ConfigError, match="max_lr"):
        pytorch_full_trainer(models, "MLP", config, "named", runs)

    # The name is still free: nothing was trained under it.
    config["scheduler"] = "CosineAnnealingLR"
    result = pytorch_full_trainer(models, "MLP", config, "named", runs)
    assert result["final_evaluation"]["accuracy"] > 0.9


def test_a_finished_experiment_is_returned_and_not_run_again(models: str, runs: str) -> None:
    first = pytorch_full_trainer(models, "MLP", CONFIG, "once", runs)
    reports: list[dict[str, Any]] = []

    again = pytorch_full_trainer(models, "MLP", CONFIG, "once", runs, report=reports.append)

    assert again == first
    assert reports == []


def test_another_configuration_under_the_same_name_is_refused(models: str, runs: str) -> None:
    pytorch_full_trainer(models, "MLP", CONFIG, "mine", runs)
    changed = {**CONFIG, "batch_size": 32, "optimizer": {"type": "AdamW", "params": {"lr": 0.02}}}

    with pytest.raises(CheckpointError) as error:
        pytorch_full_trainer(models, "MLP", changed, "mine", runs)

    assert "trainer_config.batch_size, trainer_config.optimizer.params.lr differ" in str(
        error.value
    )


def test_a_changed_model_script_is_another_configuration(
    models: str, runs: str, tmp_path: Path
) -> None:
    script = tmp_path / "models.py"
    script.write_text(Path(models).read_text())
    pytorch_full_trainer(str(script), "MLP", CONFIG, "mine", runs)
    script.write_text(Path(models).read_text() + "\n# changed\n")

    with pytest.raises(CheckpointError, match="model_script_sha256 differ"):
        pytorch_full_trainer(str(script), "MLP", CONFIG, "mine", runs)


def test_two_processes_cannot_train_the_same_experiment(
    runs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.ml.training.locks._WAIT_S", 0.0)

    with (
        Experiment("mine", runs, {"a": 1}),
        pytest.raises(CheckpointError, match="another process"),
    ):
        Experiment("mine", runs, {"a": 1})

    Experiment("mine", runs, {"a": 1}).close()


def test_an_unnamed_experiment_gets_a_name_of_its_own(models: str, runs: str) -> None:
    quick = {**CONFIG, "epochs": 1}
    names = [
        pytorch_full_trainer(models, "MLP", quick, None, runs)["experiment_name"] for _ in "ab"
    ]

    assert names[0] != names[1]


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "", "x" * 200, "new\nline"])
def test_a_name_that_is_no_file_name_is_refused(models: str, runs: str, name: str) -> None:
    with pytest.raises(ConfigError, match="experiment_name"):
        pytorch_full_trainer(models, "MLP", CONFIG, name, runs)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"scheduler": {"type": "Cosine"}}, "scheduler.type"),
        ({"metrics": ["acuracy"]}, "metrics"),
        ({"early_stopping": {"metric": "val_los"}}, "early_stopping.metric"),
        ({"scheduler": {"type": "ReduceLROnPlateau", "metric": "r2"}}, "scheduler.metric"),
        (
            {"scheduler": {"type": "StepLR", "params": {"step_size": 0}}},
            "scheduler.params.step_size",
        ),
        (
            {"scheduler": {"type": "OneCycleLR", "params": {"max_lr": 1, "pct_start": 2}}},
            "scheduler.params.pct_start",
        ),
        (
            {"optimizer": {"type": "SGD", "param_groups": [{"name_regex": "head", "lr": -1}]}},
            "optimizer.param_groups.0.lr",
        ),
        ({"optimizer": {"type": "SGD", "params": {"nesterov": True}}}, "optimizer.params.nesterov"),
        ({"early_stopping": {"patience": 0}}, "early_stopping.patience"),
        ({"optimizer": {"type": "AdamW", "params": {"rl": 1}}}, "optimizer.params.rl"),
        ({"dataset_params": {"split": "test"}}, "dataset_params.split"),
        ({"checkpoint_intervall": 2}, "checkpoint_intervall"),
        ({"label_smoothing": 0.1, "loss_function": "MSELoss"}, "label_smoothing"),
        ({"best_metric": "val_r2"}, "best_metric"),
        ({"class_weights": "balanced", "loss_function": "MSELoss"}, "class_weights"),
        ({"class_weights": [1.0, -1.0]}, "class_weights"),
        ({"class_weights": [1.0, 10**400]}, "class_weights"),
        ({"batch_size": 10**30}, "batch_size"),
        ({"gradient_accumulation_steps": 10**30}, "gradient_accumulation_steps"),
        ({"gradient_clip_norm": 10**400}, "gradient_clip_norm"),
        ({"optimizer": {"type": "SGD", "params": {"lr": 10**400}}}, "optimizer.params.lr"),
        (
            {"optimizer": {"type": "SGD", "param_groups": [{"name_regex": "head", "lr": 10**400}]}},
            "optimizer.param_groups.0.lr",
        ),
        ({"metrics": ["accuracy"] * 100_000}, "metrics"),
    ],
)
def test_every_key_is_checked_before_anything_is_written(
    models: str, runs: str, change: dict[str, Any], where: str
) -> None:
    with pytest.raises(ConfigError) as error:
        pytorch_full_trainer(models, "MLP", {**CONFIG, **change}, "wrong", runs)

    assert error.value.where == where
    assert not Path(runs).exists()


def test_an_optimizer_that_the_gradients_do_not_suit_is_named(models: str, runs: str) -> None:
    with pytest.raises(ConfigError, match=r"SparseAdam cannot step: .*dense gradients") as error:
        pytorch_full_trainer(models, "MLP", {**CONFIG, "optimizer": "SparseAdam"}, "sparse", runs)

    assert error.value.where == "optimizer.type"


def test_a_single_sample_is_no_batch_of_its_own(models: str, runs: str, tmp_path: Path) -> None:
    """The last step of 117 samples, two batches of 4 each, is one of 4 and one sample more."""
    script = tmp_path / "normed.py"
    script.write_text(
        Path(models).read_text().replace("nn.Dropout(0.1)", "nn.BatchNorm1d(width)", 1)
    )
    config = {
        **CONFIG,
        "dataset": "iris",
        "dataset_params": {"val_fraction": 0.1, "test_fraction": 0.12},
        "model_params": {"inputs": 4, "outputs": 3},
        "batch_size": 4,
        "gradient_accumulation_steps": 2,
        "epochs": 1,
    }

    result = pytorch_full_trainer(str(script), "MLP", config, "normed", runs)

    assert result["train_samples"] == 117
    assert result["status"] == "completed"


def test_tensorboard_that_is_not_installed_is_named(
    models: str, runs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)

    with pytest.raises(ConfigError, match=r"guildbus\[tensorboard\]") as error:
        pytorch_full_trainer(models, "MLP", {**CONFIG, "tensorboard": True}, "drawn", runs)

    assert error.value.where == "tensorboard"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_curves_say_what_the_history_says_after_a_resume_too(models: str, runs: str) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    config = {**CONFIG, "epochs": 3, "tensorboard": True}
    folder = Path(pytorch_full_trainer(models, "MLP", config, "drawn", runs)["experiment_dir"])
    (folder / "result.json").unlink()
    max((folder / "checkpoints").glob("step_*.pt")).unlink()

    result = pytorch_full_trainer(models, "MLP", config, "drawn", runs)

    events = accumulator.EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    seen = [(event.step, event.value) for event in events.Scalars("val_loss")]
    expected = [(r["epoch"], pytest.approx(r["val_loss"])) for r in result["history"]]
    assert seen == expected


def test_it_stops_when_the_watched_metric_no_longer_improves(models: str, runs: str) -> None:
    result = pytorch_full_trainer(
        models,
        "MLP",
        {
            **CONFIG,
            "epochs": 50,
            "optimizer": {"type": "SGD", "params": {"lr": 1e-9}},
            "early_stopping": {"metric": "f1_micro", "patience": 2},
        },
        "stopped",
        runs,
    )

    assert result["stopped_early"]
    assert result["epochs_run"] == 3
    assert result["best_metric"] == "val_f1_micro"


def test_a_plateau_lowers_the_rate(models: str, runs: str) -> None:
    result = pytorch_full_trainer(
        models,
        "MLP",
        {
            **CONFIG,
            "epochs": 4,
            "optimizer": {"type": "SGD", "params": {"lr": 1e-6}},
            "scheduler": {
                "type": "ReduceLROnPlateau",
                "metric": "accuracy",
                "params": {"factor": 0.1, "patience": 0},
            },
        },
        "plateau",
        runs,
    )

    assert result["history"][-1]["lr"] < 1e-6


def test_a_divergence_is_a_result(models: str, runs: str) -> None:
    result = pytorch_full_trainer(models, "Exploding", CONFIG, "nan", runs)

    assert result["status"] == "diverged"
    assert result["diverged_at_step"] == 3
    assert result["final_evaluation"] == {}
    assert pytorch_full_trainer(models, "Exploding", CONFIG, "nan", runs) == result


def test_old_checkpoints_go_but_the_best_and_the_last_stay(models: str, runs: str) -> None:
    result = pytorch_full_trainer(
        models, "MLP", {**CONFIG, "keep_last": 2, "checkpoint_every_steps": 7}, "pruned", runs
    )

    names = {path.name for path in Path(result["experiment_dir"], "checkpoints").iterdir()}
    assert len([name for name in names if name.startswith("step_")]) == 2
    assert Path(result["best_checkpoint_path"]).name in names
    assert len(names) <= 4


def test_a_damaged_newest_checkpoint_is_passed_over_with_a_warning(models: str, runs: str) -> None:
    expected = pytorch_full_trainer(models, "MLP", CONFIG, "whole", runs)
    damaged = pytorch_full_trainer(models, "MLP", CONFIG, "damaged", runs)
    folder = Path(damaged["experiment_dir"])
    (folder / "result.json").unlink()
    newest = max((folder / "checkpoints").glob("step_*.pt"))
    newest.write_bytes(newest.read_bytes()[:1000])

    result = pytorch_full_trainer(models, "MLP", CONFIG, "damaged", runs)

    assert "older checkpoint" in result["warnings"][0]
    assert result["resumed_from_step"] == 60
    assert result["final_evaluation"] == expected["final_evaluation"]


@pytest.mark.parametrize(
    "change",
    [
        {"gradient_accumulation_steps": 4, "batch_size": 16},
        {"gradient_clip_norm": 1.0},
        {"label_smoothing": 0.1},
        {"precision": "bf16"},
        {"optimizer": {"type": "LBFGS", "params": {"lr": 0.5, "max_iter": 3}}},
    ],
)
def test_the_other_ways_of_a_step_learn_too(models: str, runs: str, change: dict[str, Any]) -> None:
    result = pytorch_full_trainer(models, "CNN", {**CONFIG, **change, "epochs": 2}, "other", runs)

    assert result["final_evaluation"]["accuracy"] > 0.8


def test_rare_classes_weigh_more_where_that_is_asked_for(
    models: str, runs: str, tmp_path: Path
) -> None:
    """Of 400 samples 20 are of class 1, and the two overlap: unweighted, it is hardly named."""
    generator = torch.Generator().manual_seed(0)
    labels = [int(i % 20 == 0) for i in range(400)]
    rows = [f"{y + torch.randn(1, generator=generator).item():.3f},{y}" for y in labels]
    (tmp_path / "rare.csv").write_text("\n".join(["x,y", *rows]))
    config = {
        **CONFIG,
        "dataset": "csv",
        "dataset_params": {"data_path": str(tmp_path / "rare.csv"), "label_column": "y"},
        "model_params": {"inputs": 1, "outputs": 2},
        "metrics": ["balanced_accuracy"],
    }
    plain, balanced, listed = (
        pytorch_full_trainer(models, "MLP", {**config, **change}, name, runs)
        for name, change in (
            ("plain", {}),
            ("balanced", {"class_weights": "balanced"}),
            ("listed", {"class_weights": [200 / 380, 10.0]}),
        )
    )

    accuracies = [r["history"][-1]["val_balanced_accuracy"] for r in (plain, balanced, listed)]
    assert accuracies[0] == 0.5 < accuracies[1]
    assert accuracies[2] == pytest.approx(accuracies[1], abs=0.15)
    with pytest.raises(ConfigError, match="3 weights for 2 classes"):
        pytorch_full_trainer(models, "MLP", {**config, "class_weights": [1.0] * 3}, "three", runs)


def test_accumulated_batches_equal_one_large_batch(models: str, runs: str) -> None:
    params = {"optimizer": {"type": "SGD", "params": {"lr": 0.1}}, "epochs": 1}
    script = Path(models).read_text().replace("nn.Dropout(0.1)", "nn.Identity()")
    plain = Path(runs).parent / "plain.py"
    plain.write_text(script)
    results = [
        pytorch_full_trainer(str(plain), "MLP", {**CONFIG, **params, **change}, name, runs)
        for name, change in (
            ("large", {"batch_size": 64}),
            ("accumulated", {"batch_size": 16, "gradient_accumulation_steps": 4}),
        )
    ]

    assert results[0]["history"][0]["val_loss"] == pytest.approx(
        results[1]["history"][0]["val_loss"], rel=1e-4
    )


def test_the_test_split_is_opened_by_evaluate_checkpoint_alone(
    models: str, runs: str, tmp_path: Path
) -> None:
    script = tmp_path / "data.py"
    script.write_text(
        "import torch\n"
        "def build(split, log):\n"
        "    with open(log, 'a') as file: file.write(split + '\\n')\n"
        "    g = torch.Generator().manual_seed(len(split))\n"
        "    y = torch.arange(40) % 2\n"
        "    x = torch.randn(40, 64, generator=g) + 3 * y[:, None]\n"
        "    return torch.utils.data.TensorDataset(x, y)\n"
    )
    log = tmp_path / "log"
    config = {
        **CONFIG,
        "dataset": "custom_dataset_script",
        "dataset_params": {"script_path": str(script), "params": {"log": str(log)}},
        "num_classes": 2,
        "batch_size": 8,
        "model_params": {"outputs": 2},
    }

    result = pytorch_full_trainer(models, "MLP", config, "custom", runs)
    assert set(log.read_text().split()) == {"train", "val"}
    measured = evaluate_checkpoint(result["experiment_dir"])

    assert "test" in log.read_text()
    assert measured["split"] == "test"
    assert measured["metrics"]["accuracy"] > 0.9
    assert [sum(row) for row in measured["confusion_matrix"]] == [20, 20]


def test_a_checkpoint_is_measured_as_it_was_trained(models: str, runs: str) -> None:
    result = pytorch_full_trainer(models, "MLP", CONFIG, "measured", runs)

    val = evaluate_checkpoint(result["experiment_dir"], split="val")
    last = evaluate_checkpoint(result["experiment_dir"], checkpoint="last", metrics=["recall"])

    assert val["metrics"] == result["final_evaluation"]
    assert set(last["metrics"]) == {"loss", "recall"}
    assert last["class_names"] == [str(digit) for digit in range(10)]


def test_what_is_no_experiment_cannot_be_measured(models: str, runs: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        evaluate_checkpoint(str(tmp_path))

    result = pytorch_full_trainer(models, "MLP", {**CONFIG, "save_best_model": False}, "a", runs)
    assert result["best_checkpoint_path"] is None
    with pytest.raises(CheckpointError, match="no best checkpoint"):
        evaluate_checkpoint(result["experiment_dir"])


def test_a_checkpoint_of_another_model_is_refused(models: str, runs: str) -> None:
    wide = pytorch_full_trainer(
        models, "MLP", {**CONFIG, "epochs": 1, "model_params": {"width": 16}}, "wide", runs
    )
    result = pytorch_full_trainer(models, "MLP", {**CONFIG, "epochs": 1}, "narrow", runs)

    with pytest.raises(CheckpointError, match="does not fit the model"):
        evaluate_checkpoint(result["experiment_dir"], checkpoint=wide["best_checkpoint_path"])


def test_missing_data_is_an_error_that_says_where(models: str, runs: str, tmp_path: Path) -> None:
    config = {**CONFIG, "dataset": "cifar10", "dataset_params": {"data_path": str(tmp_path)}}

    with pytest.raises(DatasetError, match="data_batch_1"):
        pytorch_full_trainer(models, "MLP", config, "absent", runs)


def test_the_same_seed_trains_the_same_weights(models: str, runs: str) -> None:
    def weights(name: str, seed: int) -> torch.Tensor:
        result = pytorch_full_trainer(
            models, "MLP", {**CONFIG, "epochs": 1, "seed": seed}, name, runs
        )
        tensor: torch.Tensor = load_checkpoint(Path(result["best_checkpoint_path"]))["model"][
            "head.weight"
        ]
        return tensor

    assert torch.equal(weights("a", 1), weights("b", 1))
    assert not torch.equal(weights("c", 2), weights("d", 1))
