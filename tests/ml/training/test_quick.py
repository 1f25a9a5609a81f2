from pathlib import Path
from typing import Any

import pytest
import torch

from agents.ml.errors import ConfigError, DatasetError, ModelScriptError
from agents.ml.training.quick import pytorch_quick_evaluator

DIGITS: dict[str, Any] = {"dataset": "digits", "batch_size": 32, "learning_rate": 0.01}


def test_a_model_learns_digits_far_above_chance(models: str) -> None:
    result = pytorch_quick_evaluator(
        models, "MLP", {**DIGITS, "epochs": 3, "metrics": ["accuracy", "f1"], "device": "cpu"}
    )

    assert result["status"] == "completed"
    assert result["metrics"]["accuracy"] > 0.85 > 3 * result["chance_level"]
    assert list(result["metrics"]) == ["accuracy", "f1", "loss"]
    assert result["train_loss"] < 1
    assert result["epochs_run"] == len(result["history"]) == 3
    assert result["params"] == 64 * 32 + 32 + 32 * 10 + 10


@pytest.mark.parametrize(
    ("config", "where", "message"),
    [
        ({}, "dataset", "is required"),
        ({"datset": "digits"}, "dataset", "did you mean 'dataset'"),
        ({**DIGITS, "dataset": "digit"}, "dataset", "did you mean 'digits'"),
        ({**DIGITS, "metrics": ["acuracy"]}, "metrics", "did you mean 'accuracy'"),
        ({**DIGITS, "metrics": ["mse"]}, "metrics", "no metric of classification"),
        ({**DIGITS, "optimizer": "Adm"}, "optimizer", "did you mean 'Adam'"),
        ({**DIGITS, "loss_function": "MSE"}, "loss_function", "did you mean 'MSELoss'"),
        ({**DIGITS, "epochs": 0}, "epochs", "greater than or equal to 1"),
        ({**DIGITS, "batch_size": "64"}, "batch_size", "integer"),
        ({**DIGITS, "learning_rate": float("inf")}, "learning_rate", "finite"),
        ({**DIGITS, "device": "gpu"}, "device", "unknown device 'gpu'"),
        ({**DIGITS, "device": "cuda:"}, "device", "unknown device 'cuda:'"),
        ({**DIGITS, "device": "cuda:٣"}, "device", "unknown device 'cuda:٣'"),
        ({"dataset": "dummy", "num_classes": 2}, "input_shape", "required"),
        ({"dataset": "dummy", "input_shape": [1, 4]}, "num_classes", "required"),
    ],
)
def test_a_wrong_key_is_named_before_the_model_is_touched(
    config: dict[str, Any], where: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        pytorch_quick_evaluator("/nowhere.py", "Model", config)

    assert where in str(error.value)


def test_cuda_that_is_absent_becomes_the_cpu_and_a_warning(
    models: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    result = pytorch_quick_evaluator(models, "MLP", {**DIGITS, "device": "cuda"})

    assert result["device"] == "cpu"
    assert "'cuda' was asked for" in result["warnings"][0]


def test_a_loss_that_is_no_number_ends_the_run_at_its_step(models: str) -> None:
    result = pytorch_quick_evaluator(models, "Exploding", {**DIGITS, "epochs": 2})

    assert result["status"] == "diverged"
    assert result["diverged_at_step"] == result["steps_run"] == 3
    assert result["metrics"] == {}
    assert result["train_loss"] is None


def test_the_same_seed_gives_the_same_result_and_another_another(models: str) -> None:
    def history(seed: int) -> list[Any]:
        config = {**DIGITS, "epochs": 2, "seed": seed}
        records = pytorch_quick_evaluator(models, "MLP", config)["history"]
        return [(r["train_loss"], r["val_loss"], r["val_accuracy"]) for r in records]

    assert history(1) == history(1) != history(2)


def test_the_callers_random_numbers_are_left_alone(models: str) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)

    pytorch_quick_evaluator(models, "MLP", DIGITS)

    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("loss", ["MSELoss", "BCEWithLogitsLoss"])
def test_labels_become_one_hot_rows_where_the_loss_needs_them(models: str, loss: str) -> None:
    result = pytorch_quick_evaluator(models, "MLP", {**DIGITS, "loss_function": loss, "epochs": 3})

    assert result["metrics"]["accuracy"] > 0.8
    assert result["metrics"]["loss"] < 0.25


def test_a_convolutional_model_learns_too(models: str) -> None:
    result = pytorch_quick_evaluator(models, "CNN", {**DIGITS, "epochs": 2, "optimizer": "SGD"})

    assert result["metrics"]["accuracy"] > 0.8


def test_random_data_stays_at_chance(models: str) -> None:
    result = pytorch_quick_evaluator(
        models, "MLP", {"dataset": "dummy", "input_shape": [1, 1, 8, 8], "num_classes": 10}
    )

    assert result["metrics"]["accuracy"] < 0.3


def test_a_table_can_be_regressed(models: str) -> None:
    result = pytorch_quick_evaluator(
        models,
        "MLP",
        {
            "dataset": "diabetes",
            "loss_function": "MSELoss",
            "metrics": ["r2", "mae"],
            "epochs": 60,
            "learning_rate": 0.01,
            "model_params": {"inputs": 10, "outputs": 1},
        },
    )

    assert result["metrics"]["r2"] > 0.3
    assert result["chance_level"] is None


@pytest.mark.parametrize(
    ("class_name", "params", "message"),
    [
        ("MLP", {"outputs": 5}, r"returns shape \(32, 5\) for 32 samples of 10 classes"),
        ("MLP", {"inputs": 60}, r"forward fails on torch.float32 inputs of shape \(32, 1, 8, 8\)"),
        ("MLP", {"width": "x"}, "raised TypeError"),
        ("Broken", {}, "has no attribute 'missing'"),
        ("MLPP", {}, "MLPP is not there"),
    ],
)
def test_a_model_that_does_not_fit_says_so(
    models: str, class_name: str, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelScriptError, match=message):
        pytorch_quick_evaluator(models, class_name, {**DIGITS, "model_params": params})


SCRIPTED = """
import torch
from torch import nn

class Body(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, x):
        return self.layer(x.flatten(1))

class Scripted(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = torch.jit.script(Body())

    def forward(self, x):
        return self.body(x)

Whole = torch.jit.script(Body())

class TwoInputs(Body):
    def forward(self, x, y):
        return super().forward(x + y)
"""


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_scripted_parts_are_trained_and_a_scripted_whole_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "scripted.py"
    script.write_text(SCRIPTED)

    result = pytorch_quick_evaluator(str(script), "Scripted", {**DIGITS, "epochs": 2})

    assert result["metrics"]["accuracy"] > 0.8
    with pytest.raises(ModelScriptError, match="Whole is a RecursiveScriptModule object, not a"):
        pytorch_quick_evaluator(str(script), "Whole", DIGITS)
    with pytest.raises(ModelScriptError, match="missing 1 required positional argument: 'y'"):
        pytorch_quick_evaluator(str(script), "TwoInputs", DIGITS)


def test_samples_with_two_inputs_are_refused_by_name(models: str, tmp_path: Path) -> None:
    script = tmp_path / "data.py"
    script.write_text(
        "import torch\n"
        "def build(split):\n"
        "    return [((torch.ones(2), torch.ones(2)), 0), ((torch.ones(2), torch.ones(2)), 1)]\n"
    )
    config = {
        "dataset": "custom_dataset_script",
        "dataset_params": {"script_path": str(script)},
        "num_classes": 2,
    }

    with pytest.raises(DatasetError, match="has 2 inputs; models here take one tensor"):
        pytorch_quick_evaluator(models, "MLP", config)


def test_too_few_classes_are_refused(models: str) -> None:
    with pytest.raises(DatasetError, match="num_classes is 3"):
        pytorch_quick_evaluator(models, "MLP", {**DIGITS, "num_classes": 3})


def test_progress_names_steps_epochs_and_metrics(models: str) -> None:
    reports: list[dict[str, Any]] = []

    pytorch_quick_evaluator(models, "MLP", {**DIGITS, "epochs": 2}, report=reports.append)

    epochs = [report for report in reports if report["kind"] == "epoch"]
    assert [report["epoch"] for report in epochs] == [1, 2]
    assert epochs[-1]["step"] == epochs[-1]["steps_total"] == 80
    assert "val_accuracy" in epochs[-1]["metrics"]
    assert {"loss", "lr", "samples_per_s", "eta_s"} <= set(reports[0])
