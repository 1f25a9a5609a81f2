"""What the keywords of one schema say about values, without looking into others."""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from agents.llm.structured.errors import UnsupportedKeywordError
from agents.llm.structured.facts import Bound, Facts, Part, Parts, Schema
from agents.llm.structured.formats import NUMBER_FORMATS
from agents.llm.structured.negation import NOT_INTEGER, NOT_PATTERN, NOT_VALUES


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ANNOTATIONS = _words(
    """
    title description default examples example deprecated readOnly writeOnly $comment $schema
    $defs definitions discriminator nullable externalDocs xml $vocabulary
    unevaluatedProperties then else
    """
)
_PLAIN = _words(
    """
    type minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength
    maxLength pattern format required minItems maxItems minProperties maxProperties
    """
)
_COMBINING = _words(
    """
    enum const $ref allOf anyOf oneOf not if properties additionalProperties patternProperties
    propertyNames dependentRequired dependentSchemas dependencies items prefixItems
    additionalItems uniqueItems contentEncoding
    """
)
_KNOWN = _PLAIN | _COMBINING | {NOT_VALUES, NOT_PATTERN, NOT_INTEGER}
_NEVER = {
    "$dynamicRef": "references must be known beforehand",
    "$recursiveRef": "references must be known beforehand",
    "$anchor": "name it under $defs instead",
    "$dynamicAnchor": "references must be known beforehand",
    "contains": "a grammar cannot count matching items",
    "minContains": "a grammar cannot count matching items",
    "maxContains": "a grammar cannot count matching items",
    "unevaluatedItems": "use items",
    "contentMediaType": "what is inside a string is not checked",
    "contentSchema": "what is inside a string is not checked",
    "$id": "only the whole schema may have one",
}


def is_annotation(keyword: str) -> bool:
    """Whether it says nothing about values."""
    return keyword in _ANNOTATIONS or keyword.startswith("x-")


def own_facts(schema: dict[str, Any], path: str, *, is_root: bool) -> Facts:
    """What a schema's own keywords say, without those that combine schemas.

    Raises:
        UnsupportedKeywordError: one of all its keywords is not known, or cannot be enforced.
    """
    _refuse(schema, path, is_root=is_root)
    types = schema.get("type")
    known = None if types is None else frozenset([types] if isinstance(types, str) else types)
    values = schema.get("enum")
    if "const" in schema:
        values = [schema["const"]]
    patterns = {
        pattern: (Part(inner, f"{path}/patternProperties/{pattern}"),)
        for pattern, inner in schema.get("patternProperties", {}).items()
    }
    first, items = _items(schema, path)
    others = schema.get("additionalProperties")
    facts = Facts(
        path=path,
        types=known,
        values=None if values is None else tuple(values),
        not_values=tuple(schema.get(NOT_VALUES, ())),
        plain=tuple(_plain(schema)),
        low=_bound(schema, "minimum", "exclusiveMinimum", is_low=True),
        high=_bound(schema, "maximum", "exclusiveMaximum", is_low=False),
        multiples=tuple(Decimal(str(schema[k])) for k in ("multipleOf",) if k in schema),
        number_formats=_formats(schema, is_number=True),
        has_fraction=NOT_INTEGER in schema,
        min_length=int(schema.get("minLength", 0)),
        max_length=_int(schema.get("maxLength")),
        patterns=tuple(
            (schema[k], k == "pattern") for k in ("pattern", NOT_PATTERN) if k in schema
        ),
        formats=_formats(schema, is_number=False),
        first_items=first,
        items=items,
        min_items=int(schema.get("minItems", 0)),
        max_items=_int(schema.get("maxItems")),
        is_unique=bool(schema.get("uniqueItems", False)),
        by_pattern=tuple(patterns.items()),
        others=None if others is None else (Part(others, f"{path}/additionalProperties"),),
        is_closed=schema.get("unevaluatedProperties") is False,
        names=_parts(schema, "propertyNames", path),
        required=tuple(schema.get("required", ())),
        min_properties=int(schema.get("minProperties", 0)),
        max_properties=_int(schema.get("maxProperties")),
    )
    for name, inner in schema.get("properties", {}).items():
        own = Part(inner, f"{path}/properties/{name}")
        by_pattern = facts.property_parts(name) if _matches(facts, name) else ()
        facts.named[name] = (own, *by_pattern)
    return facts


def numbered(schemas: list[Schema], path: str) -> Parts:
    """Schemas of a list, each with its place."""
    return tuple(Part(schema, f"{path}/{i}") for i, schema in enumerate(schemas))


def _refuse(schema: dict[str, Any], path: str, *, is_root: bool) -> None:
    for keyword, value in schema.items():
        if keyword == "$id" and is_root:
            continue
        if keyword in _NEVER:
            raise UnsupportedKeywordError(keyword, _NEVER[keyword], path=path)
        if keyword not in _KNOWN and not is_annotation(keyword):
            raise UnsupportedKeywordError(keyword, "it is not known", path=path)
        if keyword == "unevaluatedProperties" and value not in (True, False):
            raise UnsupportedKeywordError(
                keyword, "only true and false are possible; use additionalProperties", path=path
            )
        if keyword == "contentEncoding" and value not in ("base64", "base64url"):
            raise UnsupportedKeywordError(keyword, f"{value!r} is not known", path=path)


def _parts(schema: dict[str, Any], keyword: str, path: str) -> Parts:
    return (Part(schema[keyword], f"{path}/{keyword}"),) if keyword in schema else ()


def _items(schema: dict[str, Any], path: str) -> tuple[tuple[Parts, ...], Parts]:
    """The schemas of the first items, and that of all others; older drafts name them otherwise."""
    first, rest = schema.get("prefixItems", []), "items"
    if isinstance(schema.get("items"), list):
        first, rest = schema["items"], "additionalItems"
    keyword = "prefixItems" if rest == "items" else "items"
    listed = tuple((part,) for part in numbered(first, f"{path}/{keyword}"))
    return listed, _parts(schema, rest, path)


def _plain(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    plain = {k: v for k, v in schema.items() if k in _PLAIN}
    if plain:
        yield plain
    if NOT_VALUES in schema:
        yield {"not": {"enum": schema[NOT_VALUES]}}
    if NOT_PATTERN in schema:
        yield {"not": {"pattern": schema[NOT_PATTERN]}}
    if NOT_INTEGER in schema:
        yield {"not": {"type": "integer"}}


def _bound(schema: dict[str, Any], included: str, excluded: str, *, is_low: bool) -> Bound | None:
    if isinstance(schema.get(excluded), bool):  # draft 4
        is_excluded = schema[excluded]
        return Bound(Decimal(str(schema[included])), is_excluded) if included in schema else None
    both = [
        Bound(Decimal(str(schema[keyword])), keyword == excluded)
        for keyword in (included, excluded)
        if keyword in schema
    ]
    return max(both, key=lambda b: (b.value if is_low else -b.value, b.is_excluded), default=None)


def _formats(schema: dict[str, Any], *, is_number: bool) -> tuple[str, ...]:
    found = []
    if "format" in schema and (schema["format"] in NUMBER_FORMATS) == is_number:
        found.append(schema["format"])
    if "contentEncoding" in schema and not is_number:
        found.append(schema["contentEncoding"])
    return tuple(found)


def _int(value: Any) -> int | None:
    return None if value is None else int(value)


def _matches(facts: Facts, name: str) -> bool:
    return any(re.search(pattern, name) for pattern, _ in facts.by_pattern)
