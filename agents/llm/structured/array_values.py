"""Arrays that fulfil a schema's limits: first items, lengths, items that differ."""

from agents.llm.structured.any_values import Values, refuse_excluded
from agents.llm.structured.errors import UnsupportedKeywordError
from agents.llm.structured.expression import (
    EMPTY,
    NOTHING,
    Expression,
    Lexeme,
    Literal,
    Rule,
    choice,
    repeat,
    sequence,
)
from agents.llm.structured.facts import Facts
from agents.llm.structured.json_text import COMMA, constant

MAX_UNIQUE_VALUES = 64

_FIRST, _LAST = Lexeme(Literal("[")), Lexeme(Literal("]"))


class Arrays:
    """Writes arrays.

    Args:
        values: reads their items.
        are_sets_deduplicated: the reader of the answer drops repeated items of sets.
    """

    def __init__(self, values: Values, *, are_sets_deduplicated: bool) -> None:
        self._values = values
        self._are_sets_deduplicated = are_sets_deduplicated

    def expression(self, facts: Facts) -> Expression:
        """The arrays that these facts allow.

        Raises:
            UnsupportedKeywordError: their items cannot be told apart, or single ones are excluded.
        """
        refuse_excluded(facts, list)
        low, high = facts.min_items, facts.max_items
        first = facts.first_items[:high]
        if (
            facts.is_unique
            and not (self._are_sets_deduplicated and low <= 1)
            and high not in (0, 1)
        ):
            return self._set(facts)
        is_open = bool(facts.items) or not first or low > len(first)
        if not is_open:
            high = len(first)
        others = self._more_items(facts, len(first), low, high)
        for i in range(len(first) - 1, -1, -1):
            others = sequence(COMMA if i else EMPTY, self._values.value(first[i]), others)
            others = others if i < low else choice([EMPTY, others])
        return sequence(_FIRST, others, _LAST)

    def _more_items(self, facts: Facts, at: int, low: int, high: int | None) -> Expression:
        """The items from `at` on."""
        if high is not None and high <= at:
            return EMPTY if low <= at else NOTHING
        item = self._values.value(facts.items)
        left = None if high is None else high - at
        if at:
            return repeat(sequence(COMMA, item), max(0, low - at), left)
        rest = repeat(sequence(COMMA, item), max(0, low - 1), None if left is None else left - 1)
        return choice([*([EMPTY] if low == 0 else []), sequence(item, rest)])

    def _set(self, facts: Facts) -> Expression:
        """Items that differ, in the order in which their values are listed."""
        values = None if facts.first_items else self._values.finite(facts.items)
        if values is None or len(values) > MAX_UNIQUE_VALUES:
            raise UnsupportedKeywordError(
                "uniqueItems",
                f"items can be told apart only if the schema lists at most {MAX_UNIQUE_VALUES} of "
                "them; use enum for the items, or maxItems 1, or leave it out",
                path=facts.path,
            )
        high = len(values) if facts.max_items is None else min(facts.max_items, len(values))
        known: dict[tuple[int, int], Expression] = {}

        def after(at: int, count: int) -> Expression:
            """What may follow when `count` items are written, the last before `at`."""
            if (at, count) not in known:
                name = f"s{len(self._values.rules)}"
                known[at, count] = Rule(name)
                self._values.rules[name] = NOTHING
                self._values.rules[name] = choice(
                    [
                        *([EMPTY] if count >= facts.min_items else []),
                        *(
                            sequence(
                                COMMA if count else EMPTY,
                                constant(values[i]),
                                after(i + 1, count + 1),
                            )
                            for i in range(at, len(values))
                            if count < high
                        ),
                    ]
                )
            return known[at, count]

        return sequence(_FIRST, after(0, 0), _LAST)
