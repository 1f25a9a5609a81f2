"""Whether two schemas can hold for the same value: what `oneOf` depends on."""

from collections.abc import Callable
from typing import Any

from agents.llm.structured.facts import TYPES, Facts, Part, Parts, same

_MAX_DEPTH = 4


class Disjointness:
    """Shows that no value is valid for two schemas.

    It says "no" where it cannot tell.

    Args:
        alternatives: reads schemas.
        is_valid: whether a value is valid for a schema without references.
    """

    def __init__(
        self,
        alternatives: Callable[[Parts], list[Facts]],
        is_valid: Callable[[Any, dict[str, Any]], bool],
    ) -> None:
        self._alternatives = alternatives
        self._is_valid = is_valid

    def holds(self, facts: Facts, other: Part) -> bool:
        """Whether no value can be both."""
        return self._holds([facts], self._alternatives((other,)), 0)

    def _holds(self, some: list[Facts], others: list[Facts], depth: int) -> bool:
        return all(self._apart(a, b, depth) for a in some for b in others)

    def _apart(self, a: Facts, b: Facts, depth: int) -> bool:
        types_a = _with_integers(TYPES if a.types is None else a.types)
        types_b = _with_integers(TYPES if b.types is None else b.types)
        shared = types_a & types_b
        if not shared:
            return True
        if a.values is not None or b.values is not None:
            return self._are_other_values(a, b)
        if shared == {"object"}:
            return self._are_other_objects(a, b, depth)
        return _is_beyond(a, b, shared) or _is_beyond(b, a, shared)

    def _are_other_values(self, a: Facts, b: Facts) -> bool:
        if a.values is None or b.values is None:
            listed, other = (b, a) if a.values is None else (a, b)
            return not any(self._allows(other, value) for value in listed.values or ())
        return not any(
            same(x, y) and self._allows(a, x) and self._allows(b, y)
            for x in a.values
            for y in b.values
        )

    def _allows(self, facts: Facts, value: Any) -> bool:
        """Whether the value may be valid; nested schemas are not looked at."""
        return all(self._is_valid(value, schema) for schema in facts.plain)

    def _are_other_objects(self, a: Facts, b: Facts, depth: int) -> bool:
        if depth > _MAX_DEPTH:
            return False
        for name in dict.fromkeys((*a.required, *b.required)):
            mine = self._alternatives(a.property_parts(name))
            theirs = self._alternatives(b.property_parts(name))
            is_in_both = name in a.required and name in b.required
            if self._holds(mine, theirs, depth + 1) and (is_in_both or not mine or not theirs):
                return True
        return False


def _with_integers(types: Any) -> frozenset[str]:
    found = frozenset(types)
    return (found - {"integer"}) | {"number"} if "integer" in found else found


def _is_beyond(a: Facts, b: Facts, shared: frozenset[str]) -> bool:
    """Whether all of `a` is less or shorter than `b`."""
    if shared == {"number"}:
        high, low = a.high, b.low
        if high is None or low is None:
            return False
        is_open = high.is_excluded or low.is_excluded
        return high.value < low.value or (high.value == low.value and is_open)
    if shared == {"array"}:
        return a.max_items is not None and a.max_items < b.min_items
    if shared == {"string"}:
        return a.max_length is not None and a.max_length < b.min_length
    return False
