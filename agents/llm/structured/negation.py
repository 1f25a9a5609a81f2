"""What holds where a schema does not: one of several others."""

from collections.abc import Callable
from typing import Any

from agents.llm.structured.errors import UnsupportedKeywordError
from agents.llm.structured.facts import TYPES, Schema

NOT_VALUES = "$notEnum"
NOT_PATTERN = "$notPattern"
NOT_INTEGER = "$notInteger"
"""Keywords of ours: none of these values; a text without a match; a number with a fraction."""

_OPPOSITE_BOUNDS = {
    "minimum": "exclusiveMaximum",
    "maximum": "exclusiveMinimum",
    "exclusiveMinimum": "maximum",
    "exclusiveMaximum": "minimum",
}
_OPPOSITE_COUNTS = {
    "minLength": ("string", "maxLength", -1),
    "maxLength": ("string", "minLength", 1),
    "minItems": ("array", "maxItems", -1),
    "maxItems": ("array", "minItems", 1),
    "minProperties": ("object", "maxProperties", -1),
    "maxProperties": ("object", "minProperties", 1),
}


def negated(
    schema: Schema,
    is_annotation: Callable[[str], bool],
    resolve: Callable[[str], Schema],
    *,
    keyword: str,
    path: str,
    is_partial: bool = False,
) -> list[Schema]:
    """Schemas for none of whose values `schema` holds; not all values that there are.

    Args:
        schema: what must not hold.
        is_annotation: which keywords say nothing about values.
        resolve: what a reference refers to.
        keyword: on whose behalf, for messages.
        path: where it stands, for messages.
        is_partial: leave out keywords whose opposite cannot be said, if there are others.

    Raises:
        UnsupportedKeywordError: the opposite of a keyword cannot be said.
    """
    if isinstance(schema, bool):
        return [] if schema else [True]
    found: list[Schema] = []
    unknown: list[UnsupportedKeywordError] = []
    for name, value in schema.items():
        try:
            if name == "$ref":
                found.append({"not": resolve(value)})
            elif not is_annotation(name):
                found += _negated_keyword(name, value, keyword, path)
        except UnsupportedKeywordError as error:
            unknown.append(error)
    if unknown and not (found and is_partial):
        raise unknown[0]
    return found


def _negated_keyword(name: str, value: Any, keyword: str, path: str) -> list[Schema]:
    if name in _OPPOSITE_BOUNDS:
        return [{"type": "number", _OPPOSITE_BOUNDS[name]: value}]
    if name in _OPPOSITE_COUNTS:
        type_, opposite, step = _OPPOSITE_COUNTS[name]
        return [{"type": type_, opposite: value + step}] if value + step >= 0 else []
    if name in _OPPOSITES:
        return _OPPOSITES[name](value)
    raise UnsupportedKeywordError(keyword, f"the opposite of {name!r} cannot be said", path=path)


_NUMBER: Schema = {"type": "number"}


def _other_types(value: str | list[str]) -> list[Schema]:
    types = [value] if isinstance(value, str) else value
    others = [t for t in TYPES if t not in (*types, "integer", "number")]
    found: list[Schema] = [{"type": others}] if others else []
    if "number" not in types:
        found.append({"type": "number", NOT_INTEGER: True} if "integer" in types else _NUMBER)
    return found


_OPPOSITES: dict[str, Callable[[Any], list[Schema]]] = {
    "type": _other_types,
    "const": lambda value: [{NOT_VALUES: [value]}],
    "enum": lambda values: [{NOT_VALUES: values}],
    NOT_VALUES: lambda values: [{"enum": values}],
    "required": lambda names: [{"type": "object", "properties": {name: False}} for name in names],
    "properties": lambda properties: [
        {"type": "object", "required": [name], "properties": {name: {"not": inner}}}
        for name, inner in properties.items()
    ],
    "pattern": lambda pattern: [{"type": "string", NOT_PATTERN: pattern}],
    "allOf": lambda schemas: [{"not": inner} for inner in schemas],
    "anyOf": lambda schemas: [{"allOf": [{"not": inner} for inner in schemas]}],
    "not": lambda schema: [schema],
}
