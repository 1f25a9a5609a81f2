r"""JSON's texts as expressions: strings and their escapes, literals, separators.

One form of each value: one space behind `,` and `:`, no exponents, `\u` escapes only where no
other escape exists.
"""

import json
from typing import Any

from agents.llm.structured.expression import (
    MAX_CODE_POINT,
    Characters,
    Choice,
    Expression,
    Lexeme,
    Literal,
    Ranges,
    Repeat,
    Rule,
    choice,
    inverted,
    overlap,
    ranges,
    repeat,
    sequence,
)
from agents.llm.structured.expression import Sequence as SequenceOf

PLAIN: Ranges = inverted(ranges([(0x00, 0x1F), (0x22, 0x22), (0x5C, 0x5C)]))
"""What stands in a string as it is."""

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}

COMMA = Rule(", ")
COLON = Rule(": ")
"""What stands between items and behind names; without the space where no token has one."""
QUOTE = Literal('"')


def written(pairs: Ranges) -> Expression:
    """One character of a string's value, as it stands between the quotes."""
    plain = overlap(pairs, PLAIN)
    return choice(
        [
            *([Characters(plain)] if plain else []),
            *(
                Literal(escape)
                for char, escape in _ESCAPES.items()
                if overlap(pairs, ((ord(char), ord(char)),))
            ),
        ]
    )


CHARACTER = written(((0, MAX_CODE_POINT),))


def encoded(value: Expression) -> Expression:
    """An expression of a string's value, as it stands between the quotes."""
    match value:
        case Literal(text):
            return Literal(json.dumps(text, ensure_ascii=False)[1:-1])
        case Characters(pairs):
            return written(pairs)
        case SequenceOf(items):
            return sequence(*(encoded(item) for item in items))
        case Choice(items):
            return choice(encoded(item) for item in items)
        case Repeat(item, low, high):
            return repeat(encoded(item), low, high)
        case _:
            raise AssertionError(value)


def string(low: int = 0, high: int | None = None) -> Lexeme:
    """Any string of so many characters."""
    return Lexeme(sequence(QUOTE, repeat(CHARACTER, low, high), QUOTE))


def quoted(value: Expression) -> Lexeme:
    """A string with this value."""
    return Lexeme(sequence(QUOTE, encoded(value), QUOTE))


def constant(value: Any) -> Expression:
    """This value and no other."""
    if isinstance(value, dict):
        members = [
            sequence(Lexeme(Literal(dumped(name))), COLON, constant(member))
            for name, member in value.items()
        ]
        return sequence(Lexeme(Literal("{")), *_separated(members), Lexeme(Literal("}")))
    if isinstance(value, list):
        items = [constant(item) for item in value]
        return sequence(Lexeme(Literal("[")), *_separated(items), Lexeme(Literal("]")))
    return Lexeme(Literal(dumped(value)))


def dumped(value: Any) -> str:
    """A scalar as JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _separated(items: list[Expression]) -> list[Expression]:
    separated: list[Expression] = []
    for item in items:
        separated += [COMMA, item] if separated else [item]
    return separated
