"""Numbers that fulfil a schema's limits."""

from decimal import Decimal
from math import ceil, floor, lcm

from agents.llm.structured.automaton import intersection
from agents.llm.structured.errors import UnsupportedKeywordError
from agents.llm.structured.expression import (
    NOTHING,
    Characters,
    Expression,
    Lexeme,
    Literal,
    characters,
    choice,
    optional,
    repeat,
    sequence,
)
from agents.llm.structured.facts import Bound, Facts
from agents.llm.structured.formats import NUMBER_FORMATS, STRING_FORMATS
from agents.llm.structured.numbers import (
    DIGIT,
    LARGEST,
    LARGEST_INTEGER,
    SIGNIFICANT_DIGITS,
    decimals,
    integers,
)

MAX_LISTED = 2_000
_MAX_ENDINGS = 1_000

_WITH_FRACTION = sequence(
    optional(Literal("-")),
    repeat(DIGIT, 1),
    Literal("."),
    repeat(DIGIT),
    characters(("1", "9")),
    repeat(DIGIT),
)

Rules = dict[str, Expression]


def number_expression(facts: Facts, rules: Rules, *, is_integer: bool) -> Expression:
    """The numbers, as one lexeme; what it needs is added to `rules`.

    Raises:
        UnsupportedKeywordError: they are multiples of what digits cannot show.
    """
    unknown = [name for name in facts.formats if name not in STRING_FORMATS]
    if unknown:
        raise UnsupportedKeywordError("format", f"{unknown[0]!r} is not known", path=facts.path)
    low, high = _limits(facts)
    are_integers = is_integer or any(m == int(m) for m in facts.multiples)
    if are_integers and facts.has_fraction:
        return NOTHING
    found = (_integers if are_integers else _decimals)(facts, low, high)
    if facts.has_fraction:
        found.append((_WITH_FRACTION, True))
    excluded = [
        v for v in facts.not_values if isinstance(v, int | float) and v not in (True, False)
    ]
    excluded += [int(v) for v in facts.not_values if v in (0, 1) and not isinstance(v, bool)]
    parts = [*found, *((_spellings(value), False) for value in dict.fromkeys(excluded))]
    if any(part == NOTHING for part, is_wanted in parts if is_wanted):
        return NOTHING
    if len(parts) == 1:
        return Lexeme(parts[0][0])
    start, more = intersection(parts, Characters, f"n{len(rules)}", path=facts.path)
    rules.update(more)
    return Lexeme(start, tuple(parts))


def _limits(facts: Facts) -> tuple[Bound | None, Bound | None]:
    low, high = facts.low, facts.high
    for name in facts.number_formats:
        limits = NUMBER_FORMATS[name]
        if limits is not None:
            least, most = (Decimal(limit) for limit in limits)
            low = Bound(least, False) if low is None or low.value < least else low
            high = Bound(most, False) if high is None or high.value > most else high
    return low, high


def _integers(facts: Facts, low: Bound | None, high: Bound | None) -> list[tuple[Expression, bool]]:
    first = None if low is None else _first_integer(low)
    last = None if high is None else _last_integer(high)
    if first is not None and first <= -LARGEST_INTEGER and (last is None or last > first):
        first = None if last is None or last > -LARGEST_INTEGER else first
    if last is not None and last >= LARGEST_INTEGER and (first is None or first < LARGEST_INTEGER):
        last = None
    if first is not None and last is not None and first > last:
        return [(NOTHING, True)]
    step = lcm(*(m.as_integer_ratio()[0] for m in facts.multiples)) if facts.multiples else 1
    if step == 1:
        return [(integers(first, last), True)]
    if first is not None and last is not None and (last - first) // step <= MAX_LISTED:
        start = -(-first // step) * step
        return [(choice(Literal(str(n)) for n in range(start, last + 1, step)), True)]
    return [(integers(first, last), True), (_multiples(step, facts.path), True)]


def _multiples(step: int, path: str) -> Expression:
    """The multiples of a divisor of a power of ten, which the last digits show."""
    digits = next((k for k in range(1, 10) if 10**k % step == 0), None)
    if digits is None or 10**digits // step > _MAX_ENDINGS:
        raise UnsupportedKeywordError(
            "multipleOf",
            f"the last digits do not show multiples of {step}; add minimum and maximum with at "
            f"most {MAX_LISTED} of them in between",
            path=path,
        )
    numbers = range(0, 10**digits, step)
    endings = choice(Literal(f"{n:0{digits}d}") for n in numbers)
    longer = sequence(characters(("1", "9")), repeat(DIGIT), endings)
    return sequence(optional(Literal("-")), choice([*(Literal(str(n)) for n in numbers), longer]))


def _decimals(facts: Facts, low: Bound | None, high: Bound | None) -> list[tuple[Expression, bool]]:
    if low is not None and low.value < -LARGEST and (high is None or high.value > -LARGEST):
        low = None
    if high is not None and high.value > LARGEST and (low is None or low.value < LARGEST):
        high = None
    if low is not None and high is not None and low.value > high.value:
        return [(NOTHING, True)]
    digits = [-_exponent(m) for m in facts.multiples if m == Decimal(1).scaleb(_exponent(m))]
    within = decimals(
        None if low is None else low.value,
        None if high is None else high.value,
        is_low_excluded=low is not None and low.is_excluded,
        is_high_excluded=high is not None and high.is_excluded,
        fraction_digits=min(digits, default=None),
    )
    if within == NOTHING and not facts.multiples and low and high and low.value < high.value:
        why = f"no number of at most {SIGNIFICANT_DIGITS} digits is between it and {high.value}"
        raise UnsupportedKeywordError("minimum", why, path=facts.path)
    others = [m for m in facts.multiples if m != Decimal(1).scaleb(_exponent(m))]
    return [(within, True), *((_fractions(m, facts.path), True) for m in others)]


def _fractions(step: Decimal, path: str) -> Expression:
    """The multiples of a part of one, which the digits behind the point show."""
    if 1 / step > _MAX_ENDINGS or 1 % step != 0:
        raise UnsupportedKeywordError(
            "multipleOf", f"digits do not show multiples of {step}", path=path
        )
    zeros = repeat(Literal("0"))
    endings = [
        sequence(Literal(f"{(n * step).normalize():f}"[1:]), zeros) for n in range(1, int(1 / step))
    ]
    whole = sequence(Literal("."), repeat(Literal("0"), 1))
    return sequence(optional(Literal("-")), repeat(DIGIT, 1), optional(choice([*endings, whole])))


def _spellings(value: float) -> Expression:
    text = f"{Decimal(str(value)).normalize():f}"
    zeros = repeat(Literal("0"), 1)
    if "." in text:
        return sequence(Literal(text), optional(zeros))
    return sequence(Literal(text), optional(sequence(Literal("."), zeros)))


def _first_integer(low: Bound) -> int:
    first = ceil(low.value)
    return first + 1 if low.is_excluded and first == low.value else first


def _last_integer(high: Bound) -> int:
    last = floor(high.value)
    return last - 1 if high.is_excluded and last == high.value else last


def _exponent(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return exponent
