"""Rows name tests that exist, every test of the matrix is in a row, and each row can fail."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from tests.reliability.fault_matrix.rows import MATRIX, Row
from tests.reliability.workers.mutants import MUTANTS
from tests.reliability.workers.orders import PLAIN

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]
FOLDER = HERE.relative_to(REPOSITORY).as_posix()

ROWS = [row for rows in MATRIX.values() for row in rows]
NAMED = {test for row in ROWS for test in row.named}


def _tests_in(file: Path) -> set[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, functions)}
    path = file.relative_to(REPOSITORY).as_posix()
    return {f"{path}::{name}" for name in names if name.startswith("test_")}


def _parameters(row: Row) -> Iterator[object]:
    """With what the tests of a row run that are at home in the matrix."""
    for test in row.tests:
        if test.startswith(FOLDER):
            path, name = test.split("::")
            module = import_module(path.removesuffix(".py").replace("/", "."))
            for mark in getattr(getattr(module, name), "pytestmark", ()):
                for values in mark.args[1]:
                    yield from values if isinstance(values, tuple) else (values,)


def test_every_test_that_a_row_names_exists() -> None:
    files = {REPOSITORY / test.partition("::")[0] for test in NAMED}

    assert NAMED
    assert NAMED - {test for file in files for test in _tests_in(file)} == set()


def test_every_test_of_the_matrix_is_in_a_row() -> None:
    files = [file for file in HERE.glob("test_*.py") if file != Path(__file__)]
    there = {test for file in files for test in _tests_in(file)}

    assert there
    assert there - NAMED == set()


def test_every_row_says_what_happens_what_holds_and_which_tests_check_it() -> None:
    assert [row for row in ROWS if not (row.fault and row.criterion and row.tests)] == []


def test_every_row_has_a_mutant_or_a_test_that_sees_its_check_fail() -> None:
    assert [row for row in ROWS if not (row.mutants or row.own_mutants or row.seen_failing)] == []


def test_every_row_runs_the_mutants_that_it_names() -> None:
    for row in ROWS:
        parameters = [*_parameters(row)]
        assert [name for name in row.mutants if name not in parameters] == [], row.fault


def test_every_mutant_of_the_workers_is_in_a_row() -> None:
    assert {name for row in ROWS for name in row.mutants} == {PLAIN, *MUTANTS}
