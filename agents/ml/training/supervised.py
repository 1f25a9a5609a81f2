"""A model script and a dataset, made ready to be trained or measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from agents.ml.data import Dataset, Split, load_dataset
from agents.ml.data.batches import in_order
from agents.ml.devices import resolve_device
from agents.ml.losses import default_loss
from agents.ml.metrics import default_metrics
from agents.ml.modelscript import build_model
from agents.ml.training.compute import Compute
from agents.ml.training.tasks import Task, build_task

_CHANCE_BATCH_SIZE = 4096


@dataclass(frozen=True)
class Setup:
    """A model on its device with the task its dataset poses."""

    model: nn.Module
    dataset: Dataset
    task: Task
    compute: Compute

    def splits(self) -> tuple[Split, Split]:
        """Return train and val on the device; a source that both share is moved once."""
        train, val = self.dataset.split("train"), self.dataset.split("val")
        moved = train.to(self.compute.device)
        if val.source is train.source:
            return moved, Split(moved.source, val.indices_N)
        return moved, val.to(self.compute.device)


def prepare(
    model_script_path: str,
    model_class_name: str,
    *,
    model_params: Mapping[str, Any],
    dataset: str,
    dataset_params: Mapping[str, Any],
    num_classes: int | None,
    loss_function: str | None,
    metrics: Sequence[str] | None,
    device: str | None,
    warnings: list[str],
    label_smoothing: float = 0.0,
    bf16: bool = False,
) -> Setup:
    """Load the data, then build the model; what is wrong with either is found before training.

    Raises:
        ConfigError, DatasetError, ModelScriptError: naming the key, file or class.
    """
    target = resolve_device(device, warnings)
    data = load_dataset(dataset, dataset_params, num_classes=num_classes)
    model = build_model(model_script_path, model_class_name, **model_params)
    compute = Compute.suited_to(model, target, bf16=bf16)
    task = build_task(
        data,
        loss_function or default_loss(data.task),
        metrics if metrics is not None else default_metrics(data.task),
        compute,
        label_smoothing=label_smoothing,
    )
    return Setup(compute.place(model), data, task, compute)


def parameter_count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def chance_level(split: Split, dataset: Dataset) -> float | None:
    """Return the accuracy of always naming the split's most common class; None for no classes."""
    if dataset.task != "classification" or dataset.num_classes is None:
        return None
    counts = torch.zeros(dataset.num_classes, dtype=torch.long)
    for positions in in_order(len(split), _CHANCE_BATCH_SIZE):
        _, labels_B = split.batch(positions)
        counts += labels_B.cpu().bincount(minlength=dataset.num_classes)
    return float(counts.max() / counts.sum())
