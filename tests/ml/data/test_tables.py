"""CSV files as people have them: what is read, what is refused, and by which line."""

import gzip
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from agents.ml.data import Dataset, load_dataset
from agents.ml.data.splits import stratified_split
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


@pytest.mark.parametrize("cell", ["1_000", "nan", "inf", "\u0661", "0x10", "1,5"])
def test_what_only_python_reads_as_a_number_is_none(tmp_path: Path, cell: str) -> None:
    with pytest.raises(DatasetError, match="which is no number"):
        load(tmp_path, table(f'"{cell}",1,yes', *ROWS))


def test_what_could_be_predicted_from_is_told_with_what_could_not(tmp_path: Path) -> None:
    rows = [f"{i},Ada,2024-01-{i % 28 + 1},{i % 7},{i % 2}" for i in range(60)]
    with pytest.raises(DatasetError, match="numbers alone stand in 'a', 'b': say as 'feature_col"):
        load(tmp_path, table(*rows, header="a,name,day,b,label"))
    header = ",".join([f"f{i}" for i in range(24)] + ["name", "label"])
    with pytest.raises(DatasetError, match=r"'f18', 'f19', and 4 more: say"):
        load(tmp_path, table(*[f"{'1,' * 24}Ada,{i % 2}" for i in range(60)], header=header))
    with pytest.raises(DatasetError, match="in no column: say"):
        load(tmp_path, table(*["x,y,0"] * 60))


def test_a_cell_with_nothing_in_it_is_told_as_empty(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"table\.csv:2: column 'a' is empty; .* stand in 'b':"):
        load(tmp_path, table(" ,1,yes", *ROWS))


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


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_a_column_that_counts_the_rows_predicts_nothing_unless_it_is_asked_for(
    tmp_path: Path, name: str
) -> None:
    rows = [f"{i},{row}" for i, row in enumerate(ROWS)]
    counted = table(*rows, header=f"{name},a,b,label")

    with pytest.raises(DatasetError, match=r"column 1 is called .*counted the rows.*feature_col"):
        load(tmp_path, counted)

    assert load(tmp_path, counted, feature_columns=["a", "b"]).input_shape == (2,)
    assert load(tmp_path, counted, feature_columns=[name, "a"]).input_shape == (2,)


@pytest.mark.parametrize("value", ["0.1", "-3e38", "1e-300", "0"])
def test_a_column_that_does_not_vary_is_moved_to_zero(tmp_path: Path, value: str) -> None:
    rows = [f"{value},{i % 7},{'yes' if i % 2 else 'no'}" for i in range(60)]

    inputs, _ = load(tmp_path, table(*rows)).split("train").batch(torch.arange(30))

    assert float(inputs[:, 0].abs().max()) < 1e-6
    assert float(inputs[:, 1].std()) > 0.5


def test_three_rows_are_enough_for_numbers(tmp_path: Path) -> None:
    dataset = load(tmp_path, table("1,2,3", "4,5,6", "7,8,9"), target="regression")

    for split in ("train", "val", "test"):
        assert torch.isfinite(dataset.split(split).batch(torch.arange(1))[0]).all()


def test_what_spreadsheets_put_before_the_header_is_told(tmp_path: Path) -> None:
    text = table(*(row.replace(",", ";") for row in ROWS), header="sep=;\na;b;label")
    with pytest.raises(DatasetError, match="first line is a note for spreadsheets"):
        load(tmp_path, text, delimiter=";")

    assert load(tmp_path, f"\ufeff\n\n{table(*ROWS)}").input_shape == (2,)


def test_a_cell_of_a_megabyte_is_read(tmp_path: Path) -> None:
    text = table(*(f'{i},"{"x" * 1_000_000}",{i % 2}' for i in range(20)), header="a,text,label")

    assert load(tmp_path, text, feature_columns=["a"]).num_classes == 2


def test_a_quote_that_is_never_closed_does_not_swallow_the_rest(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="unexpected end of data"):
        load(tmp_path, table(*ROWS[:30], '1,"2,no', *ROWS[30:]))


LETTERED = "".join(f"{i},{2 * i},{'ab'[i % 2]}\n" for i in range(40))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (f"x1,x2,y\n{LETTERED}".encode("utf-16"), "UTF-16, or no text at all; save it as UTF-8"),
        (f"x1,x2,y\n{LETTERED}".encode("utf-16-le"), "UTF-16, or no text at all; save it as UTF-8"),
        (f"ä,x2,y\n{LETTERED}".encode("latin-1"), "no UTF-8 text; save it as UTF-8 .byte 0xe4"),
        (gzip.compress(f"x1,x2,y\n{LETTERED}".encode()), "packed by gzip; unpack it"),
        (b"PK\x03\x04\x99\xff", "zip file or a spreadsheet"),
        (f"x1;x2;y\n{LETTERED}".replace(",", ";").encode(), "parted by ';'.*'delimiter'"),
        (f"x1\tx2\ty\n{LETTERED}".replace(",", "\t").encode(), r"parted by '\\t'"),
        (f"x1,x1,y\n{LETTERED}".encode(), "two columns have the same name: 'x1'"),
        (
            f"x1,x2,y\n{LETTERED}".replace("12", "1e200").encode(),
            "which is past the largest number",
        ),
        (
            f"x1,x2,y\n{LETTERED}".replace("12", "1e999").encode(),
            "which is past the largest number",
        ),
        (f"x1,x2,y\n{LETTERED}".replace("b", "a").encode(), "every label is 'a'"),
        (b"y\na\nb\n" * 20, "no column but 'y'"),
    ],
)
def test_what_is_no_table_of_this_kind_says_what_it_is(
    tmp_path: Path, content: bytes, told: str
) -> None:
    (tmp_path / "t.csv").write_bytes(content)

    with pytest.raises(DatasetError, match=f"(?s){told}"):
        load_dataset("csv", {"data_path": str(tmp_path / "t.csv"), "label_column": "y"})


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_cells_may_be_parted_by_something_else(tmp_path: Path, delimiter: str) -> None:
    (tmp_path / "t.csv").write_text(f"\ufeffx1,x2,y\n{LETTERED}".replace(",", delimiter))
    params = {"data_path": str(tmp_path / "t.csv"), "label_column": "y", "delimiter": delimiter}

    assert load_dataset("csv", params).class_names == ("a", "b")


