"""Reads schemas: resolves references and combinations until only facts about values are left."""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

from agents.llm.structured.disjoint import Disjointness
from agents.llm.structured.errors import (
    GrammarSyntaxError,
    GrammarTooLargeError,
    UnsatisfiableError,
    UnsupportedKeywordError,
)
from agents.llm.structured.facts import Bound, Facts, Part, Parts, Schema
from agents.llm.structured.formats import NUMBER_FORMATS
from agents.llm.structured.negation import NOT_INTEGER, NOT_PATTERN, NOT_VALUES, negated

MAX_ALTERNATIVES = 1_000
_MAX_DEPTH = 100


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


_NO = (Part(schema=False, path="#"),)


class FactsReader:
    """Turns schemas that hold together into alternatives of facts.

    Args:
        root: the whole schema, which references point into.
        is_valid: whether a value is valid for a schema without references.
    """

    def __init__(self, root: Schema, is_valid: Callable[[Any, dict[str, Any]], bool]) -> None:
        self._root = root
        self._depth = 0
        # By the schemas' identities, which the parts keep alive.
        self._known: dict[tuple[int, ...], tuple[Parts, list[Facts]]] = {}
        self._is_valid = is_valid
        self._disjointness = Disjointness(self.alternatives, is_valid)

    def alternatives(self, parts: Parts) -> list[Facts]:
        """Facts of which one holds for each value that all of `parts` describe.

        Raises:
            SchemaError: something in them cannot be enforced.
        """
        key = tuple(id(part.schema) for part in parts)
        if key not in self._known:
            found = [Facts(parts[0].path if parts else "#")]
            for part in parts:
                found = _crossed(found, self._read(part), part.path)
            self._known[key] = parts, found
        return self._known[key][1]

    def _read(self, part: Part) -> list[Facts]:
        if isinstance(part.schema, bool):
            return [Facts(part.path)] if part.schema else []
        self._depth += 1
        try:
            if self._depth > _MAX_DEPTH:
                raise UnsatisfiableError(
                    "it refers to itself without a value in between", path=part.path
                )
            found = [self._own(part.schema, part.path)]
            for keyword, more in self._combined(part.schema, part.path):
                found = _crossed(found, more(found), f"{part.path}/{keyword}")
            return found
        finally:
            self._depth -= 1

    def _combined(
        self, schema: dict[str, Any], path: str
    ) -> Iterator[tuple[str, Callable[[list[Facts]], list[Facts]]]]:
        """The keywords that combine schemas, and what each of them adds to the facts so far."""
        for keyword, value in schema.items():
            here = f"{path}/{keyword}"
            if keyword == "$ref":
                target = Part(self._resolve(value, path), value)
                yield keyword, lambda _, t=target: self._read(t)  # type: ignore[misc]
            elif keyword == "allOf":
                parts = _numbered(value, here)
                yield keyword, lambda _, p=parts: self.alternatives(p)  # type: ignore[misc]
            elif keyword == "anyOf":
                parts = _numbered(value, here)
                yield keyword, lambda _, p=parts: self._any_of(p)  # type: ignore[misc]
            elif keyword == "oneOf":
                parts = _numbered(value, here)
                yield keyword, lambda so_far, p=parts: self._one_of(p, so_far)  # type: ignore[misc]
            elif keyword == "not":
                part = Part(value, here)
                yield keyword, lambda _, p=part: self._not(p, "not")  # type: ignore[misc]
            elif keyword == "if":
                yield keyword, lambda _, s=schema: self._if(s, path)  # type: ignore[misc]
            elif keyword in ("dependentRequired", "dependentSchemas", "dependencies"):
                for name, needed in value.items():
                    yield (
                        keyword,
                        lambda _, n=name, d=needed, h=here: self._dependent(n, d, h),  # type: ignore[misc]
                    )

    def _any_of(self, parts: Parts) -> list[Facts]:
        return [facts for part in parts for facts in self._read(part)]

    def _one_of(self, parts: Parts, so_far: list[Facts]) -> list[Facts]:
        """Each alternative, shown to be no other one at the same time, or made so."""
        found: list[Facts] = []
        for i, part in enumerate(parts):
            mine = [facts.settled() for facts in _crossed(so_far, self._read(part), part.path)]
            for j, other in enumerate(parts):
                if i != j:
                    mine = [facts for m in mine for facts in self._without(m, other, (i, j))]
            found += mine
        return found

    def _without(self, facts: Facts, other: Part, numbers: tuple[int, int]) -> list[Facts]:
        """The same where `other` does not hold."""
        if self._disjointness.holds(facts, other):
            return [facts]
        for name in self._needed(other):
            if name not in facts.required:
                absent = _crossed([facts], [Facts(other.path, named={name: _NO})], other.path)
                if absent:
                    return absent
        try:
            some = _crossed([facts], self._not(other, "oneOf", is_partial=True), other.path)
            return some or _crossed([facts], self._not(other, "oneOf"), other.path)
        except UnsupportedKeywordError as error:
            raise UnsupportedKeywordError(
                "oneOf",
                f"its alternatives {numbers[0]} and {numbers[1]} may both hold, and {error.why}; "
                "use anyOf, or a property with another const in each",
                path=other.path.rpartition("/oneOf/")[0],
            ) from error

    def _needed(self, part: Part) -> list[str]:
        """The properties that values need for this schema, if they are objects at all."""
        every = self.alternatives((part,))
        if not every or any(facts.types != frozenset({"object"}) for facts in every):
            return []
        return [n for n in every[0].required if all(n in facts.required for facts in every)]

    def _not(self, part: Part, keyword: str, *, is_partial: bool = False) -> list[Facts]:
        opposites = negated(
            part.schema,
            is_annotation,
            lambda ref: self._resolve(ref, part.path),
            keyword=keyword,
            path=part.path,
            is_partial=is_partial,
        )
        return self._any_of(tuple(Part(schema, part.path) for schema in opposites))

    def _if(self, schema: dict[str, Any], path: str) -> list[Facts]:
        if "then" not in schema and "else" not in schema:
            return [Facts(path)]
        condition = Part(schema["if"], f"{path}/if")
        then = Part(schema.get("then", True), f"{path}/then")
        otherwise = Part(schema.get("else", True), f"{path}/else")
        return [
            *self.alternatives((condition, then)),
            *_crossed(self._not(condition, "if"), self._read(otherwise), path),
        ]

    def _dependent(self, name: str, needed: Any, path: str) -> list[Facts]:
        there: Schema = {"required": needed} if isinstance(needed, list) else needed
        present = Part({"required": [name]}, path)
        absent = Part({"properties": {name: False}}, path)
        return [
            *self.alternatives((present, Part(there, f"{path}/{name}"))),
            *self._read(absent),
        ]

    def _resolve(self, ref: str, path: str) -> Schema:
        if not ref.startswith("#"):
            raise UnsupportedKeywordError("$ref", f"{ref!r} is not in this schema", path=path)
        target: Any = self._root
        for key in ref[1:].split("/")[1:]:
            name = unquote(key).replace("~1", "/").replace("~0", "~")
            try:
                target = target[int(name)] if isinstance(target, list) else target[name]
            except (KeyError, IndexError, ValueError, TypeError):
                raise GrammarSyntaxError(f"{ref!r} refers to nothing", path=path) from None
        if (ref != "#" and not ref.startswith("#/")) or not isinstance(target, dict | bool):
            raise GrammarSyntaxError(f"{ref!r} does not refer to a schema", path=path)
        return target

    def _own(self, schema: dict[str, Any], path: str) -> Facts:
        """What its own keywords say, without those that combine schemas."""
        self._refuse(schema, path)
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

    def _refuse(self, schema: dict[str, Any], path: str) -> None:
        for keyword, value in schema.items():
            if keyword == "$id" and schema is self._root:
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


