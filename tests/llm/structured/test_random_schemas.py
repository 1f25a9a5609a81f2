"""Schemas that nobody would write: each is refused, or every answer is valid."""

import json
import random
from decimal import Decimal
from typing import Any

import jsonschema
import pytest

from agents.llm.structured import SchemaError, grammar_of_schema
from tests.llm.structured.decoding import TEMPERATURES, decode
from tests.llm.structured.vocabularies import vocabulary

SCHEMAS = 240
PARTS = 12
# The first ones hold every keyword; the others look for what only few schemas have together.
AT_ONCE = 4
LONGEST = 200
_DEEPEST = 3


class SchemaWriter:
    """Writes random schemas, with contradictions, references and combinations in them."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def document(self) -> dict[str, Any]:
        schema = self.schema(0)
        found = dict(schema) if isinstance(schema, dict) else {}
        found["$defs"] = {"p": self.schema(1), "q": self.schema(2)}
        return found

    def schema(self, depth: int) -> Any:
        kinds = [self._object, self._array, self._combination, self._reference]
        if depth > _DEEPEST or self._chance(0.35):
            return self._scalar()
        return self._random.choices(kinds, weights=[25, 15, 20, 5])[0](depth + 1)

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _scalar(self) -> Any:
        pick, count = self._random.choice, self._random.randint
        return pick(
            [
                {"type": "string"},
                {"type": "string", "minLength": count(0, 3), "maxLength": count(2, 6)},
                {"type": "string", "pattern": pick(["^a+$", "b", "^[a-c]{2,5}$", "(x|yy)z?$"])},
                {"type": "string", "format": pick(["date", "ipv4", "uuid"])},
                {"type": "integer", "minimum": count(-5, 5)},
                {"type": "integer", "exclusiveMaximum": count(-5, 5), "multipleOf": pick([1, 2])},
                {"type": "number", "exclusiveMinimum": pick([0, -1.5]), "maximum": pick([1, 2.75])},
                {"type": "number", "multipleOf": pick([0.1, 0.5, 2])},
                {"enum": self._random.sample([1, 1.5, "a", None, True, [1], {"a": 1}, "é"], 3)},
                {"const": pick([0, "x", None, False, {"k": "a"}])},
                {"type": self._random.sample(["null", "boolean", "integer", "string"], 2)},
                {"minimum": 2},
                True,
            ]
        )

    def _object(self, depth: int) -> Any:
        names = self._random.sample("abcdk", self._random.randint(0, 4))
        rare = {
            "additionalProperties": lambda: self._random.choice([False, self.schema(depth)]),
            "minProperties": lambda: self._random.randint(0, 2),
            "maxProperties": lambda: self._random.randint(1, 4),
            "patternProperties": lambda: {"^x": self.schema(depth)},
            "propertyNames": lambda: self._random.choice([{"maxLength": 2}, {"enum": ["a", "z"]}]),
            "dependentRequired": lambda: {"a": ["b"]},
            "not": lambda: {"required": [self._random.choice("abc")]},
        }
        found: dict[str, Any] = {"type": "object"} if self._chance(0.85) else {}
        found["properties"] = {name: self.schema(depth) for name in names}
        found["required"] = self._random.sample([*names, "e"], self._random.randint(0, 1))
        return found | {key: make() for key, make in rare.items() if self._chance(0.15)}

    def _array(self, depth: int) -> Any:
        rare = {
            "items": lambda: self.schema(depth),
            "prefixItems": lambda: [self.schema(depth), self.schema(depth)],
            "minItems": lambda: self._random.randint(0, 2),
            "maxItems": lambda: self._random.randint(1, 4),
        }
        return {"type": "array"} | {key: make() for key, make in rare.items() if self._chance(0.5)}

    def _combination(self, depth: int) -> Any:
        keyword = self._random.choice(["anyOf", "oneOf", "allOf", "if", "not"])
        if keyword == "not":
            return {"type": self._random.choice(["string", "object"]), "not": self.schema(depth)}
        if keyword == "if":
            return {
                "type": "object",
                "properties": {"k": {"enum": ["a", "b"]}, "a": self.schema(depth)},
                "if": {"properties": {"k": {"const": "a"}}},
                "then": self.schema(depth),
                "else": self.schema(depth),
            }
        parts = [self.schema(depth) for _ in range(self._random.randint(1, 3))]
        beside = self.schema(depth) if self._chance(0.3) else {}
        return {keyword: parts} | (beside if isinstance(beside, dict) else {})

    def _reference(self, depth: int) -> Any:
        return {"$ref": self._random.choice(["#", "#/$defs/p", "#/$defs/q"])}


@pytest.mark.parametrize(
    "part",
    [
        *range(AT_ONCE),
        *(pytest.param(part, marks=pytest.mark.long) for part in range(AT_ONCE, PARTS)),
    ],
)
def test_each_is_refused_or_every_answer_is_valid(part: int) -> None:
    accepted = 0
    for seed in range(part * SCHEMAS // PARTS, (part + 1) * SCHEMAS // PARTS):
        schema = SchemaWriter(seed).document()
        try:
            grammar = grammar_of_schema(schema)
            compiled = grammar.compile(vocabulary("byte-level"))
        except SchemaError:
            continue
        if compiled.needed_tokens > LONGEST:
            continue
        accepted += 1
        validator = jsonschema.Draft202012Validator(
            json.loads(json.dumps(schema), parse_float=Decimal),
            format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
        )
        for spare_tokens, temperature in zip((0, 4, 30), TEMPERATURES, strict=True):
            answer = decode(
                grammar,
                vocabulary("byte-level"),
                spare_tokens=spare_tokens,
                temperature=temperature,
                seed=seed,
            )
            validator.validate(json.loads(answer.text, parse_float=Decimal))
    assert accepted >= 8
