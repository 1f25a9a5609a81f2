"""A model script and a dataset, made ready to be trained or measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from agents.ml.data import Dataset, Split
from agents.ml.data.batches import in_order
from agents.ml.errors import ConfigError
from agents.ml.models.script import build_model
from agents.ml.training.compute import Compute
from agents.ml.training.devices import resolve_device
from agents.ml.training.losses import default_loss
from agents.ml.training.scoring import ROWS, Scorer
from agents.ml.training.tasks import Task, build_task


@dataclass(frozen=True)
class ModelCode:
    """A class in a file."""

    path: str
    class_name: str


@dataclass(frozen=True)
class Material:
    """What a model is trained on, what it has to put out for a sample, and who scores that."""

    dataset: Dataset
    output_shape: tuple[int, ...]
    scorer: Scorer


@dataclass(frozen=True)
class Setup:
    """A model on its device with the task its dataset poses."""

    model: nn.Module
    task: Task
    compute: Compute

    def running_on(self, compute: Compute) -> "Setup":
        """Return it with the model placed, and the task run, so."""
        return Setup(compute.place(self.model), self.task.running_on(compute), compute)

    def splits(self, dataset: Dataset) -> tuple[Split, Split]:
        """Return train and val on the device; a source that both share is moved once."""
        train, val = dataset.split("train"), dataset.split("val")
        moved = train.to(self.compute.device)
        if val.source is train.source:
            return moved, Split(moved.source, val.indices_N)
        return moved, val.to(self.compute.device)


def prepare(
    code: ModelCode,
    material: Material,
    *,
    model_params: Mapping[str, Any],
    loss_function: str | None,
    device: str | None,
    warnings: list[str],
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | Literal["balanced"] | None = None,
) -> Setup:
    """Build the model and its task.

    Raises:
        ConfigError, ModelScriptError: naming the key, file or class.
    """
    target = resolve_device(device, warnings)
    model = build_model(code.path, code.class_name, **model_params)
    compute = Compute(target)
    task = build_task(
        material.dataset,
        material.output_shape,
        loss_function or default_loss(material.dataset.task),
        compute,
        label_smoothing=label_smoothing,
        weight_C=_weights(class_weights, material.dataset, target),
    )
    return Setup(compute.place(model), task, compute)


def _weights(
    asked: Sequence[float] | Literal["balanced"] | None, dataset: Dataset, device: torch.device
) -> Tensor | None:
    """Return a weight for each class; balanced, every class counts as much as every other."""
    if asked is None:
        return None
    assert dataset.num_classes is not None  # check_loss allows weights for classes alone
    if asked == "balanced":
        train = dataset.split("train")
        labels_N = torch.cat([train.batch(at)[1].cpu() for at in in_order(len(train), ROWS)])
        counts_C = labels_N.bincount(minlength=dataset.num_classes)
        return (len(labels_N) / (dataset.num_classes * counts_C.clamp_min(1))).float().to(device)
    if len(asked) != dataset.num_classes:
        text = f"has {len(asked)} weights for {dataset.num_classes} classes"
        raise ConfigError(text, where="class_weights")
    return torch.tensor(asked, dtype=torch.float32, device=device)


def parameter_count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
