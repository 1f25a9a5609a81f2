"""What a schema says about a value, once references and combinations are resolved."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")

Schema = dict[str, Any] | bool


@dataclass(frozen=True)
class Part:
    """A schema, and where it stands."""

    schema: Schema
    path: str


Parts = tuple[Part, ...]
"""Schemas that hold together."""


@dataclass(frozen=True)
class Bound:
    value: Decimal
    is_excluded: bool


@dataclass(frozen=True)
class Facts:
    """Requirements that all hold; None and empty ones require nothing.

    Attributes:
        types: the types it may have; None for any.
        values: it is one of these.
        not_values: it is none of these.
        plain: the same as schemas without references to others, to test given values with.
        path: where it stands.
        named: the schemas of properties by name.
        others: those of all other properties; None where the schema does not mention them, and
            then they are not written.
        is_closed: others are forbidden by `unevaluatedProperties`.
    """

    path: str
    types: frozenset[str] | None = None
    values: tuple[Any, ...] | None = None
    not_values: tuple[Any, ...] = ()
    plain: tuple[dict[str, Any], ...] = ()
    low: Bound | None = None
    high: Bound | None = None
    multiples: tuple[Decimal, ...] = ()
    number_formats: tuple[str, ...] = ()
    has_fraction: bool = False
    min_length: int = 0
    max_length: int | None = None
    patterns: tuple[tuple[str, bool], ...] = ()
    formats: tuple[str, ...] = ()
    first_items: tuple[Parts, ...] = ()
    items: Parts = ()
    min_items: int = 0
    max_items: int | None = None
    is_unique: bool = False
    named: dict[str, Parts] = field(default_factory=dict)
    by_pattern: tuple[tuple[str, Parts], ...] = ()
    others: Parts | None = None
    is_closed: bool = False
    names: Parts = ()
    required: tuple[str, ...] = ()
    min_properties: int = 0
    max_properties: int | None = None

    def property_parts(self, name: str) -> Parts:
        """What it says about the property of this name."""
        if name in self.named:
            return self.named[name]
        matching = [parts for pattern, parts in self.by_pattern if re.search(pattern, name)]
        if matching:
            return tuple(part for parts in matching for part in parts)
        return self.others or ()

    def with_(self, other: "Facts") -> "Facts | None":
        """Both together; None where their types contradict each other."""
        types = _both_types(self.types, other.types)
        if types is not None and not types:
            return None
        count = max(len(self.first_items), len(other.first_items))
        names = dict.fromkeys((*self.named, *other.named))
        return Facts(
            path=self.path,
            types=types,
            values=_both_values(self.values, other.values),
            not_values=self.not_values + other.not_values,
            plain=self.plain + other.plain,
            low=_stricter(self.low, other.low, is_low=True),
            high=_stricter(self.high, other.high, is_low=False),
            multiples=_once(self.multiples + other.multiples),
            number_formats=_once(self.number_formats + other.number_formats),
            has_fraction=self.has_fraction or other.has_fraction,
            min_length=max(self.min_length, other.min_length),
            max_length=_least(self.max_length, other.max_length),
            patterns=_once(self.patterns + other.patterns),
            formats=_once(self.formats + other.formats),
            first_items=tuple(self.item_parts(i) + other.item_parts(i) for i in range(count)),
            items=self.items + other.items,
            min_items=max(self.min_items, other.min_items),
            max_items=_least(self.max_items, other.max_items),
            is_unique=self.is_unique or other.is_unique,
            named={n: _once(self.property_parts(n) + other.property_parts(n)) for n in names},
            by_pattern=self.patterns_beside(other) + other.patterns_beside(self),
            others=_both_others(self.others, other.others),
            is_closed=self.is_closed or other.is_closed,
            names=self.names + other.names,
            required=_once(self.required + other.required),
            min_properties=max(self.min_properties, other.min_properties),
            max_properties=_least(self.max_properties, other.max_properties),
        )

    def patterns_beside(self, other: "Facts") -> tuple[tuple[str, Parts], ...]:
        """Its patterns; what matches is among the other properties for `other`."""
        known = {pattern for pattern, _ in other.by_pattern}
        return tuple(
            (pattern, parts if pattern in known else parts + (other.others or ()))
            for pattern, parts in self.by_pattern
        )

    def item_parts(self, index: int) -> Parts:
        """What it says about the item at this place."""
        return self.first_items[index] if index < len(self.first_items) else self.items

    def settled(self) -> "Facts":
        """The same for the types that it would be written with."""
        return replace(self, types=frozenset(self.possible_types()))

    def of_type(self, type_: str) -> "Facts":
        """The same for one type."""
        return replace(self, types=frozenset([type_]))

    def possible_types(self) -> list[str]:
        """The types it may have; those that its keywords are about, where it names none."""
        if self.types is not None:
            return [t for t in TYPES if t in self.types]
        hinted = [type_ for type_, is_hinted in self._hints() if is_hinted]
        return hinted or [t for t in TYPES if t != "integer"]

    def _hints(self) -> Iterable[tuple[str, bool]]:
        yield "number", bool(self.low or self.high or self.multiples or self.number_formats)
        yield (
            "string",
            bool(self.min_length or self.max_length is not None or self.patterns or self.formats),
        )
        yield (
            "array",
            bool(
                self.first_items
                or self.items
                or self.min_items
                or self.max_items is not None
                or self.is_unique
            ),
        )
        yield (
            "object",
            bool(
                self.named
                or self.by_pattern
                or self.others is not None
                or self.names
                or self.required
                or self.min_properties
                or self.max_properties is not None
            ),
        )


def same(a: Any, b: Any) -> bool:
    """Whether two JSON values are equal; 1 equals 1.0, but not true."""
    return bool(identity(a) == identity(b))


def identity(value: Any) -> Any:
    """Something that can be hashed, and is equal for equal JSON values only."""
    if isinstance(value, dict):
        return "{}", frozenset((key, identity(inner)) for key, inner in value.items())
    if isinstance(value, list):
        return "[]", tuple(identity(item) for item in value)
    return type(value) if isinstance(value, bool) else None, value


def _both_types(a: frozenset[str] | None, b: frozenset[str] | None) -> frozenset[str] | None:
    if a is None or b is None:
        return b if a is None else a
    both = a & b
    if "integer" in a | b and "number" in a | b:
        both |= {"integer"} if "integer" in (a if "number" in b else b) else frozenset()
    return both


def _both_values(a: tuple[Any, ...] | None, b: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
    if a is None or b is None:
        return b if a is None else a
    known = {identity(value) for value in b}
    return tuple(value for value in a if identity(value) in known)


def _both_others(a: Parts | None, b: Parts | None) -> Parts | None:
    if a is None or b is None:
        return b if a is None else a
    both: Parts = _once(a + b)
    return both


def _stricter(a: Bound | None, b: Bound | None, *, is_low: bool) -> Bound | None:
    if a is None or b is None:
        return b if a is None else a
    if a.value == b.value:
        return a if a.is_excluded else b
    return a if (a.value > b.value) == is_low else b


def _least(a: int | None, b: int | None) -> int | None:
    return min((x for x in (a, b) if x is not None), default=None)


def _once(items: Any) -> Any:
    kept: list[Any] = []
    for item in items:
        if item not in kept:
            kept.append(item)
    return tuple(kept)
