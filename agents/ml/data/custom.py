"""A dataset from a user's script: `build(split, **params) -> Dataset`. Runs the script's code."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import Field
from torch import Tensor

from agents.ml.config import StrictConfig
from agents.ml.data.dataset import Dataset, Split, SplitName, TaskKind, check_labels
from agents.ml.errors import ConfigError, DatasetError, ModelScriptError
from agents.ml.models.script import load_module, resolve_script


class CustomParams(StrictConfig):
    """`build` is called once per split that is opened, with the split's name and `params`."""

    script_path: str
    params: dict[str, Any] = Field(default_factory=dict)
    task: TaskKind = "classification"


class MappedSource:
    """A map-style dataset of (input, target) pairs, stacked as batches are asked for."""

    def __init__(
        self, samples: Any, *, num_classes: int | None, task: TaskKind, where: str
    ) -> None:
        self._samples, self._num_classes, self._task = samples, num_classes, task
        self._where = where
        self._device = torch.device("cpu")

    def __len__(self) -> int:
        return len(self._samples)

    def batch(self, indices_B: Tensor) -> tuple[Tensor, Tensor]:
        pairs = [self._pair(index) for index in indices_B.tolist()]
        try:
            inputs_B = torch.stack([pair[0] for pair in pairs])
            targets_B = torch.stack([pair[1] for pair in pairs])
        except RuntimeError as error:
            raise DatasetError(f"samples do not stack: {error}", where=self._where) from error
        if self._task == "classification" and targets_B.is_floating_point():
            raise DatasetError(f"labels are {targets_B.dtype}, not integers", where=self._where)
        if self._task == "classification" and self._num_classes is not None:
            targets_B = targets_B.long().reshape(len(targets_B))
            check_labels(targets_B, self._num_classes, where=self._where)
        if self._task == "regression":
            targets_B = targets_B.float().reshape(len(targets_B), -1)
        return inputs_B.to(self._device), targets_B.to(self._device)

    def to(self, device: torch.device) -> "MappedSource":
        self._device = device
        return self

    def _pair(self, index: int) -> tuple[Tensor, Tensor]:
        try:
            given, target = self._samples[index]
        except Exception as error:  # the script may raise anything
            raise DatasetError(
                f"sample {index} is not a pair of input and target tensors: {error!r}",
                where=self._where,
            ) from error
        if isinstance(given, tuple | list) and any(isinstance(part, Tensor) for part in given):
            raise DatasetError(
                f"sample {index} has {len(given)} inputs; models here take one tensor: "
                "concatenate them, and take them apart in the model's forward",
                where=self._where,
            )
        try:
            return torch.as_tensor(given), torch.as_tensor(target)
        except (TypeError, ValueError, RuntimeError) as error:
            raise DatasetError(
                f"sample {index} is not a pair of input and target tensors: {error!r}",
                where=self._where,
            ) from error


def load_custom(params: CustomParams, num_classes: int | None) -> Dataset:
    """Import the script and open its splits on demand.

    Raises:
        ConfigError: a classification without `num_classes`.
        DatasetError: the script fails, has no `build`, or returns no map-style dataset.
    """
    if num_classes is None and params.task != "regression":
        raise ConfigError("is required for custom_dataset_script", where="num_classes")
    path = Path(params.script_path)
    build = _load_build(path)

    def opener(split: SplitName) -> Split:
        samples = _call(build, split, params.params, path)
        source = MappedSource(
            samples, num_classes=num_classes, task=params.task, where=f"{path} ({split})"
        )
        return Split(source, _all_of(source, f"{path} ({split})"))

    train = opener("train")
    if len(train) == 0:
        raise DatasetError("the train split is empty", where=str(path))
    first, _ = train.source.batch(torch.zeros(1, dtype=torch.long))
    return Dataset(
        "custom_dataset_script",
        params.task,
        tuple(first.shape[1:]),
        None if params.task == "regression" else num_classes,
        {"train": lambda: train, "val": lambda: opener("val"), "test": lambda: opener("test")},
    )


def _all_of(source: MappedSource, where: str) -> Tensor:
    try:
        return torch.arange(len(source))
    except Exception as error:  # its length is the script's, too
        raise DatasetError(
            f"its length is no number of samples: {error!r:.200}", where=where
        ) from error


def _load_build(path: Path) -> Callable[..., Any]:
    try:
        module = load_module(resolve_script(path), shown_as=str(path))
    except ModelScriptError as error:
        raise DatasetError(str(error)) from error
    build = getattr(module, "build", None)
    if not callable(build):
        raise DatasetError("defines no function build(split, **params)", where=str(path))
    return cast(Callable[..., Any], build)


def _call(build: Callable[..., Any], split: str, params: dict[str, Any], path: Path) -> Any:
    try:
        inspect.signature(build).bind(split, **params)
    except TypeError as error:
        raise DatasetError(
            f"build does not accept these params: {error}", where=str(path)
        ) from error
    try:
        samples = build(split, **params)
    except Exception as error:  # the script may raise anything
        raise DatasetError(f"build({split!r}) failed: {error!r}", where=str(path)) from error
    if not hasattr(samples, "__getitem__") or not hasattr(samples, "__len__"):
        raise DatasetError(
            f"build({split!r}) returned a {type(samples).__name__} without length or indexing",
            where=str(path),
        )
    return samples
