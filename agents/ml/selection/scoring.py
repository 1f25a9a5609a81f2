"""Scores of predictions, computed where no model's code runs. Suffixes: N samples, C classes."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.ml.errors import ScoringError
from agents.ml.selection.answers import Answers
from agents.ml.selection.dealing import Array, read_facts
from agents.ml.training.arrays import read_foreign, write_array

VAL, TEST = "val.predictions", "test.predictions"  # the files
_LEAST = np.log(1e-7)
_SHARPNESS = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0)


def score_fold(payload: dict[str, Any], _report: Any) -> dict[str, Any]:
    """Scores of a trial on the fold that it had left out: `accuracy` and `loss`.

    Payload: `data`, `vault`, `output` (where the trial wrote its predictions), `fold`.
    """
    answers = Answers.read(Path(payload["vault"]))
    labels_N = np.array(answers.labels)[np.array(answers.folds) == payload["fold"]]
    classes = read_facts(Path(payload["data"])).classes
    return scores(read_predictions(Path(payload["output"]) / VAL, len(labels_N), classes), labels_N)


def write_predictions(path: Path, predictions_NC: Tensor) -> None:
    """Write log-probabilities (N, C) as plain numbers, of which nothing but numbers can be read."""
    write_array(path, [predictions_NC.float()])


def read_predictions(path: Path, samples: int, classes: int) -> Array:
    """Log-probabilities (N, C) as a trial wrote them.

    Raises:
        ScoringError: no plain file of this size, or what is in it are no probabilities.
    """
    array = {"path": str(path), "dtype": "float32", "shape": [samples, classes]}
    written = torch.cat(list(read_foreign(array, at_once=samples)))
    predictions_NC = np.asarray(written.numpy(), dtype=np.float64)
    if not np.allclose(np.exp(np.minimum(predictions_NC, 1.0)).sum(axis=1), 1.0, atol=1e-3):
        raise ScoringError(f"the predictions in {path} are no probabilities: they do not sum to 1")
    return predictions_NC


def scores(predictions_NC: Array, labels_N: Array) -> dict[str, float]:
    """Accuracy, and the mean of -log p of the true class, once calibrated.

    Without that, a model whose labels were smoothed would look worse than it is, and one that is
    too sure of itself, too; see Guo et al. 2017, "On calibration of modern neural networks".
    """
    hits_N = predictions_NC.argmax(axis=1) == labels_N
    loss = min(mean_loss(sharpened(predictions_NC, by), labels_N) for by in _SHARPNESS)
    return {"accuracy": float(hits_N.mean()), "loss": loss}


def calibration(predictions_NC: Array, labels_N: Array) -> float:
    """By how much to sharpen predictions so that their loss is least."""
    return min(_SHARPNESS, key=lambda by: mean_loss(sharpened(predictions_NC, by), labels_N))


def sharpened(predictions_NC: Array, by: float) -> Array:
    """Log-probabilities that are surer of themselves, or with `by` below 1 less sure."""
    scaled_NC = by * predictions_NC
    scaled_NC -= scaled_NC.max(axis=1, keepdims=True)
    return np.asarray(scaled_NC - np.log(np.exp(scaled_NC).sum(axis=1, keepdims=True)))


def mean_loss(predictions_NC: Array, labels_N: Array) -> float:
    """The mean of -log p of the true class, each bounded."""
    loss_N = -np.maximum(predictions_NC[np.arange(len(labels_N)), labels_N], _LEAST)
    return float(loss_N.mean())
