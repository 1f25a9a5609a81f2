"""What a model is taught, and what it puts out to be scored.

Suffixes: B batch, C classes, K numbers, T time, V vocabulary.
"""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.ml.data.batches import in_order
from agents.ml.data.dataset import Dataset, Split
from agents.ml.errors import ModelScriptError
from agents.ml.training.compute import Compute
from agents.ml.training.losses import Loss, build_loss
from agents.ml.training.scoring import rows_at_once


class Task(Protocol):
    """A loss to lower, and outputs by which to be judged."""

    def loss(self, model: nn.Module, inputs_B: Tensor, targets_B: Tensor) -> Tensor:
        """Return the mean loss of a batch."""
        ...

    def weight(self, targets_B: Tensor) -> float:
        """Return how much a batch counts in the mean over several: its samples, as they weigh."""
        ...

    def outputs(self, model: nn.Module, split: Split) -> Iterator[Tensor]:
        """Yield what the model, in eval mode, puts out for a split in its order, on the CPU."""
        ...

    def running_on(self, compute: Compute) -> "Task":
        """Return the same task with forward passes run by `compute`."""
        ...


class Prediction:
    """C class scores, or K numbers, per sample."""

    def __init__(
        self,
        loss: Loss,
        width: int,
        compute: Compute,
        *,
        names: str,
        weight_C: Tensor | None = None,
    ) -> None:
        """Expect `width` numbers for each sample, called `names` in errors."""
        self._loss, self._width, self._compute, self._names = loss, width, compute, names
        self._weight_C = weight_C

    def loss(self, model: nn.Module, inputs_B: Tensor, targets_B: Tensor) -> Tensor:
        return self._loss(self._forward(model, inputs_B), targets_B)

    def running_on(self, compute: Compute) -> "Prediction":
        return Prediction(
            self._loss, self._width, compute, names=self._names, weight_C=self._weight_C
        )

    def weight(self, targets_B: Tensor) -> float:
        return len(targets_B) if self._weight_C is None else float(self._weight_C[targets_B].sum())

    @torch.no_grad()  # not inference_mode: what a model caches here must serve training too
    def outputs(self, model: nn.Module, split: Split) -> Iterator[Tensor]:
        model.eval()
        for positions in in_order(len(split), rows_at_once((self._width,))):
            inputs_B, _ = split.batch(positions)
            yield self._forward(model, inputs_B).cpu()

    def _forward(self, model: nn.Module, inputs_B: Tensor) -> Tensor:
        outputs_BK = self._compute.forward(model, inputs_B)
        expected = (len(inputs_B), self._width)
        if outputs_BK.shape != expected:
            raise ModelScriptError(
                f"forward returns shape {tuple(outputs_BK.shape)} for {len(inputs_B)} samples of "
                f"{self._width} {self._names}; expected {expected}",
                where=type(model).__name__,
            )
        return outputs_BK


class CausalLanguage:
    """The next token at every position.

    What is put out is (B, T, 2): each token's cost in nats, and whether it was the likeliest.
    """

    def __init__(self, vocab_size: int, compute: Compute) -> None:
        self._vocab_size, self._compute = vocab_size, compute

    def loss(self, model: nn.Module, inputs_B: Tensor, targets_B: Tensor) -> Tensor:
        logits_BTV = self._logits(model, inputs_B)
        return functional.cross_entropy(logits_BTV.flatten(0, 1), targets_B.flatten())

    def weight(self, targets_B: Tensor) -> float:
        return len(targets_B)

    def running_on(self, compute: Compute) -> "CausalLanguage":
        return CausalLanguage(self._vocab_size, compute)

    @torch.no_grad()  # not inference_mode: what a model caches here must serve training too
    def outputs(self, model: nn.Module, split: Split) -> Iterator[Tensor]:
        model.eval()
        shape = (split.batch(torch.zeros(1).long())[0].shape[1], 2)
        for positions in in_order(len(split), rows_at_once(shape)):
            inputs_BT, targets_BT = split.batch(positions)
            logits_BTV = self._logits(model, inputs_BT)
            nats_BT = functional.cross_entropy(
                logits_BTV.transpose(1, 2), targets_BT, reduction="none"
            )
            hits_BT = logits_BTV.argmax(dim=2) == targets_BT
            yield torch.stack([nats_BT, hits_BT.float()], dim=2).cpu()

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
    output_shape: tuple[int, ...],
    loss_name: str,
    compute: Compute,
    *,
    label_smoothing: float = 0.0,
    weight_C: Tensor | None = None,
) -> Task:
    """Return the task a dataset poses; `output_shape` is that of `Targets`.

    What is learned is weighted by `weight_C`, what is scored is not.

    Raises:
        ConfigError: a loss that does not fit it.
    """
    loss = build_loss(loss_name, dataset.task, label_smoothing=label_smoothing, weight_C=weight_C)
    if dataset.task == "causal_lm":
        assert dataset.num_classes is not None  # the size of the vocabulary
        return CausalLanguage(dataset.num_classes, compute)
    (width,) = output_shape
    names = "numbers" if dataset.task == "regression" else "classes"
    return Prediction(loss, width, compute, names=names, weight_C=weight_C)
