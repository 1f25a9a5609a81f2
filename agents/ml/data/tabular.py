"""Tables from a CSV file with a header: numeric columns and one column to predict."""

import csv
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import torch
from pydantic import Field

from agents.ml.config import require_known
from agents.ml.data.bundled import SplitParams, tabular_dataset
from agents.ml.data.dataset import Dataset, check_num_classes
from agents.ml.data.files import require_file, what_it_is
from agents.ml.data.label_kinds import NUMBER, require_classes
from agents.ml.errors import DatasetError

if TYPE_CHECKING:
    from _csv import Reader

_MOST_CELL_CHARS = 16 * 1024**2
_MOST = 3.4e38  # of 32 bits
_SHOWN = 20
_MISSING = {"na", "n/a", "nan", "null", "none", "?", "-", "inf", "-inf"}
_WHOLE = re.compile(r"[0-9]{1,9}", re.ASCII)
_NAMELESS = re.compile(r"|Unnamed: [0-9]+")  # pandas writes its index so, and reads it back so

Delimiter = Literal[",", ";", "\t", "|"]


class CsvParams(SplitParams):
    """Which file and columns; without `feature_columns` every column but the label is one."""

    data_path: str
    label_column: str
    target: Literal["classification", "regression"] = "classification"
    feature_columns: list[str] | None = Field(default=None, min_length=1)
    delimiter: Delimiter = ","


def load_csv(params: CsvParams, num_classes: int | None) -> Dataset:
    """Read the table; features are standardised by the training split.

    Raises:
        DatasetError: naming file, line and column of a cell that is missing or no number; labels
            that look like the target of a regression, unless `num_classes` says that they are not.
    """
    path = Path(params.data_path)
    header, rows = read_csv(path, params.delimiter)
    require_known(params.label_column, header, what="column", where="label_column")
    features = params.feature_columns or _all_others(header, params.label_column, path)
    for name in sorted(set(features) - set(header)):
        require_known(name, header, what="column", where="feature_columns")
    values_NF = torch.tensor(_values(rows, features, path), dtype=torch.float64)
    if params.target == "regression":
        targets_N = torch.tensor(
            [_number(row, params.label_column, line, path) for line, row in rows]
        )
        return tabular_dataset("csv", values_NF, targets_N, params, num_classes=None)
    labels = read_labels(rows, params.label_column, path)
    if num_classes is None:
        require_classes(
            labels,
            params.label_column,
            where=str(path),
            otherwise='; a trainer predicts the numbers themselves with "target": "regression"',
        )
    labels_N, names = class_indices(labels, num_classes)
    classes = check_num_classes(len(names), num_classes, where="num_classes")
    return tabular_dataset(
        "csv",
        values_NF,
        labels_N,
        params,
        num_classes=classes,
        class_names=names,
        feature_names=tuple(features),
    )


def _all_others(header: list[str], label_column: str, path: Path) -> list[str]:
    """Every column but the label.

    Raises:
        DatasetError: there are none, or one has no name: most often it counts the rows, and tells
            the label where they are sorted by it.
    """
    others = [name for name in header if name != label_column]
    if not others:
        raise DatasetError(
            f"has no column but {label_column!r}: there is nothing to predict it from",
            where=str(path),
        )
    for name in filter(_NAMELESS.fullmatch, others):
        raise DatasetError(
            f"column {header.index(name) + 1} is called {name!r}, as if it counted the rows; "
            "remove it, or say as 'feature_columns' which ones to predict from",
            where=f"{path}:1",
        )
    return others


