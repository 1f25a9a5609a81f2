"""scikit-learn's bundled real data, read from its files: importing scikit-learn takes a second."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from agents.ml.bundled_data import bundled_folder
from agents.ml.config import StrictConfig
from agents.ml.data.dataset import Dataset, ResidentSource, Split, SplitName, check_num_classes
from agents.ml.data.splits import random_split, stratified_split
from agents.ml.errors import DatasetError

_ROUNDING = 1e-14  # the mean of many 0.1 is not quite 0.1
_TABLES = {"iris": "iris.csv", "wine": "wine_data.csv", "breast_cancer": "breast_cancer.csv"}


class SplitParams(StrictConfig):
    """How data without official splits is dealt out.

    `split_seed` is apart from the training seed, so that runs with other seeds hold out the same
    samples. `split` is what is trained on; the test split is for `evaluate_checkpoint` alone.
    """

    split: Literal["train"] = "train"
    val_fraction: float = Field(default=0.15, gt=0, lt=1)
    test_fraction: float = Field(default=0.15, gt=0, lt=1)
    split_seed: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class _Table:
    features_NF: Tensor
    targets_N: Tensor
    class_names: tuple[str, ...]


def load_digits(params: SplitParams, num_classes: int | None) -> Dataset:
    """1,797 hand-written digits of 1x8x8 pixels (UCI ML, via scikit-learn)."""
    table_NF = torch.from_numpy(small_numbers(_read("digits.csv.gz"))).reshape(-1, 65)
    images_N = table_NF[:, :-1].reshape(-1, 1, 8, 8)
    labels_N = table_NF[:, -1].long()
    classes = check_num_classes(10, num_classes, where="num_classes")
    indices = _classified(labels_N, params)
    mean, std = images_N[indices["train"]].mean(), images_N[indices["train"]].std()
    source = ResidentSource((images_N - mean) / std, labels_N)
    return Dataset(
        "digits",
        "classification",
        (1, 8, 8),
        classes,
        {name: _opener(source, picked) for name, picked in indices.items()},
        tuple(str(digit) for digit in range(10)),
    )


def load_bundled_table(name: str, params: SplitParams, num_classes: int | None) -> Dataset:
    """Iris, wine, breast_cancer (classification) or diabetes (regression), standardised."""
    if name == "diabetes":
        table = _read_diabetes()
        return tabular_dataset(name, table.features_NF, table.targets_N, params, num_classes=None)
    table = _read_table(_TABLES[name])
    classes = check_num_classes(len(table.class_names), num_classes, where="num_classes")
    return tabular_dataset(
        name,
        table.features_NF,
        table.targets_N,
        params,
        num_classes=classes,
        class_names=table.class_names,
    )


def tabular_dataset(
    name: str,
    features_NF: Tensor,
    targets_N: Tensor,
    params: SplitParams,
    *,
    num_classes: int | None,
    class_names: tuple[str, ...] = (),
    feature_names: tuple[str, ...] = (),
) -> Dataset:
    """Split a table and standardise its columns by the training split's mean and deviation.

    Without `num_classes` the targets are numbers (N, 1) to be predicted as they are.
    """
    if num_classes is None:
        indices = random_split(
            len(targets_N),
            val_fraction=params.val_fraction,
            test_fraction=params.test_fraction,
            seed=params.split_seed,
        )
        targets_N = targets_N.float().reshape(len(targets_N), 1)
    else:
        indices = _classified(targets_N, params)
    source = ResidentSource(_standardised(features_NF, indices["train"]), targets_N)
    return Dataset(
        name,
        "regression" if num_classes is None else "classification",
        (features_NF.shape[1],),
        num_classes,
        {split: _opener(source, picked) for split, picked in indices.items()},
        class_names,
        feature_names,
    )


def _standardised(features_NF: Tensor, train: Tensor) -> Tensor:
    """Columns over their mean and deviation in `train`; those that do not vary there only moved."""
    train_NF = features_NF[train]
    std_F = train_NF.std(dim=0, correction=min(1, len(train) - 1))
    std_F[std_F <= _ROUNDING * train_NF.abs().amax(dim=0)] = 1.0
    return ((features_NF - train_NF.mean(dim=0)) / std_F).float()


def _classified(labels_N: Tensor, params: SplitParams) -> dict[SplitName, Tensor]:
    return stratified_split(
        labels_N,
        val_fraction=params.val_fraction,
        test_fraction=params.test_fraction,
        seed=params.split_seed,
    )


def _opener(source: ResidentSource, indices_N: Tensor) -> Callable[[], Split]:
    return lambda: Split(source, indices_N)


def _read_table(filename: str) -> _Table:
    header, *rows = _read_rows(filename)
    values_NF = torch.tensor([[float(cell) for cell in row] for row in rows], dtype=torch.float64)
    return _Table(values_NF[:, :-1], values_NF[:, -1].long(), tuple(header[2:]))


def _read_diabetes() -> _Table:
    features = [
        [float(cell) for cell in row[0].split()] for row in _read_rows("diabetes_data_raw.csv.gz")
    ]
    targets = [float(row[0]) for row in _read_rows("diabetes_target.csv.gz")]
    return _Table(
        torch.tensor(features, dtype=torch.float64), torch.tensor(targets, dtype=torch.float64), ()
    )


def small_numbers(text: bytes) -> NDArray[np.float32]:
    """The whole numbers from 0 to 99 in `text`, with anything between them.

    They are read seven times as fast as by numpy, which took half the time of scoring a model.
    """
    bytes_N = np.frombuffer(b"," + text + b",", dtype=np.uint8)
    is_digit_N = (bytes_N >= ord("0")) & (bytes_N <= ord("9"))
    digits_N = np.where(is_digit_N, bytes_N - ord("0"), 0)
    last_N = np.flatnonzero(is_digit_N[:-1] & ~is_digit_N[1:])
    return (10 * digits_N[last_N - 1] + digits_N[last_N]).astype(np.float32)


def _read_rows(filename: str) -> list[list[str]]:
    return [line.split(",") for line in _read_lines(filename)]


def _read_lines(filename: str) -> list[str]:
    return [line.strip() for line in _read(filename).decode().splitlines() if line.strip()]


def _read(filename: str) -> bytes:
    path = folder_of_bundled_data() / filename
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except OSError as error:
        raise DatasetError(f"scikit-learn's bundled file is missing: {error}") from error


def folder_of_bundled_data() -> Path:
    """Return the folder in which scikit-learn keeps its data."""
    folder = bundled_folder()
    if folder is None:
        raise DatasetError(
            "this dataset is bundled with scikit-learn, which is not installed; "
            "run: pip install 'guildbus[research]'"
        )
    return folder
