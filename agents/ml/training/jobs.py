"""The training functions as jobs: JSON in, progress on the way, JSON out. For child processes.

Each checks its payload's keys (`ConfigError` names the wrong ones) and passes them to the function
of the same purpose, whose docstring says what comes back.
"""

from typing import Any

from pydantic import Field

from agents.ml.config import StrictConfig, read_config
from agents.ml.reporting import Report
from agents.ml.training import full, measuring, quick
from agents.ml.training.fields import (
    EvaluateCheckpointFields,
    QuickEvaluateFields,
    TrainFields,
    TrainLanguageModelFields,
)


class QuickEvaluatePayload(QuickEvaluateFields, StrictConfig): ...


class TrainPayload(TrainFields, StrictConfig): ...


class EvaluateCheckpointPayload(EvaluateCheckpointFields, StrictConfig):
    metrics: list[str] | None = Field(default=None, min_length=1)


class TrainLanguageModelPayload(TrainLanguageModelFields, StrictConfig): ...


def quick_evaluate(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """See `pytorch_quick_evaluator`."""
    given = read_config(QuickEvaluatePayload, payload)
    return quick.pytorch_quick_evaluator(**dict(given), report=report)


def train(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """See `pytorch_full_trainer`."""
    given = read_config(TrainPayload, payload)
    return full.pytorch_full_trainer(**dict(given), report=report)


def evaluate_checkpoint(payload: dict[str, Any], _report: Report) -> dict[str, Any]:
    """See `measuring.evaluate_checkpoint`."""
    given = read_config(EvaluateCheckpointPayload, payload)
    return measuring.evaluate_checkpoint(**dict(given))


def train_language_model(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """See `language.train_language_model`."""
    # Here, because the other jobs should not wait seconds for transformers.
    from agents.ml.training import language  # noqa: PLC0415

    given = read_config(TrainLanguageModelPayload, payload)
    return language.train_language_model(**dict(given), report=report)
