"""Numbers between bounds as expressions of digits.

Decimals have at most 15 significant digits, so that reading them as floats keeps them within their
bounds; integers have at most 18, which fit 64 bits.
"""

import sys
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

from agents.llm.structured.expression import (
    EMPTY,
    NOTHING,
    Expression,
    Literal,
    characters,
    choice,
    repeat,
    sequence,
)

SIGNIFICANT_DIGITS = 15
INTEGER_DIGITS = 18
FRACTION_DIGITS = 6
LARGEST = 10**SIGNIFICANT_DIGITS - 1
LARGEST_INTEGER = 10**INTEGER_DIGITS - 1
_LARGEST_FLOAT = Decimal(sys.float_info.max)

DIGIT = characters(("0", "9"))


def integers(low: int | None, high: int | None) -> Expression:
    """The integers from `low` to `high`, both included; without one, up to 18 digits."""
    if low is None:
        low = min(-LARGEST_INTEGER, LARGEST_INTEGER if high is None else high - LARGEST_INTEGER)
    if high is None:
        high = max(LARGEST_INTEGER, low + LARGEST_INTEGER)
    parts = []
    if low < 0:
        parts.append(sequence(Literal("-"), _naturals(max(1, -high), -low)))
    if high >= 0:
        parts.append(_naturals(max(0, low), high))
    return choice(parts)


def decimals(
    low: Decimal | None,
    high: Decimal | None,
    *,
    is_low_excluded: bool = False,
    is_high_excluded: bool = False,
    fraction_digits: int | None = None,
) -> Expression:
    """The decimal numbers between `low` and `high`, with at most so many digits after the point."""
    if low is not None and low > LARGEST:
        return _large(low, high, is_low_excluded, is_high_excluded)
    if high is not None and high < -LARGEST:
        largest = None if low is None else -low
        return sequence(Literal("-"), _large(-high, largest, is_high_excluded, is_low_excluded))
    bounds = [b for b in (low, high) if b is not None]
    whole = max([len(str(abs(int(b)))) for b in bounds] or [1])
    own = max([_fraction_length(b) for b in bounds] or [0])
    limit = max(own + 1, FRACTION_DIGITS) if fraction_digits is None else fraction_digits
    limit = max(0, min(limit, SIGNIFICANT_DIGITS - whole))
    far = Decimal(10 ** max(whole, SIGNIFICANT_DIGITS - limit) - 1)
    low = min(-far, -far if high is None else high - far) if low is None else low
    high = max(far, low + far) if high is None else high
    parts = []
    if low < 0:
        inner = _Decimals(
            max(Decimal(0), -high),
            -low,
            high >= 0 or is_high_excluded,
            is_low_excluded,
            limit,
        )
        parts.append(sequence(Literal("-"), inner.expression()))
    if high >= 0:
        is_excluded = is_low_excluded and low >= 0
        inner = _Decimals(max(Decimal(0), low), high, is_excluded, is_high_excluded, limit)
        parts.append(inner.expression())
    return choice(part for part in parts if part != NOTHING)


def _large(
    low: Decimal, high: Decimal | None, is_low_excluded: bool, is_high_excluded: bool
) -> Expression:
    """Numbers with more digits than are significant: the rest are zeros."""
    zeros = len(str(floor(low) + 1)) - SIGNIFICANT_DIGITS
    first = Fraction(low) / 10**zeros
    least = floor(first) + 1 if is_low_excluded else ceil(first)
    last = max(least, LARGEST)
    if low <= _LARGEST_FLOAT and (high is None or high > _LARGEST_FLOAT):
        high = _LARGEST_FLOAT  # what is larger is read as infinity
    if high is not None:
        end = Fraction(high) / 10**zeros
        last = min(last, ceil(end) - 1 if is_high_excluded else floor(end))
    return sequence(_naturals(least, last), Literal("0" * zeros))


def _naturals(low: int, high: int) -> Expression:
    if low > high:
        return NOTHING
    parts = []
    while low <= high:
        end = min(high, 10 ** len(str(low)) - 1)
        parts.append(_between(str(low), str(end)))
        low = end + 1
    return choice(parts)