@pytest.mark.parametrize("name", ["fifo", "folder", "gone", "a\0b", "\ud800"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()

    with pytest.raises(DatasetError, match=r"is no regular file|cannot be read: "):
        load_dataset("csv", {"data_path": f"{tmp_path}/{name}", "label_column": "y"})


def test_a_table_of_many_columns_is_read_in_time_that_grows_with_them(tmp_path: Path) -> None:
    wide = 20_000
    header = ",".join([*(f"x{i}" for i in range(wide)), "y"])
    rows = "".join(f"{'1,' * wide}{'ab'[i % 2]}\n" for i in range(20))
    (tmp_path / "t.csv").write_text(f"{header}\n{rows}")
    started_s = time.process_time()

    dataset = load_dataset("csv", {"data_path": str(tmp_path / "t.csv"), "label_column": "y"})

    assert dataset.input_shape == (wide,)
    assert time.process_time() - started_s < 10


REGRESSION = "holds [0-9,]+ different numbers in [0-9,]+ rows, which looks like regression"


@pytest.mark.parametrize("word", ["NA", "nan", "NULL", "None", "?", "inf"])
@pytest.mark.parametrize("targets", [["0", "1"], [f"{n}.25" for n in range(60)]])
def test_a_word_for_what_is_missing_is_no_class_among_numbers(
    tmp_path: Path, word: str, targets: list[str]
) -> None:
    rows = [f"{n},{n % 7},{targets[n % len(targets)]}" for n in range(60)]
    rows[5] = f"5,5,{word}"
    with pytest.raises(
        DatasetError, match=rf"table\.csv:7: column 'label' holds '{re.escape(word)}'"
    ):
        load(tmp_path, table(*rows))


def test_a_class_may_be_called_like_what_is_missing(tmp_path: Path) -> None:
    rows = [f"{n},{n % 7},{('DE', 'NA', 'null')[n % 3]}" for n in range(60)]
    assert load(tmp_path, table(*rows)).class_names == ("DE", "NA", "null")
    rows = [f"{n},{n % 7},{('NA', 'x')[n % 2]}" for n in range(60)]
    assert load(tmp_path, table(*rows)).class_names == ("NA", "x")


@pytest.mark.parametrize(
    "labels",
    [
        [f"{100 + 1.37 * i:.2f}" for i in range(60)],  # prices
        [f"{i % 25}.5" for i in range(1000)],
        [f"{i / 7:e}" for i in range(8)],
        [str(25 + 3 * i) for i in range(60)],
        [str(100 + i % 200) for i in range(442)],  # as of diabetes: rounded, and some twice
    ],
    ids=["prices", "many halves", "few rows", "whole numbers", "whole numbers, some twice"],
)
def test_numbers_to_be_predicted_are_told_from_classes(tmp_path: Path, labels: list[str]) -> None:
    rows = table(*(f"{i},{i % 7},{label}" for i, label in enumerate(labels)))

    with pytest.raises(
        DatasetError, match=f"column 'label' {REGRESSION}.*label column.*ranges.*\"regression\""
    ):
        load(tmp_path, rows)

    assert load(tmp_path, rows, target="regression").num_classes is None


@pytest.mark.parametrize(
    "labels",
    [
        ["0.5", "1.0", "1.5", "2.0", "2.5"],  # marks
        ["1.0", "2.0"],  # as pandas writes classes where one was missing
        [str(i) for i in range(15)],
        [f"v{i / 7:.3f}" for i in range(15)],
    ],
)
def test_numbers_that_are_classes_stay_classes(tmp_path: Path, labels: list[str]) -> None:
    rows = table(*(f"{i},{i % 7},{labels[i % len(labels)]}" for i in range(150)))

    assert load(tmp_path, rows).num_classes == len(labels)


def test_numbers_are_classes_where_their_number_is_told(tmp_path: Path) -> None:
    rows = table(*(f"{i},{i % 7},{i % 25}.5" for i in range(1000)))

    assert load(tmp_path, rows, 25).num_classes == 25


def test_classes_of_one_row_each_are_told_as_that(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="30 samples of 30 classes are too few for a val split"):
        load(tmp_path, table(*(f"{i},1,name{i}" for i in range(30))))


def test_shares_that_leave_nothing_to_learn_from_are_named() -> None:
    labels = torch.tensor([0, 1] * 10)

    with pytest.raises(DatasetError, match=r"0\.5 and test_fraction 0\.5 take all"):
        stratified_split(labels, val_fraction=0.5, test_fraction=0.5, seed=0)
