"""CSV files as people have them: what is read, what is refused, and by which line."""

from pathlib import Path
from typing import Any

import pytest

from agents.ml.data import Dataset, load_dataset
from agents.ml.errors import DatasetError

ROWS = [f"{i}.5,{i % 7},{'yes' if i % 2 else 'no'}" for i in range(60)]


def load(tmp_path: Path, text: str, num_classes: int | None = None, **params: Any) -> Dataset:
    (tmp_path / "table.csv").write_bytes(text.encode())
    given = {"data_path": str(tmp_path / "table.csv"), "label_column": "label", **params}
    return load_dataset("csv", given, num_classes=num_classes)


def table(*rows: str, header: str = "a,b,label") -> str:
    return "\n".join([header, *rows]) + "\n"


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        (["", "", *ROWS, "x,1,yes"], 64),
        (['"1\n",2,no', *ROWS, "x,1,yes"], 64),  # a quoted cell goes over two lines
        (["x,1,yes", *ROWS], 2),
    ],
)
def test_a_cell_is_named_by_the_line_of_the_file(
    tmp_path: Path, rows: list[str], line: int
) -> None:
    with pytest.raises(DatasetError, match=rf"table\.csv:{line}: column 'a' holds 'x'"):
        load(tmp_path, table(*rows))


@pytest.mark.parametrize("cell", ["1_000", "nan", "inf", "\u0661", "0x10", "1,5", "", "1e999"])
def test_what_only_python_reads_as_a_number_is_none(tmp_path: Path, cell: str) -> None:
    with pytest.raises(DatasetError, match="which is no number"):
        load(tmp_path, table(f'"{cell}",1,yes', *ROWS))


@pytest.mark.parametrize("cell", ["-1.5e-3", ".5", "3.", "+7", " 8 "])
def test_numbers_are_read_as_they_are_written(tmp_path: Path, cell: str) -> None:
    assert load(tmp_path, table(f"{cell},1,yes", *ROWS)).input_shape == (2,)


@pytest.mark.parametrize("label", ["", "  "])
def test_an_empty_label_is_no_class(tmp_path: Path, label: str) -> None:
    with pytest.raises(DatasetError, match=r"table\.csv:3: column 'label' is empty"):
        load(tmp_path, table(ROWS[0], f"1,2,{label}", *ROWS))


@pytest.mark.parametrize(
    ("labels", "asked", "names", "classes"),
    [
        (["1", "2", "3"], None, ("1", "2", "3"), 3),
        (["1", "2", "3"], 3, ("1", "2", "3"), 3),
        (["1", "2", "10"], 3, ("1", "2", "10"), 3),  # in the order of numbers
        (["0", "1", "3"], None, ("0", "1", "2", "3"), 4),  # indices already
        (["1", "2"], 5, ("0", "1", "2"), 5),
        ([" no", "yes "], None, ("no", "yes"), 2),
        (["-1", "1"], None, ("-1", "1"), 2),
    ],
)
def test_classes_are_numbered_by_their_labels(
    tmp_path: Path, labels: list[str], asked: int | None, names: tuple[str, ...], classes: int
) -> None:
    rows = [f"{i},{i},{labels[i % len(labels)]}" for i in range(60)]

    dataset = load(tmp_path, table(*rows), asked)

    assert (dataset.class_names, dataset.num_classes) == (names, classes)


def test_a_cell_of_a_megabyte_is_read(tmp_path: Path) -> None:
    text = table(*(f'{i},"{"x" * 1_000_000}",{i % 2}' for i in range(20)), header="a,text,label")

    assert load(tmp_path, text, feature_columns=["a"]).num_classes == 2


def test_a_quote_that_is_never_closed_does_not_swallow_the_rest(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="unexpected end of data"):
        load(tmp_path, table(*ROWS[:30], '1,"2,no', *ROWS[30:]))
