"""The table names tests that exist, every test of the matrix is in it, and rows have mutants."""

import ast
import re
from pathlib import Path

import tests.reliability.fault_matrix

MATRIX = Path(__file__).parent
TESTS = MATRIX.parents[1]
EXPOSED = re.compile(r"^    (mutants?\b|can fail: .+::)", re.MULTILINE)
NAMED = re.compile(r"([\w/]+\.py)::(\w+)")


def _named() -> set[tuple[Path, str]]:
    found = NAMED.findall(tests.reliability.fault_matrix.__doc__ or "")
    return {(_file(path), name) for path, name in found}


def _rows() -> list[str]:
    """Each with its tests and its mutant; one that only says where another is has neither."""
    _, *rows = re.split(r"^\* ", tests.reliability.fault_matrix.__doc__ or "", flags=re.MULTILINE)
    return [row for row in rows if "::" in row]


def _file(path: str) -> Path:
    return (TESTS if "/" in path else MATRIX) / path


def _tests_in(file: Path) -> set[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, functions)}
    return {name for name in names if name.startswith("test_")}


def test_every_test_that_the_table_names_exists() -> None:
    named = _named()

    assert named
    assert [f"{file}::{name}" for file, name in named if name not in _tests_in(file)] == []


def test_every_test_of_the_matrix_is_in_the_table() -> None:
    files = [file for file in MATRIX.glob("test_*.py") if file != Path(__file__)]
    there = {(file, name) for file in files for name in _tests_in(file)}

    assert there
    assert there <= _named()


def test_every_row_has_a_mutant_or_a_test_that_sees_its_check_fail() -> None:
    rows = _rows()

    assert rows
    assert [row for row in rows if not EXPOSED.search(row)] == []
