"""Tables from a CSV file with a header: numeric columns and one column to predict."""

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field

from agents.ml.config import require_known
from agents.ml.data.bundled import SplitParams, tabular_dataset
from agents.ml.data.dataset import Dataset, check_num_classes
from agents.ml.errors import DatasetError


class CsvParams(SplitParams):
    """Which file and columns; without `feature_columns` every column but the label is one."""

    data_path: str
    label_column: str
    target: Literal["classification", "regression"] = "classification"
    feature_columns: list[str] | None = Field(default=None, min_length=1)


def load_csv(params: CsvParams, num_classes: int | None) -> Dataset:
    """Read the table; features are standardised by the training split.

    Raises:
        DatasetError: naming file, line and column of a cell that is missing or no number.
    """
    path = Path(params.data_path)
    header, rows = read_csv(path)
    require_known(params.label_column, header, what="column", where="label_column")
    features = params.feature_columns or [name for name in header if name != params.label_column]
    for name in features:
        require_known(name, header, what="column", where="feature_columns")
    values_NF = torch.tensor(
        [[_number(row, name, line, path) for name in features] for line, row in rows],
        dtype=torch.float64,
    )
    if params.target == "regression":
        targets_N = torch.tensor(
            [_number(row, params.label_column, line, path) for line, row in rows]
        )
        return tabular_dataset("csv", values_NF, targets_N, params, num_classes=None)
    labels_N, names = class_indices([row[params.label_column] for _, row in rows])
    classes = check_num_classes(len(names), num_classes, where="num_classes")
    return tabular_dataset(
        "csv", values_NF, labels_N, params, num_classes=classes, class_names=names
    )


def read_csv(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Return the header and the rows with their line numbers.

    Raises:
        DatasetError: no such file, not UTF-8, empty, or a row of another length than the header.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _parse(csv.reader(file), path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"cannot be read as CSV: {error}", where=str(path)) from error


def class_indices(labels: list[str]) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Number the classes: by value when all are whole numbers from 0 up, else in sorted order."""
    names = sorted(set(labels))
    if all(name.isdecimal() for name in names):
        values = [int(label) for label in labels]
        top = max(values)
        if top < 2 * len(names) + 100:
            return torch.tensor(values), tuple(str(i) for i in range(top + 1))
    index = {name: i for i, name in enumerate(names)}
    return torch.tensor([index[label] for label in labels]), tuple(names)


def _parse(
    reader: Iterator[list[str]], path: Path
) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    header = [name.strip() for name in next(reader, [])]
    if len(set(header)) != len(header):
        raise DatasetError("two columns have the same name", where=f"{path}:1")
    rows: list[tuple[int, dict[str, str]]] = []
    for cells in reader:
        line = len(rows) + 2
        if not cells:
            continue
        if len(cells) != len(header):
            raise DatasetError(
                f"{len(cells)} cells under {len(header)} columns", where=f"{path}:{line}"
            )
        rows.append((line, dict(zip(header, cells, strict=True))))
    if not rows:
        raise DatasetError("has no rows under its header", where=str(path))
    return header, rows


def _number(row: dict[str, str], column: str, line: int, path: Path) -> float:
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DatasetError(
            f"column {column!r} holds {row[column]!r}, which is no number", where=f"{path}:{line}"
        )
    return value