def _between(low: str, high: str) -> Expression:
    """The digit strings from `low` to `high`, which are equally long."""
    if not low:
        return EMPTY
    first, last, rest = int(low[0]), int(high[0]), len(low) - 1
    if low[1:] == "0" * rest and high[1:] == "9" * rest:
        return sequence(_digits(first, last), repeat(DIGIT, rest, rest))
    if first == last:
        return sequence(Literal(low[0]), _between(low[1:], high[1:]))
    middle = sequence(_digits(first + 1, last - 1), repeat(DIGIT, rest, rest))
    return choice(
        [
            sequence(Literal(low[0]), _between(low[1:], "9" * rest)),
            *([middle] if first + 1 <= last - 1 else []),
            sequence(Literal(high[0]), _between("0" * rest, high[1:])),
        ]
    )


def _digits(first: int, last: int) -> Expression:
    if first > last:
        return NOTHING
    return Literal(str(first)) if first == last else characters((str(first), str(last)))


def _fraction_length(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)


class _Decimals:
    """Numbers without sign between two bounds, with a limit on the digits behind the point."""

    def __init__(
        self,
        low: Decimal,
        high: Decimal,
        is_low_excluded: bool,
        is_high_excluded: bool,
        limit: int,
    ) -> None:
        self._low, self._high = low, high
        self._open_low, self._open_high = is_low_excluded, is_high_excluded
        self._limit = limit

    def expression(self) -> Expression:
        if self._low > self._high:
            return NOTHING
        first, last = int(self._low), int(self._high)
        low, high = _fraction(self._low - first), _fraction(self._high - last)
        if first == last:
            return sequence(Literal(str(first)), self._fractions(low, high))
        return choice(
            [
                sequence(Literal(str(first)), self._fractions(low, None)),
                sequence(_naturals(first + 1, last - 1), self._fractions([], None, is_free=True)),
                sequence(Literal(str(last)), self._fractions(None, high)),
            ]
        )

    def _fractions(
        self, low: list[int] | None, high: list[int] | None, *, is_free: bool = False
    ) -> Expression:
        """What may follow the whole part: nothing, or a point and digits."""
        if is_free:
            low = high = None
        some = choice(self._starting(low, high, self._limit))
        point = NOTHING if some == NOTHING else sequence(Literal("."), some)
        return choice([*([EMPTY] if self._may_end(low, high) else []), point])

    def _digits_from(
        self, low: Sequence[int] | None, high: Sequence[int] | None, left: int
    ) -> Expression:
        if low is None and high is None:
            return repeat(DIGIT, 0, left)
        ends = [EMPTY] if self._may_end(low, high) else []
        return choice([*ends, *self._starting(low, high, left)])

    def _starting(
        self, low: Sequence[int] | None, high: Sequence[int] | None, left: int
    ) -> list[Expression]:
        """The digit strings that begin with each digit; None for a bound that holds already."""
        if left == 0:
            return []
        if low is None and high is None:
            return [sequence(DIGIT, repeat(DIGIT, 0, left - 1))]
        first = 0 if low is None else (low[0] if low else 0)
        last = 9 if high is None else (high[0] if high else 0)
        found = []
        for digit in range(first, last + 1):
            low_rest = None if low is None or digit > first else low[1:]
            high_rest = None if high is None or digit < last else high[1:]
            rest = self._digits_from(low_rest, high_rest, left - 1)
            if rest != NOTHING:
                found.append(sequence(Literal(str(digit)), rest))
        return found

    def _may_end(self, low: Sequence[int] | None, high: Sequence[int] | None) -> bool:
        """Whether a number that ends here is within the bounds it still touches."""
        is_above = low is None or (not any(low) and not self._open_low)
        is_below = high is None or any(high) or not self._open_high
        return is_above and is_below


def _fraction(value: Decimal) -> list[int]:
    text = f"{value.normalize():f}"
    return [int(digit) for digit in text.partition(".")[2]]
