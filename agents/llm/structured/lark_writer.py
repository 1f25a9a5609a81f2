"""Writes a grammar in llguidance's dialect of Lark.

llguidance reads lexemes greedily: once a lexeme could go on, a shorter one that has just ended is
given up. So what is written as one of its lexemes must never be a proper beginning of another
that may stand at the same place. `Lexeme` promises that; what stands outside of one is written
character by character, where it holds by itself.
"""

from collections.abc import Mapping

from agents.llm.structured.expression import (
    EMPTY,
    Characters,
    Choice,
    Expression,
    Lexeme,
    Literal,
    Repeat,
    Rule,
    Sequence,
)


def lark_of(start: Expression, rules: Mapping[str, Expression]) -> str:
    """The grammar as text."""
    return _Writer(rules).write(start)


class _Writer:
    def __init__(self, rules: Mapping[str, Expression]) -> None:
        self._rules = rules
        self._names: dict[str, str] = {}
        self._terminals: dict[Expression, str] = {}
        self._shared: dict[Expression, str] = {}
        self._lines: list[str] = []

    def write(self, start: Expression) -> str:
        self._lines.append(f"start: {self._expression(start)}")
        written = 0
        while written < len(self._names):
            name, alias = list(self._names.items())[written]
            written += 1
            self._lines.append(f"{alias}: {self._expression(self._rules[name])}")
        terminals = [f"{name}: {_terminal(lexeme)}" for lexeme, name in self._terminals.items()]
        return "\n".join(["%llguidance {}", *self._lines, *terminals, ""])

    def _expression(self, expression: Expression) -> str:
        match expression:
            case Lexeme() | Characters():
                return self._name_terminal(expression)
            case Literal(text):
                return " ".join(self._name_terminal(Literal(char)) for char in text) or '""'
            case Rule(name):
                return self._names.setdefault(name, f"r{len(self._names)}")
            case Sequence(items):
                return " ".join(self._part(item) for item in items) or '""'
            case Choice(items):
                some = [self._part(item) for item in items if item != EMPTY]
                both = f"({' | '.join(some)})" if some else '""'
                return f"{both}?" if some and len(some) < len(items) else both
            case Repeat(item, low, high):
                return f"({self._expression(item)}){_times(low, high)}"

    def _part(self, item: Expression) -> str:
        return (
            f"({self._expression(item)})" if isinstance(item, Sequence) else self._expression(item)
        )

    def _name_terminal(self, expression: Expression) -> str:
        return self._terminals.setdefault(expression, f"T{len(self._terminals)}")


def _terminal(expression: Expression) -> str:
    if isinstance(expression, Lexeme) and expression.both:
        return " & ".join(
            f"{'' if is_wanted else '~'}/{regex_of(part)}/" for part, is_wanted in expression.both
        )
    return f"/{regex_of(expression)}/"


def regex_of(expression: Expression) -> str:
    """An expression without rules as a regular expression."""
    match expression:
        case Literal(text):
            return "".join(_escaped(ord(char)) for char in text)
        case Characters(pairs):
            inner = "".join(
                _escaped(low) if low == high else f"{_escaped(low)}-{_escaped(high)}"
                for low, high in pairs
            )
            return f"[{inner}]" if inner else r"[^\x{0}-\x{10FFFF}]"
        case Sequence(items):
            return "".join(regex_of(item) for item in items)
        case Choice(items):
            return f"(?:{'|'.join(regex_of(item) for item in items)})"
        case Repeat(item, low, high):
            return f"(?:{regex_of(item)}){_times(low, high)}"
        case Lexeme(item):
            return regex_of(item)
        case Rule(name):
            raise AssertionError(f"{name} is a rule, and rules are not regular")


def _escaped(code: int) -> str:
    char = chr(code)
    return char if char.isascii() and char.isalnum() else f"\\x{{{code:X}}}"


def _times(low: int, high: int | None) -> str:
    if high is None:
        return {0: "*", 1: "+"}.get(low, f"{{{low},}}")
    return "?" if (low, high) == (0, 1) else f"{{{low},{high}}}"