_COMBINING = _words(
    """
    enum const $ref allOf anyOf oneOf not if properties additionalProperties patternProperties
    propertyNames dependentRequired dependentSchemas dependencies items prefixItems
    additionalItems uniqueItems contentEncoding
    """
)
_KNOWN = _PLAIN | _COMBINING | {NOT_VALUES, NOT_PATTERN, NOT_INTEGER}


def _crossed(a: list[Facts], b: list[Facts], path: str) -> list[Facts]:
    """Each of `a` together with each of `b`."""
    if len(a) * len(b) > MAX_ALTERNATIVES:
        raise GrammarTooLargeError(
            f"its combinations have more than {MAX_ALTERNATIVES} alternatives", path=path
        )
    return [both for x in a for y in b if (both := x.with_(y)) is not None]


def _numbered(schemas: list[Schema], path: str) -> Parts:
    return tuple(Part(schema, f"{path}/{i}") for i, schema in enumerate(schemas))


def _parts(schema: dict[str, Any], keyword: str, path: str) -> Parts:
    return (Part(schema[keyword], f"{path}/{keyword}"),) if keyword in schema else ()


def _items(schema: dict[str, Any], path: str) -> tuple[tuple[Parts, ...], Parts]:
    """The schemas of the first items, and that of all others; older drafts name them otherwise."""
    first, rest = schema.get("prefixItems", []), "items"
    if isinstance(schema.get("items"), list):
        first, rest = schema["items"], "additionalItems"
    keyword = "prefixItems" if rest == "items" else "items"
    numbered = tuple((part,) for part in _numbered(first, f"{path}/{keyword}"))
    return numbered, _parts(schema, rest, path)


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
