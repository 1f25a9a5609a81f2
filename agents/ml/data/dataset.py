"""What every dataset becomes: sources behind disjoint splits. Suffixes: B batch, N all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor

from agents.ml.config import did_you_mean
from agents.ml.errors import DatasetError

TaskKind = Literal["classification", "regression", "causal_lm"]
SplitName = Literal["train", "val", "test"]


class Source(Protocol):
    """Samples by index; the one thing a training loop needs of data."""

    def __len__(self) -> int: ...

    def batch(self, indices_B: Tensor) -> tuple[Tensor, Tensor]:
        """Return inputs (B, ...) and targets (B, ...) ready for the model."""
        ...

    def to(self, device: torch.device) -> "Source":
        """Return a source whose batches lie on `device`."""
        ...


@dataclass(frozen=True)
class Split:
    """A share of a source. Two splits of one source hold different indices."""

    source: Source
    indices_N: Tensor

    def __len__(self) -> int:
        return len(self.indices_N)

    def batch(self, positions_B: Tensor) -> tuple[Tensor, Tensor]:
        return self.source.batch(self.indices_N[positions_B])

    def to(self, device: torch.device) -> "Split":
        return Split(self.source.to(device), self.indices_N)


@dataclass(frozen=True)
class Dataset:
    """A named dataset whose splits are opened when asked for, the held-out test included.

    Attributes:
        input_shape: of one sample, without the batch dimension.
        num_classes: classes, or the size of the vocabulary; None for regression.
        feature_names: of the columns of a table, where they have names.
        openers: one function per split; nothing of a split is read before it is called.
    """

    name: str
    task: TaskKind
    input_shape: tuple[int, ...]
    num_classes: int | None
    openers: Mapping[SplitName, Callable[[], Split]]
    class_names: tuple[str, ...] = field(default=())
    feature_names: tuple[str, ...] = field(default=())

    def split(self, name: SplitName) -> Split:
        """Open a split.

        Raises:
            DatasetError: the dataset has no such split, or nothing is in it.
        """
        if name not in self.openers:
            hint = did_you_mean(name, self.openers)
            raise DatasetError(f"dataset {self.name!r} has no split {name!r}; {hint}")
        split = self.openers[name]()
        if len(split) == 0:
            raise DatasetError(f"the {name} split of {self.name!r} is empty")
        return split


class ResidentSource:
    """Samples held as two tensors; a batch is one gather, without worker processes."""

    def __init__(
        self,
        inputs_N: Tensor,
        targets_N: Tensor,
        *,
        mean: Tensor | None = None,
        std: Tensor | None = None,
    ) -> None:
        """Keep the samples; `mean` and `std` standardise each batch of inputs as it is taken."""
        if len(inputs_N) != len(targets_N):
            raise DatasetError(f"{len(inputs_N)} inputs but {len(targets_N)} targets")
        self.inputs_N, self.targets_N = inputs_N, targets_N
        self.mean, self.std = mean, std

    def __len__(self) -> int:
        return len(self.targets_N)

    def batch(self, indices_B: Tensor) -> tuple[Tensor, Tensor]:
        indices_B = indices_B.to(self.inputs_N.device)
        inputs_B = self.inputs_N.index_select(0, indices_B)
        if self.mean is not None and self.std is not None:
            inputs_B = inputs_B.float().sub_(self.mean).div_(self.std)
        return inputs_B, self.targets_N.index_select(0, indices_B)

    def to(self, device: torch.device) -> "ResidentSource":
        if device == self.inputs_N.device:
            return self
        return ResidentSource(
            self.inputs_N.to(device),
            self.targets_N.to(device),
            mean=self.mean.to(device) if self.mean is not None else None,
            std=self.std.to(device) if self.std is not None else None,
        )


def check_labels(labels_N: Tensor, num_classes: int, *, where: str) -> None:
    """Find labels outside 0..num_classes-1 while they are still on the CPU.

    Raises:
        DatasetError: naming the first such label, how often it occurs, and num_classes.
    """
    wrong_N = labels_N[(labels_N < 0) | (labels_N >= num_classes)]
    if len(wrong_N) == 0:
        return
    label = int(wrong_N.min() if int(wrong_N.min()) < 0 else wrong_N.max())
    count = int((wrong_N == label).sum())
    raise DatasetError(
        f"label {label} ({count} times) does not fit num_classes={num_classes}: "
        f"labels go from 0 to {num_classes - 1}",
        where=where,
    )


def check_num_classes(found: int, asked: int | None, *, where: str) -> int:
    """Return the number of classes to use: as asked, or as found in the data.

    Raises:
        DatasetError: more classes were found than asked for.
    """
    if asked is None or asked >= found:
        return asked or found
    raise DatasetError(f"the data has {found} classes but num_classes is {asked}", where=where)
