"""What a model is taught: the loss of a batch, the scores of a split.

Suffixes: B batch, C classes, K outputs, T time, V vocabulary.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.ml.data.batches import in_order
from agents.ml.data.dataset import Dataset, Split
from agents.ml.data.text import TokenBlocks
from agents.ml.errors import ConfigError, ModelScriptError
from agents.ml.losses import Loss, build_loss
from agents.ml.metrics import (
    ClassificationScores,
    RegressionScores,
    check_metrics,
    language_scores,
)
from agents.ml.training.compute import Compute

_EVAL_BATCH_SIZE = 512
_EVAL_TOKENS_PER_BATCH = 4096


class Task(Protocol):
    """A loss to lower and scores to watch."""

    def loss(self, model: nn.Module, inputs_B: Tensor, targets_B: Tensor) -> Tensor:
        """Return the mean loss of a batch."""
        ...

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        """Return `loss` and the task's metrics over a whole split, the model in eval mode."""
        ...


class Classification:
    """One of C classes per sample."""

    def __init__(
        self, loss: Loss, metrics: Sequence[str], num_classes: int, compute: Compute
    ) -> None:
        self._loss, self._metrics, self._num_classes = loss, metrics, num_classes
        self._compute = compute

    def loss(self, model: nn.Module, inputs_B: Tensor, targets_B: Tensor) -> Tensor:
        return self._loss(self._scores(model, inputs_B), targets_B)

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        return self.evaluate_with_confusion(model, split)[0]

    @torch.no_grad()  # not inference_mode: what a model caches here must serve training too
    def evaluate_with_confusion(
        self, model: nn.Module, split: Split
    ) -> tuple[dict[str, float], Tensor]:
        """Return scores and confusion matrix (C, C), rows labels, columns predictions."""
        counts = ClassificationScores(self._metrics, self._num_classes, self._compute.device)
        loss_sum = 0.0
        model.eval()
        for positions in in_order(len(split), _EVAL_BATCH_SIZE):
            inputs_B, labels_B = split.batch(positions)
            scores_BC = self._scores(model, inputs_B)
            loss_sum += float(self._loss(scores_BC, labels_B)) * len(labels_B)
            counts.add(scores_BC, labels_B)
        return {"loss": loss_sum / len(split), **counts.results()}, counts.confusion_matrix()

    def _scores(self, model: nn.Module, inputs_B: Tensor) -> Tensor:
        scores_BC = self._compute.forward(model, inputs_B)
        if scores_BC.shape != (len(inputs_B), self._num_classes):
            raise ModelScriptError(
                f"forward returns shape {tuple(scores_BC.shape)} for {len(inputs_B)} samples of "
                f"{self._num_classes} classes; expected {(len(inputs_B), self._num_classes)}",
                where=type(model).__name__,
            )
        return scores_BC


class Regression:
    """K numbers per sample."""

    def __init__(self, loss: Loss, metrics: Sequence[str], compute: Compute) -> None:
        self._loss, self._metrics, self._compute = loss, metrics, compute

    def loss(self, model: nn.Module, inputs_B: Tensor, targets_B: Tensor) -> Tensor:
        return self._loss(self._outputs(model, inputs_B, targets_B), targets_B)

    @torch.no_grad()  # not inference_mode: what a model caches here must serve training too
    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        scores, loss_sum = RegressionScores(self._metrics), 0.0
        model.eval()
        for positions in in_order(len(split), _EVAL_BATCH_SIZE):
            inputs_B, targets_BK = split.batch(positions)
            outputs_BK = self._outputs(model, inputs_B, targets_BK)
            loss_sum += float(self._loss(outputs_BK, targets_BK)) * len(inputs_B)
            scores.add(outputs_BK, targets_BK)
        return {"loss": loss_sum / len(split), **scores.results()}

    def _outputs(self, model: nn.Module, inputs_B: Tensor, targets_BK: Tensor) -> Tensor:
        outputs_BK = self._compute.forward(model, inputs_B)
        if outputs_BK.shape != targets_BK.shape:
            raise ModelScriptError(
                f"forward returns shape {tuple(outputs_BK.shape)} for targets of shape "
                f"{tuple(targets_BK.shape)}",
                where=type(model).__name__,
            )
        return outputs_BK


class CausalLanguage:
    """The next token at every position; scored by loss, perplexity and bits per byte."""

    def __init__(self, vocab_size: int, compute: Compute, metrics: Sequence[str]) -> None:
        self._vocab_size, self._compute, self._metrics = vocab_size, compute, metrics

    def loss(self, model: nn.Module, inputs_B: Tensor, targets_B: Tensor) -> Tensor:
        logits_BTV = self._logits(model, inputs_B)
        return functional.cross_entropy(logits_BTV.flatten(0, 1), targets_B.flatten())

    @torch.no_grad()  # not inference_mode: what a model caches here must serve training too
    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        nats, tokens, hits, text_bytes = 0.0, 0, 0, 0
        model.eval()
        rows = max(1, _EVAL_TOKENS_PER_BATCH // split.batch(torch.zeros(1).long())[0].shape[1])
        for positions in in_order(len(split), rows):
            inputs_BT, targets_BT = split.batch(positions)
            logits_BTV = self._logits(model, inputs_BT)
            nats += float(
                functional.cross_entropy(
                    logits_BTV.flatten(0, 1), targets_BT.flatten(), reduction="sum"
                )
            )
            tokens += targets_BT.numel()
            hits += int((logits_BTV.argmax(dim=2) == targets_BT).sum())
            if isinstance(split.source, TokenBlocks):
                text_bytes += split.source.target_bytes(split.indices_N[positions])
        scores = {**language_scores(nats, tokens, text_bytes), "accuracy": hits / tokens}
        missing = [name for name in self._metrics if name not in scores]
        if missing:
            raise ConfigError("bits_per_byte needs a dataset of kind 'text'", where="metrics")
        return {name: scores[name] for name in dict.fromkeys(["loss", *self._metrics])}

    def _logits(self, model: nn.Module, inputs_BT: Tensor) -> Tensor:
        logits_BTV = self._compute.forward(model, inputs_BT)
        expected = (*inputs_BT.shape, self._vocab_size)
        if tuple(logits_BTV.shape) != expected:
            raise ModelScriptError(
                f"forward returns shape {tuple(logits_BTV.shape)}, expected {expected}",
                where=type(model).__name__,
            )
        return logits_BTV


def build_task(
    dataset: Dataset,
    loss_name: str,
    metrics: Sequence[str],
    compute: Compute,
    *,
    label_smoothing: float = 0.0,
) -> Task:
    """Return the task a dataset poses.

    Raises:
        ConfigError: a loss or metric that does not fit it.
    """
    check_metrics(metrics, dataset.task)
    loss = build_loss(loss_name, dataset.task, label_smoothing=label_smoothing)
    if dataset.task == "regression":
        return Regression(loss, metrics, compute)
    assert dataset.num_classes is not None  # every loader but regression's sets it
    if dataset.task == "causal_lm":
        return CausalLanguage(dataset.num_classes, compute, metrics)
    return Classification(loss, metrics, dataset.num_classes, compute)
