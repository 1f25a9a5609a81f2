"""Strings that fulfil a schema's limits: lengths, patterns, formats, excluded values."""

from collections.abc import Iterable
from dataclasses import replace

from agents.llm.structured.automaton import MAX_STATES, intersection
from agents.llm.structured.errors import UnsupportedKeywordError
from agents.llm.structured.expression import (
    NOTHING,
    Characters,
    Choice,
    Expression,
    Lexeme,
    Literal,
    Repeat,
    choice,
    repeat,
    sequence,
)
from agents.llm.structured.expression import Sequence as SequenceOf
from agents.llm.structured.facts import Facts
from agents.llm.structured.formats import STRING_FORMATS
from agents.llm.structured.json_text import QUOTE, dumped, encoded, quoted, string, written
from agents.llm.structured.regex import ANY, ANY_TEXT, read_regex

_LONGEST_SHOWN = 40

Conditions = list[tuple[Expression, bool]]


class Strings:
    """Writes strings as lexemes; what their automata need is added to `rules`."""

    def __init__(self, rules: dict[str, Expression]) -> None:
        self._rules = rules
        self._known: dict[tuple[tuple[tuple[Expression, bool], ...], int, int | None], Lexeme] = {}

    def expression(self, facts: Facts) -> Expression:
        """The strings that these facts allow.

        Raises:
            UnsupportedKeywordError: a format is not known, or a pattern is not regular.
            GrammarTooLargeError: the automaton of all limits together is.
        """
        conditions = self._conditions(facts)
        low, high = facts.min_length, facts.max_length
        if high is not None and low > high:
            return NOTHING
        if not conditions:
            return string(low, high)
        wanted = [expression for expression, is_wanted in conditions if is_wanted]
        shortest = max((_length(e)[0] for e in wanted), default=0)
        longest = min((n for e in wanted if (n := _length(e)[1]) is not None), default=None)
        low = low if shortest < low else 0
        high = None if high is None or (longest is not None and longest <= high) else high
        if len(conditions) == len(wanted) == 1 and low == 0 and high is None:
            return quoted(wanted[0])
        key = (tuple(conditions), low, high)
        if key not in self._known:
            self._known[key] = self._lexeme(conditions, low, high, facts.path)
        return self._known[key]

    def name(
        self, alternatives: Iterable[Facts], excluded: list[str], patterns: list[tuple[str, bool]]
    ) -> Expression:
        """A property's name: as one of `alternatives` allows, matching or not, and not excluded."""
        found: list[Expression] = []
        for facts in alternatives:
            if facts.values is not None:
                found += [
                    Lexeme(Literal(dumped(value)))
                    for value in facts.values
                    if isinstance(value, str) and value not in excluded
                ]
                continue
            more = replace(
                facts,
                patterns=(*facts.patterns, *patterns),
                not_values=(*facts.not_values, *excluded),
            )
            found.append(self.expression(more))
        return choice(e for e in found if e != NOTHING)

    def _conditions(self, facts: Facts) -> Conditions:
        found: Conditions = []
        for pattern, is_wanted in facts.patterns:
            parts = read_regex(pattern, is_search=True, is_wanted=is_wanted, path=facts.path)
            if len(parts) > 1 and not is_wanted:
                raise UnsupportedKeywordError(
                    "not", f"a pattern with lookaheads: {pattern!r}", path=facts.path
                )
            found += [(part, is_positive == is_wanted) for part, is_positive in parts]
        for name in facts.formats:
            if name not in STRING_FORMATS:
                raise UnsupportedKeywordError(
                    "format", f"{name[:_LONGEST_SHOWN]!r} is not known", path=facts.path
                )
            found += read_regex(STRING_FORMATS[name])
        excluded = [Literal(value) for value in facts.not_values if isinstance(value, str)]
        if excluded:
            found.append((choice(excluded), False))
        return [c for c in found if c != (ANY_TEXT, True)]

    def _lexeme(self, conditions: Conditions, low: int, high: int | None, path: str) -> Lexeme:
        name = f"p{len(self._rules)}"
        conditions = [(ANY_TEXT, True), *conditions]
        start, rules = intersection(conditions, written, name, path=path)
        if low or high is not None:
            if high is not None:
                high = max(low, min(high, MAX_STATES // len(rules) - 1))  # shorter ones are valid
            conditions.append((repeat(ANY, low, high), True))
            start, rules = intersection(conditions, written, name, path=path)
        self._rules.update(rules)
        both = (
            (sequence(QUOTE, encoded(part), QUOTE), is_wanted) for part, is_wanted in conditions
        )
        return Lexeme(sequence(QUOTE, start, QUOTE), tuple(both))


def _length(expression: Expression) -> tuple[int, int | None]:
    """The characters of its shortest and of its longest text; None for no limit."""
    match expression:
        case Literal(text):
            return len(text), len(text)
        case Characters():
            return 1, 1
        case SequenceOf(items):
            lengths = [_length(item) for item in items]
            longest = [high for _, high in lengths if high is not None]
            is_limited = len(longest) == len(lengths)
            return sum(low for low, _ in lengths), sum(longest) if is_limited else None
        case Choice(items):
            lengths = [_length(item) for item in items]
            longest = [high for _, high in lengths if high is not None]
            is_limited = len(longest) == len(lengths)
            return (
                min((low for low, _ in lengths), default=0),
                max(longest, default=0) if is_limited else None,
            )
        case Repeat(item, low, high):
            shortest, most = _length(item)
            longest_all = None if high is None or most is None else most * high
            return shortest * low, longest_all
        case _:
            return 0, None
