"""Scores, from one confusion matrix and one count per top-k. Suffixes: B batch, C classes.

Equal to scikit-learn's. Classes that occur neither among the labels nor among the predictions are
left out of macro averages; a class that is never predicted has precision 0, one that never occurs
has recall 0. `f1`, `precision` and `recall` without an average are macro. Of equal scores the class
with the lower number goes first.
"""

import math
import re
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from agents.ml.config import did_you_mean
from agents.ml.data.dataset import TaskKind
from agents.ml.errors import ConfigError

_TOP_K = re.compile(r"top_([1-9]\d{0,3})_accuracy")
_LOWER_IS_BETTER = {"loss", "perplexity", "bits_per_byte", "mse", "rmse", "mae"}
_REGRESSION = ("mse", "rmse", "mae", "r2")
_LANGUAGE = ("accuracy", "perplexity", "bits_per_byte")


def accuracy(confusion_CC: Tensor) -> float:
    return _ratio(confusion_CC.diagonal().sum(), confusion_CC.sum())


def precision(confusion_CC: Tensor, average: str = "macro") -> float:
    return _averaged(_precisions(confusion_CC), confusion_CC, average)


def recall(confusion_CC: Tensor, average: str = "macro") -> float:
    return _averaged(_recalls(confusion_CC), confusion_CC, average)


def f1(confusion_CC: Tensor, average: str = "macro") -> float:
    hits_C = confusion_CC.diagonal()
    f1_C = _divide(2 * hits_C, confusion_CC.sum(dim=0) + confusion_CC.sum(dim=1))
    return _averaged(f1_C, confusion_CC, average)


def balanced_accuracy(confusion_CC: Tensor) -> float:
    """Return the mean recall of the classes that occur among the labels."""
    occurs_C = confusion_CC.sum(dim=1) > 0
    return float(_recalls(confusion_CC)[occurs_C].mean())


_FROM_CONFUSION: dict[str, Callable[[Tensor], float]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "f1": f1,
    "precision": precision,
    "recall": recall,
}
for _average in ("macro", "micro", "weighted"):
    for _score in (f1, precision, recall):
        _FROM_CONFUSION[f"{_score.__name__}_{_average}"] = partial(_score, average=_average)


def check_metrics(
    names: Sequence[str], task: TaskKind | None = None, *, where: str = "metrics"
) -> None:
    """Refuse what is no metric, or none of this task's.

    Raises:
        ConfigError: naming the metric, and the nearest that exists.
    """
    by_task: dict[TaskKind, set[str]] = {
        "classification": set(_FROM_CONFUSION),
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

    def __init__(self, names: Sequence[str], num_classes: int, device: torch.device) -> None:
        self._names = [name for name in names if name != "loss"]
        self._num_classes = num_classes
        self._confusion_CC = torch.zeros(num_classes, num_classes, dtype=torch.long, device=device)
        self._top_k_hits = {
            int(match[1]): torch.zeros((), dtype=torch.long, device=device)
            for match in map(_TOP_K.fullmatch, self._names)
            if match
        }

    def add(self, scores_BC: Tensor, labels_B: Tensor) -> None:
        cells_B = labels_B * self._num_classes + scores_BC.argmax(dim=1)
        counts = torch.bincount(cells_B, minlength=self._num_classes**2)
        self._confusion_CC += counts.reshape(self._num_classes, self._num_classes)
        if not self._top_k_hits:
            return
        # topk has equal scores in any order: a constant would be right by chance, or always.
        ranked_BC = scores_BC.argsort(dim=1, descending=True, stable=True)
        is_label_BC = ranked_BC == labels_B.unsqueeze(1)
        for k, hits in self._top_k_hits.items():
            hits.add_(is_label_BC[:, :k].sum())

    def results(self) -> dict[str, float]:
        confusion_CC = self.confusion_matrix()
        return {name: self._score(name, confusion_CC) for name in self._names}

    def confusion_matrix(self) -> Tensor:
        """Return counts (C, C): rows are labels, columns predictions."""
        return self._confusion_CC.cpu()

    def _score(self, name: str, confusion_CC: Tensor) -> float:
        top_k = _TOP_K.fullmatch(name)
        if top_k:
            return _ratio(self._top_k_hits[int(top_k[1])], confusion_CC.sum())
        return _FROM_CONFUSION[name](confusion_CC)


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


def _precisions(confusion_CC: Tensor) -> Tensor:
    return _divide(confusion_CC.diagonal(), confusion_CC.sum(dim=0))


def _recalls(confusion_CC: Tensor) -> Tensor:
    return _divide(confusion_CC.diagonal(), confusion_CC.sum(dim=1))


def _averaged(score_C: Tensor, confusion_CC: Tensor, average: str) -> float:
    support_C, predicted_C = confusion_CC.sum(dim=1), confusion_CC.sum(dim=0)
    if average == "micro":  # every sample has one label and one prediction: all three are accuracy
        return accuracy(confusion_CC)
    if average == "weighted":
        return float((score_C * support_C).sum() / support_C.sum())
    return float(score_C[(support_C + predicted_C) > 0].mean())


def _divide(numerator_C: Tensor, denominator_C: Tensor) -> Tensor:
    return numerator_C.double() / denominator_C.double().clamp_min(1)


def _ratio(part: Tensor, whole: Tensor) -> float:
    return float(part) / float(whole)
