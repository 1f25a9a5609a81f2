"""The training functions as jobs: JSON in, progress on the way, JSON out. For child processes.

Each checks its payload's keys (`ConfigError` names the wrong ones) and passes them to the function
of the same purpose, whose docstring says what comes back.
"""

from typing import Any, Literal

from pydantic import Field

from agents.ml.config import StrictConfig, read_config
from agents.ml.training import full, measuring, quick
from agents.ml.training.progress import Report


class QuickEvaluatePayload(StrictConfig):
    model_script_path: str
    model_class_name: str
    eval_config: dict[str, Any]


class TrainPayload(StrictConfig):
    model_script_path: str
    model_class_name: str
    trainer_config: dict[str, Any]
    experiment_name: str | None = None
    log_base_dir: str = "full_experiments"


class EvaluateCheckpointPayload(StrictConfig):
    experiment_dir: str
    split: Literal["train", "val", "test"] = "test"
    checkpoint: str = "best"
    metrics: list[str] | None = Field(default=None, min_length=1)
    device: str | None = None


class TrainLanguageModelPayload(StrictConfig):
    config: dict[str, Any]
    output_dir: str
    experiment_name: str | None = None
    log_base_dir: str = "full_experiments"


def quick_evaluate(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """See `pytorch_quick_evaluator`."""
    given = read_config(QuickEvaluatePayload, payload)
    return quick.pytorch_quick_evaluator(
        given.model_script_path, given.model_class_name, given.eval_config, report=report
    )


def train(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """See `pytorch_full_trainer`."""
    given = read_config(TrainPayload, payload)
    return full.pytorch_full_trainer(
        given.model_script_path,
        given.model_class_name,
        given.trainer_config,
        given.experiment_name,
        given.log_base_dir,
        report=report,
    )


def evaluate_checkpoint(payload: dict[str, Any], _report: Report) -> dict[str, Any]:
    """See `measuring.evaluate_checkpoint`."""
    given = read_config(EvaluateCheckpointPayload, payload)
    return measuring.evaluate_checkpoint(
        given.experiment_dir,
        split=given.split,
        checkpoint=given.checkpoint,
        metrics=given.metrics,
        device=given.device,
    )


def train_language_model(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """See `language.train_language_model`."""
    # Here, because the other jobs should not wait seconds for transformers.
    from agents.ml.training import language  # noqa: PLC0415

    given = read_config(TrainLanguageModelPayload, payload)
    return language.train_language_model(
        given.config,
        given.output_dir,
        given.experiment_name,
        given.log_base_dir,
        report=report,
    )
