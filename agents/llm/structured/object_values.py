"""Objects that fulfil a schema's limits: named members, others, how many there are."""

from collections.abc import Mapping

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
from agents.llm.structured.facts import Facts, Part, Parts
from agents.llm.structured.json_text import COLON, COMMA, dumped
from agents.llm.structured.string_values import Strings

_OPEN, _CLOSE = Lexeme(Literal("{")), Lexeme(Literal("}"))


class Objects:
    """Writes objects.

    Args:
        values: reads their members.
        strings: writes the names of those that the schema does not name.
    """

    def __init__(self, values: Values, strings: Strings) -> None:
        self._values = values
        self._strings = strings

    def expression(self, facts: Facts) -> Expression:
        """The objects that these facts allow.

        Raises:
            UnsupportedKeywordError: their unnamed members cannot be told apart.
        """
        refuse_excluded(facts, dict)
        members = {name: facts.property_parts(name) for name in (*facts.named, *facts.required)}
        extra = self._extra_members(facts, members)
        if facts.names:
            names = self._possible_names(facts)
            if names is not None:
                members |= {n: facts.property_parts(n) for n in names if n not in members}
                extra = NOTHING
            members = {n: p for n, p in members.items() if self._values.is_one_of(facts.names, n)}
            if any(name not in members for name in facts.required):
                return NOTHING
        if any(self._values.alternatives(members[name]) == [] for name in facts.required):
            return NOTHING
        return sequence(_OPEN, self._members(facts, members, extra), _CLOSE)

    def _possible_names(self, facts: Facts) -> list[str] | None:
        """The names that `propertyNames` lists, if it lists them."""
        found = self._values.finite((*facts.names, Part({"type": "string"}, facts.path)))
        return None if found is None else [str(name) for name in found]

    def _members(self, facts: Facts, members: Mapping[str, Parts], extra: Expression) -> Expression:
        names = list(members)
        low, high = facts.min_properties, facts.max_properties
        counts = low > len(facts.required) or high is not None
        pairs = {
            name: sequence(Lexeme(Literal(dumped(name))), COLON, self._values.value(parts))
            for name, parts in members.items()
            if name in facts.required or self._values.alternatives(parts)
        }
        known: dict[tuple[int, int], Expression] = {}

        def after(at: int, written: int) -> Expression:
            """What may follow the members before `at`, of which so many are written.

            Without limits it matters only whether there are any.
            """
            if at == len(names):
                return self._extras(facts, extra, written)
            if (at, written) not in known:
                name = names[at]
                more = min(written + 1, 1) if not counts else written + 1
                skipped = after(at + 1, written) if name not in facts.required else NOTHING
                taken: Expression = NOTHING
                if name in pairs:
                    taken = sequence(COMMA if written else EMPTY, pairs[name], after(at + 1, more))
                rule = f"o{len(self._values.rules)}"
                self._values.rules[rule] = choice(e for e in (taken, skipped) if e != NOTHING)
                known[at, written] = Rule(rule)
            return known[at, written]

        if not counts and all(name in facts.required for name in names):
            joined = [
                e for i, n in enumerate(names) for e in ((COMMA, pairs[n]) if i else (pairs[n],))
            ]
            return sequence(*joined, self._extras(facts, extra, min(len(names), 1)))
        return after(0, 0)

    def _extras(self, facts: Facts, extra: Expression, written: int) -> Expression:
        """Members that the schema does not name, behind those it names."""
        low = max(0, facts.min_properties - written)
        if facts.min_properties <= len(facts.required):
            low = 0
        high = None if facts.max_properties is None else facts.max_properties - written
        if high is not None and high < 0:
            return NOTHING
        if extra == NOTHING or high == 0:
            return EMPTY if low == 0 else NOTHING
        if low > 1:
            raise UnsupportedKeywordError(
                "minProperties",
                "a grammar cannot tell the names of several unnamed properties apart; name them, "
                "or list them by propertyNames and enum",
                path=facts.path,
            )
        if written:
            return repeat(sequence(COMMA, extra), low, high)
        rest = repeat(sequence(COMMA, extra), 0, None if high is None else high - 1)
        return choice([*([EMPTY] if low == 0 else []), sequence(extra, rest)])

    def _extra_members(self, facts: Facts, members: Mapping[str, Parts]) -> Expression:
        """One member that the schema does not name; none where it says nothing about those."""
        others = facts.others
        if others is None and not facts.named and not facts.by_pattern and not facts.is_closed:
            others = ()  # any object
        found = []
        patterns = [pattern for pattern, _ in facts.by_pattern]
        if len(patterns) > 1:
            raise UnsupportedKeywordError(
                "patternProperties", "only one pattern is possible", path=facts.path
            )
        allowed = self._values.alternatives((*facts.names, Part({"type": "string"}, facts.path)))
        for pattern, parts in facts.by_pattern:
            name = self._strings.name(allowed, list(members), [(pattern, True)])
            found.append(self._member(name, parts))
        if others is not None:
            excluded = [(pattern, False) for pattern in patterns]
            name = self._strings.name(allowed, list(members), excluded)
            found.append(self._member(name, others))
        return choice(member for member in found if member != NOTHING)

    def _member(self, name: Expression, parts: Parts) -> Expression:
        if name == NOTHING or not self._values.alternatives(parts):
            return NOTHING
        return sequence(name, COLON, self._values.value(parts))
