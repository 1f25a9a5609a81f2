"""Reads schemas: resolves references and combinations until only facts about values are left."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

from agents.llm.structured.disjoint import Disjointness
from agents.llm.structured.errors import (
    GrammarSyntaxError,
    GrammarTooLargeError,
    UnsatisfiableError,
    UnsupportedKeywordError,
)
from agents.llm.structured.facts import Facts, Part, Parts, Schema
from agents.llm.structured.negation import negated
from agents.llm.structured.own_facts import is_annotation, numbered, own_facts

MAX_ALTERNATIVES = 1_000
_MAX_DEPTH = 100
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
            found = [own_facts(part.schema, part.path, is_root=part.schema is self._root)]
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
                parts = numbered(value, here)
                yield keyword, lambda _, p=parts: self.alternatives(p)  # type: ignore[misc]
            elif keyword == "anyOf":
                parts = numbered(value, here)
                yield keyword, lambda _, p=parts: self._any_of(p)  # type: ignore[misc]
            elif keyword == "oneOf":
                parts = numbered(value, here)
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


def _crossed(a: list[Facts], b: list[Facts], path: str) -> list[Facts]:
    """Each of `a` together with each of `b`."""
    if len(a) * len(b) > MAX_ALTERNATIVES:
        raise GrammarTooLargeError(
            f"its combinations have more than {MAX_ALTERNATIVES} alternatives", path=path
        )
    return [both for x in a for y in b if (both := x.with_(y)) is not None]
