"""Scores, from three counts of each class and one per top-k. Suffixes: B batch, C classes.

Equal to scikit-learn's. Classes that occur neither among the labels nor among the predictions are
left out of macro averages; a class that is never predicted has precision 0, one that never occurs
has recall 0. `f1`, `precision` and `recall` without an average are macro. Of equal scores the class
with the lower number goes first.
"""

import math
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from agents.ml.config import did_you_mean
from agents.ml.data.dataset import TaskKind
from agents.ml.errors import ConfigError

_TOP_K = re.compile(r"top_([1-9]\d{0,3})_accuracy")
_LOWER_IS_BETTER = {"loss", "perplexity", "bits_per_byte", "mse", "rmse", "mae"}
_REGRESSION = ("mse", "rmse", "mae", "r2")
_LANGUAGE = ("accuracy", "perplexity", "bits_per_byte")
MAX_CONFUSION_CLASSES = 100


class Counts(NamedTuple):
    """Of each class: how often it was rightly predicted, was the label, and was predicted."""

    hits_C: Tensor
    labels_C: Tensor
    predicted_C: Tensor


def accuracy(counts: Counts) -> float:
    return float(counts.hits_C.sum()) / float(counts.labels_C.sum())


def precision(counts: Counts, average: str = "macro") -> float:
    return _averaged(_divide(counts.hits_C, counts.predicted_C), counts, average)


def recall(counts: Counts, average: str = "macro") -> float:
    return _averaged(_divide(counts.hits_C, counts.labels_C), counts, average)


def f1(counts: Counts, average: str = "macro") -> float:
    f1_C = _divide(2 * counts.hits_C, counts.labels_C + counts.predicted_C)
    return _averaged(f1_C, counts, average)


def balanced_accuracy(counts: Counts) -> float:
    """Return the mean recall of the classes that occur among the labels."""
    return float(_divide(counts.hits_C, counts.labels_C)[counts.labels_C > 0].mean())


_FROM_COUNTS: dict[str, Callable[[Counts], float]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "f1": f1,
    "precision": precision,
    "recall": recall,
}
for _average in ("macro", "micro", "weighted"):
    for _score in (f1, precision, recall):
        _FROM_COUNTS[f"{_score.__name__}_{_average}"] = partial(_score, average=_average)


def check_metrics(
    names: Sequence[str], task: TaskKind | None = None, *, where: str = "metrics"
) -> None:
    """Refuse what is no metric, or none of this task's.

    Raises:
        ConfigError: naming the metric, and the nearest that exists.
    """
    by_task: dict[TaskKind, set[str]] = {
        "classification": set(_FROM_COUNTS),
        "regression": set(_REGRESSION),
        "causal_lm": set(_LANGUAGE),
    }
    everywhere = set().union(*by_task.values())
    for name in names:
        is_top_k = _TOP_K.fullmatch(name) is not None
        if name != "loss" and name not in everywhere and not is_top_k:
            hint = did_you_mean(name, everywhere | {"loss", "top_5_accuracy"})
            raise ConfigError(f"unknown metric {name!r}; {hint}", where=where)
        fits = task is None or name == "loss" or name in by_task[task]
        if not fits and not (is_top_k and task == "classification"):
            known = ", ".join(sorted(by_task[task] | {"loss"})) if task else ""
            raise ConfigError(f"{name!r} is no metric of {task}; known are {known}", where=where)


def default_metrics(task: TaskKind) -> list[str]:
    return {"classification": ["accuracy"], "regression": ["r2"], "causal_lm": ["perplexity"]}[task]


def is_lower_better(metric: str) -> bool:
    """Say which way a metric improves; `val_` and `train_` before its name change nothing."""
    return metric.removeprefix("val_").removeprefix("train_") in _LOWER_IS_BETTER


def history_key(metric: str) -> str:
    """Return the key under which a history keeps a metric: validation unless said otherwise."""
    return metric if metric.startswith(("val_", "train_")) else f"val_{metric}"


