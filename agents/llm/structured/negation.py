"""What holds where a schema does not: one of several others."""

from collections.abc import Callable
from typing import Any

from agents.llm.structured.errors import UnsupportedKeywordError
from agents.llm.structured.facts import TYPES, Schema

NOT_VALUES = "$notEnum"
NOT_PATTERN = "$notPattern"
"""Keywords of ours: none of these values; a text without a match."""

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
) -> list[Schema]:
    """Schemas of which one holds for each value they describe; `schema` then does not.

    Args:
        schema: what must not hold.
        is_annotation: which keywords say nothing about values.
        resolve: what a reference refers to.
        keyword: on whose behalf, for messages.
        path: where it stands, for messages.

    Raises:
        UnsupportedKeywordError: it has a keyword whose opposite cannot be said.
    """
    if isinstance(schema, bool):
        return [] if schema else [True]
    found: list[Schema] = []
    for name, value in schema.items():
        if name == "$ref":
            found.append({"not": resolve(value)})
        elif not is_annotation(name):
            found += _negated_keyword(name, value, keyword, path)
    return found


def _negated_keyword(
    name: str, value: Any, keyword: str, path: str
) -> list[Schema]:
    if name == "type":
        return _other_types([value] if isinstance(value, str) else value)
    if name in ("const", "enum"):
        return [{NOT_VALUES: [value] if name == "const" else value}]
    if name == NOT_VALUES:
        return [{"enum": value}]
    if name == "required":
        return [{"type": "object", "properties": {key: False}} for key in value]
    if name == "properties":
        return [
            {"type": "object", "required": [key], "properties": {key: {"not": inner}}}
            for key, inner in value.items()
        ]
    if name in _OPPOSITE_BOUNDS:
        return [{"type": "number", _OPPOSITE_BOUNDS[name]: value}]
    if name in _OPPOSITE_COUNTS:
        type_, opposite, step = _OPPOSITE_COUNTS[name]
        return [{"type": type_, opposite: value + step}] if value + step >= 0 else []
    if name == "pattern":
        return [{"type": "string", NOT_PATTERN: value}]
    if name in ("allOf", "anyOf"):
        nots = [{"not": inner} for inner in value]
        return list(nots) if name == "allOf" else [{"allOf": nots}]
    if name == "not":
        return [value]
    raise UnsupportedKeywordError(keyword, f"the opposite of {name!r} cannot be said", path=path)


def _other_types(types: list[str]) -> list[Schema]:
    # Numbers that are no integers cannot be told apart, so neither of the two is left.
    excluded = {*types, *(("integer", "number") if {"integer", "number"} & set(types) else ())}
    others = [t for t in TYPES if t not in excluded]
    return [{"type": others}] if others else []
