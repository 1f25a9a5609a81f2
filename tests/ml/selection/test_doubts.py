"""Data that makes figures look better than they are is told of, and other data is not."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from agents.ml.selection.doubts import giveaways
from tests.ml.selection.test_selection import dealt

COPIES = "held-out samples are among those that were learned from"


def write(path: Path, header: str, rows: Sequence[Sequence[object]]) -> dict[str, str]:
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines), "utf-8")
    return {"data_path": str(path), "label_column": "label"}


def noise(rows: int, columns: int = 2, classes: int = 2) -> list[list[Any]]:
    chance = Random(0)
    return [[*(chance.gauss() for _ in range(columns)), at % classes] for at in range(rows)]


def test_copies_across_the_split_are_told_of(tmp_path: Path) -> None:
    rows = [row for row in noise(60) for _ in range(5)]
    [doubt] = dealt(
        tmp_path, dataset="csv", dataset_params=write(tmp_path / "t.csv", "a,b,label", rows)
    )["doubts"]
    assert COPIES in doubt


def test_texts_that_stand_on_both_sides_are_told_of(tmp_path: Path) -> None:
    rows = [[f"text {at % 20}", "ab"[at % 2]] for at in range(100)]
    params = write(tmp_path / "t.csv", "text,label", rows)
    [doubt] = dealt(tmp_path, dataset="text_classification", dataset_params=params)["doubts"]
    assert COPIES in doubt


def test_one_copy_is_no_reason_to_doubt(tmp_path: Path) -> None:
    rows = [["" if at % 10 == 0 else f"text {at}", "ab"[at % 2]] for at in range(100)]
    params = write(tmp_path / "t.csv", "text,label", rows)
    assert dealt(tmp_path, dataset="text_classification", dataset_params=params)["doubts"] == []


@pytest.mark.parametrize("dataset", ["wine", "iris", "breast_cancer", "digits"])
def test_nothing_is_told_of_good_data(tmp_path: Path, dataset: str) -> None:
    assert dealt(tmp_path, dataset=dataset)["doubts"] == []


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_a_column_that_tells_the_class_is_named(tmp_path: Path, classes: int) -> None:
    codes = [5, 2, 9, 1, 7, 3, 8]
    rows = [[a, codes[label] + a / 1e6, label] for a, label in noise(200, 1, classes)]
    params = write(tmp_path / "t.csv", "a,paid back,label", rows)
    [doubt] = dealt(tmp_path, dataset="csv", dataset_params=params)["doubts"]
    assert doubt.startswith("Column 'paid back' alone tells the classes apart")


def told(columns: Any, labels: Any) -> list[str]:
    return list(giveaways(np.array(columns, dtype=float), np.array(labels), ()))


def test_a_column_without_a_name_is_told_by_its_place() -> None:
    assert told([[0, at % 2] for at in range(60)], [at % 2 for at in range(60)])[0].startswith(
        "Column 2 alone"
    )


def test_a_class_of_a_few_samples_neither_makes_nor_hides_a_giveaway() -> None:
    labels = [at % 2 for at in range(60)] + [2]
    assert told([[label] for label in labels[:-1]] + [[0]], labels)
    assert not told([[at] for at in range(61)], [0] * 58 + [1] * 3)


def test_a_column_that_nearly_tells_the_class_is_none() -> None:
    labels = [at % 2 for at in range(60)]
    assert not told([[label or at == 4] for at, label in enumerate(labels)], labels)
    assert not told([[0]] * 60, labels)


def test_columns_by_chance_are_none() -> None:
    chance = np.random.default_rng(0)
    assert not told(chance.normal(size=(40, 5000)), [at % 2 for at in range(40)])
