"""Digits between bounds: exactly those numbers, as a reference counts them."""

import math
import random
import re
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import Field

from agents.llm.structured import UnsupportedKeywordError, grammar_of_schema, grammar_of_type
from agents.llm.structured.lark_writer import regex_of
from agents.llm.structured.numbers import decimals, integers
from tests.llm.structured.decoding import TEMPERATURES, decode
from tests.llm.structured.vocabularies import vocabulary


def expression(found: object) -> re.Pattern[str]:
    text = regex_of(found)  # type: ignore[arg-type]
    return re.compile(re.sub(r"\\x\{([0-9A-F]+)\}", lambda m: re.escape(chr(int(m[1], 16))), text))


def pairs(seed: int, count: int) -> list[tuple[int, int]]:
    chooser = random.Random(seed)
    lows = [chooser.randint(-300, 300) for _ in range(count)]
    return [(low, low + chooser.choice([0, 1, 7, 60, 400])) for low in lows]


@pytest.mark.parametrize(("low", "high"), [(0, 0), (-1, 1), (99, 100), (-10, -9), *pairs(0, 40)])
def test_integers_are_those_between_the_bounds(low: int, high: int) -> None:
    matches = expression(integers(low, high)).fullmatch

    for number in range(-800, 801):
        assert bool(matches(str(number))) == (low <= number <= high)
    assert not matches("-0")
    assert not matches("00")


@pytest.mark.parametrize("is_excluded", [False, True])
@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 0), *pairs(1, 40)])
def test_decimals_are_those_between_the_bounds(low: int, high: int, is_excluded: bool) -> None:
    chooser = random.Random(low)
    least, most = Decimal(low) / 100, Decimal(high) / 10
    if least > most:
        least, most = most, least
    matches = expression(
        decimals(least, most, is_low_excluded=is_excluded, is_high_excluded=is_excluded)
    ).fullmatch

    for _ in range(300):
        near = chooser.choice([least, most, least + (most - least) * chooser.randint(0, 99) / 99])
        number = (near + Decimal(chooser.randint(-3, 3)) / 1000).quantize(
            Decimal(1).scaleb(-chooser.randint(0, 6))
        )
        text = f"{number:f}" if number else "0"
        expected = least < number < most if is_excluded else least <= number <= most
        assert bool(matches(text)) == expected, (least, most, text)


def test_an_excluded_zero_is_in_none_of_its_spellings() -> None:
    matches = expression(decimals(Decimal(0), None, is_low_excluded=True)).fullmatch

    assert not any(matches(text) for text in ("0", "0.0", "0.000000", "-0", "-0.0", "-1"))
    assert matches("0.000001")
    assert matches("5.0")


@pytest.mark.parametrize("text", ["01", "1.", ".5", "+1", "1e5", "--1", "", "-"])
def test_what_json_does_not_know_as_a_number_is_none(text: str) -> None:
    assert not expression(decimals(None, None)).fullmatch(text)
    assert not expression(integers(None, None)).fullmatch(text)


FAR = [
    {"ge": 1e300},
    {"gt": 1e16},
    {"lt": -1e20},
    {"gt": 2**53},
    {"gt": 999_999_999_999_999},
    {"gt": 9_999_999_999_999_995},
    {"ge": 1e16, "le": 3e16},
    {"gt": 1e308},
    {"gt": 0.1, "lt": 0.100_000_000_1},
]


@pytest.mark.parametrize("limits", FAR, ids=str)
@pytest.mark.parametrize("type_", [float, Decimal], ids=lambda type_: type_.__name__)
def test_limits_far_from_zero_are_kept_by_what_is_read(limits: dict[str, Any], type_: type) -> None:
    """1e300 was refused as nested too deeply, and 10000000000000001 is no float above 1e16."""
    grammar = grammar_of_type(Annotated[type_, Field(**limits)])

    for seed in range(9):
        answer = decode(grammar, vocabulary("llama"), seed=seed, temperature=TEMPERATURES[seed % 3])

        assert math.isfinite(float(grammar.parse(answer.text)))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "number", "minimum": 1e30, "multipleOf": 0.01},
        {"type": "integer", "multipleOf": 1e-300},
        {"type": "integer", "enum": [1e300, 1e-300]},
        {"type": "integer", "minimum": 10**400},
        {"type": "number", "minimum": -(10**400), "maximum": -1e300},
    ],
    ids=lambda schema: str(schema)[:50],
)
def test_numbers_that_no_decimal_of_28_digits_holds_are_checked(schema: dict[str, Any]) -> None:
    grammar = grammar_of_schema(schema)

    grammar.parse(decode(grammar, vocabulary("llama"), seed=1).text)


@pytest.mark.parametrize(("low", "high"), [(0, 1e-300), (1e16 + 2, 1e16 + 4)])
def test_limits_between_which_no_number_is_written_are_told_to_be(low: float, high: float) -> None:
    with pytest.raises(
        UnsupportedKeywordError, match="no number of at most 15 digits is between it"
    ):
        grammar_of_schema({"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": high})
