from typing import Any

import pytest

from agents.research.experiments import Trial
from agents.research.experiments.difference import changes, difference


def tried(config: dict[str, Any], code: str = "") -> Trial:
    return Trial.new(study="s", kind="quick", config=config, code=code)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({"lr": 0.1}, {"lr": 0.01}, ["lr 0.1 → 0.01"]),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}, ["a.b.c 1 → 2"]),
        ({"a.b": 1}, {"a": {"b": 1}}, [r"without a\.b", "a.b 1"]),
        ({"bias": True}, {"bias": False}, ["bias true → false"]),
        ({"n": 1}, {"n": "1"}, ['n 1 → "1"']),
        ({"n": 1}, {"n": True}, ["n 1 → true"]),
        ({"text": "x"}, {"text": ""}, ['text x → ""']),
        ({"layers": [1, 2]}, {"layers": []}, ["layers [1, 2] → []"]),
        ({"a": {}}, {"a": None}, ["a {} → null"]),
        ({"名": "é"}, {"名": "ü"}, ["名 é → ü"]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
    ],
)
def test_every_key_that_differs_is_told_with_both_values(
    old: dict[str, Any], new: dict[str, Any], told: list[str]
) -> None:
    assert changes(tried(old), tried(new)) == told


def test_code_that_differs_is_told_last() -> None:
    assert changes(tried({"a": 1}, "x = 1\n"), tried({"a": 2}, "x = 2\n")) == ["a 1 → 2", "code"]


def test_a_diff_of_code_without_a_last_line_end_stays_readable() -> None:
    shown = difference(tried({}, "a = 1"), tried({}, "a = 1\nb = 2"))

    assert shown.endswith(" a = 1\n+b = 2\n")