def read_csv(
    path: Path, delimiter: Delimiter = ","
) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Return the header and the rows, of cells parted by `delimiter`, with their line numbers.

    Raises:
        DatasetError: no such file, not UTF-8, empty, parted by something else, or a row of
            another length than the header.
    """
    require_file(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            csv.field_size_limit(_MOST_CELL_CHARS)  # of this process, which reads nothing else
            return _parse(csv.reader(file, delimiter=delimiter, strict=True), path, delimiter)
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"cannot be read as CSV: {what_it_is(path)} (byte 0x{error.object[error.start]:02x})",
            where=str(path),
        ) from error
    except (OSError, csv.Error) as error:
        raise DatasetError(f"cannot be read as CSV: {error}", where=str(path)) from error


def read_labels(rows: list[tuple[int, dict[str, str]]], column: str, path: Path) -> list[str]:
    """The labels of all rows, without blanks around them.

    A word for what is missing is one where all others are numbers; else it may be a name.

    Raises:
        DatasetError: a row has none; names its line.
    """
    for line, row in rows:
        if not row[column].strip():
            raise DatasetError(
                f"column {column!r} is empty: this row has no label", where=f"{path}:{line}"
            )
    labels = [row[column].strip() for _, row in rows]
    odd = {label for label in labels if not NUMBER.fullmatch(label)}
    if len(odd) == 1 and len(set(labels)) > 1 and (word := min(odd)).lower() in _MISSING:
        raise DatasetError(
            f"column {column!r} holds {word!r} where all other labels are numbers: fill it in, or "
            "take the row out",
            where=f"{path}:{rows[labels.index(word)][0]}",
        )
    return labels


def class_indices(
    labels: list[str], num_classes: int | None = None
) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Number the classes.

    Whole numbers that are labels from 0 up already, with `num_classes` of them at most, stay as
    they are, also where one of them does not occur. All others are numbered in their order, so
    that labels 1, 2 and 3 become the classes "1", "2" and "3".

    Raises:
        DatasetError: all labels are the same.
    """
    names = sorted(set(labels))
    if len(names) == 1:
        raise DatasetError(f"every label is {names[0]!r}: there is nothing to tell apart")
    if all(_WHOLE.fullmatch(name) for name in names):
        names.sort(key=int)
        top = int(names[-1])
        if _are_indices(names, top, num_classes):
            return torch.tensor([int(label) for label in labels]), tuple(map(str, range(top + 1)))
    index = {name: i for i, name in enumerate(names)}
    return torch.tensor([index[label] for label in labels]), tuple(names)


def _are_indices(names: list[str], top: int, num_classes: int | None) -> bool:
    if num_classes is not None:
        return top < num_classes
    return names[0] == "0" and top < 2 * len(names) + 100


def _parse(
    reader: "Reader", path: Path, delimiter: str
) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    header = [name.strip() for name in next(filter(_holds_something, reader), [])]
    _check_header(header, path, delimiter)
    rows: list[tuple[int, dict[str, str]]] = []
    line = reader.line_num
    for cells in reader:
        first, line = line + 1, reader.line_num  # a quoted cell may go over several lines
        if not _holds_something(cells):
            continue
        if len(cells) != len(header):
            raise DatasetError(
                f"{len(cells)} cells under {len(header)} columns", where=f"{path}:{first}"
            )
        rows.append((first, dict(zip(header, cells, strict=True))))
    if not rows:
        raise DatasetError("has no rows under its header", where=str(path))
    return header, rows


def _holds_something(cells: list[str]) -> bool:
    """Whether a line is no blank one."""
    return len(cells) > 1 or bool("".join(cells).strip())


def _check_header(header: list[str], path: Path, delimiter: str) -> None:
    if header and header[0].lower().startswith("sep="):
        raise DatasetError(
            "its first line is a note for spreadsheets, not a header; remove it, and say as "
            "'delimiter' what parts the cells",
            where=f"{path}:1",
        )
    if any("\0" in name for name in header):
        raise DatasetError(f"cannot be read as CSV: {what_it_is(path)}", where=str(path))
    if len(header) == 1:
        found = next((other for other in get_args(Delimiter) if other in header[0]), None)
        if found:
            raise DatasetError(
                f"its cells seem to be parted by {found!r} and not by {delimiter!r}; say so as "
                "'delimiter'",
                where=f"{path}:1",
            )
    if len(set(header)) != len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise DatasetError(
            f"two columns have the same name: {twice!r}" if twice else "two columns have no name",
            where=f"{path}:1",
        )


def _values(
    rows: list[tuple[int, dict[str, str]]], features: list[str], path: Path
) -> list[list[float]]:
    try:
        return [[_number(row, name, line, path) for name in features] for line, row in rows]
    except DatasetError as error:
        whole = [
            repr(name)
            for name in features
            if all(NUMBER.fullmatch(row[name].strip()) for _, row in rows)
        ]
        more = [f"and {len(whole) - _SHOWN} more"] if len(whole) > _SHOWN else []
        raise DatasetError(
            f"{error}; numbers alone stand in {', '.join(whole[:_SHOWN] + more) or 'no column'}: "
            "say as 'feature_columns' which columns to predict from, and write numbers into these"
        ) from None


def _number(row: dict[str, str], column: str, line: int, path: Path) -> float:
    cell = row[column].strip()
    if not cell:
        raise DatasetError(f"column {column!r} is empty", where=f"{path}:{line}")
    value = float(cell) if NUMBER.fullmatch(cell) else math.nan
    if not abs(value) <= _MOST:
        problem = "no number" if math.isnan(value) else f"past the largest number, {_MOST:.1e}"
        raise DatasetError(
            f"column {column!r} holds {row[column]!r:.80}, which is {problem}",
            where=f"{path}:{line}",
        )
    return value
