"""Digits between bounds: exactly those numbers, as a reference counts them."""

import random
import re
from decimal import Decimal

import pytest

from agents.llm.structured.lark_writer import regex_of
from agents.llm.structured.numbers import decimals, integers


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