class ClassificationScores:
    """Counts batches of class scores, then gives any metric of classification."""

    def __init__(self, names: Sequence[str], num_classes: int) -> None:
        self._names = [name for name in names if name != "loss"]
        self._num_classes = num_classes
        self._counts = Counts(*torch.zeros(3, num_classes, dtype=torch.long))
        # Memory grows with its square: of more classes nothing is kept but the counts of each.
        side = num_classes if num_classes <= MAX_CONFUSION_CLASSES else 0
        self._confusion_CC = torch.zeros(side, side, dtype=torch.long)
        self._top_k_hits = {
            int(match[1]): torch.zeros((), dtype=torch.long)
            for match in map(_TOP_K.fullmatch, self._names)
            if match
        }

    def add(self, scores_BC: Tensor, labels_B: Tensor) -> None:
        predicted_B = scores_BC.argmax(dim=1)
        found = (labels_B[labels_B == predicted_B], labels_B, predicted_B)
        for counts_C, classes_B in zip(self._counts, found, strict=True):
            counts_C.add_(classes_B.bincount(minlength=self._num_classes))
        if len(self._confusion_CC):
            cells_B = labels_B * self._num_classes + predicted_B
            cells = cells_B.bincount(minlength=self._num_classes**2)
            self._confusion_CC += cells.reshape(self._confusion_CC.shape)
        if not self._top_k_hits:
            return
        # topk has equal scores in any order: a constant would be right by chance, or always.
        ranked_BC = scores_BC.argsort(dim=1, descending=True, stable=True)
        is_label_BC = ranked_BC == labels_B.unsqueeze(1)
        for k, hits in self._top_k_hits.items():
            hits.add_(is_label_BC[:, :k].sum())

    def results(self) -> dict[str, float]:
        return {name: self._score(name) for name in self._names}

    def confusion_matrix(self) -> Tensor | None:
        """Return counts (C, C), rows labels, columns predictions; None of too many classes."""
        return self._confusion_CC if len(self._confusion_CC) else None

    def _score(self, name: str) -> float:
        top_k = _TOP_K.fullmatch(name)
        if top_k:
            return int(self._top_k_hits[int(top_k[1])]) / int(self._counts.labels_C.sum())
        return _FROM_COUNTS[name](self._counts)


class RegressionScores:
    """Sums of errors; r2 is averaged over outputs and 0 where a target never varies."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = [name for name in names if name != "loss"]
        self._predictions: list[Tensor] = []
        self._targets: list[Tensor] = []

    def add(self, predictions_BK: Tensor, targets_BK: Tensor) -> None:
        self._predictions.append(predictions_BK.double().cpu())
        self._targets.append(targets_BK.double().cpu())

    def results(self) -> dict[str, float]:
        targets = torch.cat(self._targets)
        errors = torch.cat(self._predictions) - targets
        mse = float(errors.square().mean())
        residual, total = errors.square().sum(0), (targets - targets.mean(0)).square().sum(0)
        r2 = torch.where(
            total > 0, 1 - residual / total.clamp_min(1e-300), (residual == 0).double()
        )
        scores = {
            "mse": mse,
            "rmse": math.sqrt(mse) if mse >= 0 else mse,
            "mae": float(errors.abs().mean()),
            "r2": float(r2.mean()),
        }
        return {name: scores[name] for name in self._names}


def language_scores(nats: float, tokens: int, text_bytes: int) -> dict[str, float]:
    """Score text of which `tokens` were predicted at a cost of `nats`, worth `text_bytes` of UTF-8.

    Bits per byte can be compared between tokenizers, loss and perplexity cannot. It is left out
    where the bytes are unknown.

    Source: Gao et al. 2020, "The Pile", section 3.1, arXiv:2101.00027.
    """
    loss = nats / tokens
    scores = {"loss": loss, "perplexity": math.exp(loss) if loss < 700 else math.inf}  # noqa: PLR2004  # exp overflows
    if text_bytes > 0:
        scores["bits_per_byte"] = nats / text_bytes / math.log(2)
    return scores


def _averaged(score_C: Tensor, counts: Counts, average: str) -> float:
    if average == "micro":  # every sample has one label and one prediction: all three are accuracy
        return accuracy(counts)
    if average == "weighted":
        return float((score_C * counts.labels_C).sum() / counts.labels_C.sum())
    return float(score_C[counts.labels_C + counts.predicted_C > 0].mean())


def _divide(numerator_C: Tensor, denominator_C: Tensor) -> Tensor:
    return numerator_C.double() / denominator_C.double().clamp_min(1)
