"""Scores of a split, from its targets and what a model puts out for it, and from nothing else.

What scores runs no code of the model's, so that it can do so in another process (`judge`).
Suffixes: B batch, C classes, K numbers, N all samples, T time.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from agents.ml.data.batches import in_order
from agents.ml.data.dataset import Dataset, Split
from agents.ml.data.text import TokenBlocks
from agents.ml.errors import ConfigError, ScoringError
from agents.ml.training.losses import Loss, build_loss
from agents.ml.training.metrics import (
    ClassificationScores,
    RegressionScores,
    check_metrics,
    language_scores,
)

ROWS = 512
DIVERGED = {"loss": math.nan}  # all that is told of an epoch whose loss is no finite number
_TOKENS = 4096


class Scorer(Protocol):
    """Knows the targets, and scores predictions by them."""

    def score(self, record: dict[str, Any], outputs: Iterable[Tensor]) -> dict[str, float]:
        """Return `loss` and the metrics of an epoch; `record` is what the trainer says of it.

        One in another process keeps to itself what decides nothing.
        """
        ...


def has_diverged(scores: Mapping[str, float]) -> bool:
    """Whether the loss is no finite number; it is always told then."""
    return not math.isfinite(scores.get("loss", 0.0))


@dataclass(frozen=True)
class Measure:
    """By what a model is measured: names of a loss and of metrics."""

    loss: str
    metrics: Sequence[str]
    label_smoothing: float = 0.0


class Targets:
    """The targets of a split, and how outputs are counted against them.

    Attributes:
        targets_N: of all samples, in the split's order.
        output_shape: of what a model puts out for one sample: (C,), (K,), or (T, 2) for text, the
            cost in nats of each token and whether it was the likeliest.
        confusion_CC: rows labels, columns predictions, after the last `score` of a classification
            with at most 100 classes.
    """

    def __init__(
        self, dataset: Dataset, targets_N: Tensor, measure: Measure, *, text_bytes: int = 0
    ) -> None:
        """Check that loss and metrics fit the dataset.

        Raises:
            ConfigError: they do not.
        """
        check_metrics(measure.metrics, dataset.task)
        self.targets_N, self._task, self._metrics = targets_N, dataset.task, measure.metrics
        self._loss = build_loss(measure.loss, dataset.task, label_smoothing=measure.label_smoothing)
        self._classes, self._text_bytes = dataset.num_classes, text_bytes
        self.output_shape = _output_shape(dataset, targets_N)
        self.confusion_CC: Tensor | None = None
        if "bits_per_byte" in measure.metrics and not text_bytes:
            raise ConfigError("bits_per_byte needs a dataset of kind 'text'", where="metrics")

    @classmethod
    def of(cls, dataset: Dataset, split: Split, measure: Measure) -> "Targets":
        """Take the targets out of a split."""
        targets_N = torch.cat([split.batch(at)[1].cpu() for at in in_order(len(split), ROWS)])
        text_bytes = 0
        if isinstance(split.source, TokenBlocks):
            text_bytes = split.source.target_bytes(split.indices_N)
        return cls(dataset, targets_N, measure, text_bytes=text_bytes)

    def __len__(self) -> int:
        return len(self.targets_N)

    @property
    def chance_level(self) -> float | None:
        """Accuracy of always naming the most common class; None for no classes."""
        if self._task != "classification":
            return None
        return float(self.targets_N.bincount().max() / len(self))

    def score(
        self,
        record: dict[str, Any],  # noqa: ARG002  the scorer's protocol: others keep a history
        outputs: Iterable[Tensor],
    ) -> dict[str, float]:
        """Return `loss` and the metrics.

        Raises:
            ScoringError: there are more or fewer outputs than targets, or of another shape.
        """
        pairs = self._paired(outputs)
        if self._task == "causal_lm":
            return self._of_text(pairs)
        if self._task == "regression":
            return self._of_numbers(pairs, self._loss)
        return self._of_classes(pairs, self._loss)

    def _paired(self, outputs: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        start = 0
        for outputs_B in outputs:
            if tuple(outputs_B.shape[1:]) != self.output_shape:
                raise ScoringError(
                    f"outputs have the shape {tuple(outputs_B.shape[1:])}, not {self.output_shape}"
                )
            targets_B = self.targets_N[start : start + len(outputs_B)]
            start += len(outputs_B)
            if start > len(self):
                break
            yield outputs_B, targets_B
        if start != len(self):
            raise ScoringError(f"there are outputs for {start} samples, not for {len(self)}")

    def _of_classes(self, pairs: Iterator[tuple[Tensor, Tensor]], loss: Loss) -> dict[str, float]:
        assert self._classes is not None  # every classification has some
        counts = ClassificationScores(self._metrics, self._classes)
        loss_sum = 0.0
        for scores_BC, labels_B in pairs:
            loss_sum += float(loss(scores_BC, labels_B)) * len(labels_B)
            counts.add(scores_BC, labels_B)
        self.confusion_CC = counts.confusion_matrix()
        return {"loss": loss_sum / len(self), **counts.results()}

    def _of_numbers(self, pairs: Iterator[tuple[Tensor, Tensor]], loss: Loss) -> dict[str, float]:
        scores, loss_sum = RegressionScores(self._metrics), 0.0
        for outputs_BK, targets_BK in pairs:
            loss_sum += float(loss(outputs_BK, targets_BK)) * len(targets_BK)
            scores.add(outputs_BK, targets_BK)
        return {"loss": loss_sum / len(self), **scores.results()}

    def _of_text(self, pairs: Iterator[tuple[Tensor, Tensor]]) -> dict[str, float]:
        nats = hits = 0.0
        for outputs_BT2, _ in pairs:
            nats += float(outputs_BT2[..., 0].double().sum())
            hits += float(outputs_BT2[..., 1].double().sum())
        tokens = self.targets_N.numel()
        scores = {**language_scores(nats, tokens, self._text_bytes), "accuracy": hits / tokens}
        return {name: scores[name] for name in dict.fromkeys(["loss", *self._metrics])}


def rows_at_once(output_shape: tuple[int, ...]) -> int:
    """Return how many samples are put out and scored at a time."""
    is_text = len(output_shape) > 1
    return max(1, _TOKENS // output_shape[0]) if is_text else ROWS


def _output_shape(dataset: Dataset, targets_N: Tensor) -> tuple[int, ...]:
    if dataset.task == "regression":
        return tuple(targets_N.shape[1:])
    if dataset.task == "causal_lm":
        return (targets_N.shape[1], 2)
    assert dataset.num_classes is not None  # every classification has some
    return (dataset.num_classes,)
