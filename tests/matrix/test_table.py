"""The table names tests that exist, and every test of the matrix is in it."""

import ast
import re
from pathlib import Path

import tests.matrix

MATRIX = Path(__file__).parent
TESTS = MATRIX.parent
NAMED = re.compile(r"([\w/]+\.py)::(\w+)")


def _named() -> set[tuple[Path, str]]:
    found = NAMED.findall(tests.matrix.__doc__ or "")
    return {(_file(path), name) for path, name in found}


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
