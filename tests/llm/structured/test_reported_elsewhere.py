"""What users of other systems reported; each is right here.

The reports: vllm 8350, 13683, 15577; sglang 37707; xgrammar 207, 418, 611; llama.cpp 7789, 19051;
guidance 1039; llguidance 2, 266; outlines 497, 1092, 1771; outlines-core 180; LocalAI 11020;
pydantic 13017.
"""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import jsonschema
import pytest
from pydantic import BaseModel, Field

from agents.llm.structured import (
    SchemaError,
    UnsatisfiableError,
    Vocabulary,
    grammar_of_choice,
    grammar_of_lark,
    grammar_of_schema,
    grammar_of_type,
)
from tests.llm.structured.decoding import decode
from tests.llm.structured.vocabularies import vocabulary


def answers(schema: Any, *, count: int = 40, spare_tokens: int = 25) -> list[Any]:
    grammar = grammar_of_schema(schema)
    texts = [
        decode(grammar, vocabulary("byte-level"), seed=seed, spare_tokens=spare_tokens).text
        for seed in range(count)
    ]
    for text in texts:
        jsonschema.validate(json.loads(text), schema)
    return [json.loads(text) for text in texts]


def test_an_answer_is_closed_before_its_tokens_run_out() -> None:
    schema = {
        "type": "object",
        "properties": {"age": {"type": "integer"}, "description": {"type": "string"}},
        "required": ["age", "description"],
    }

    for spare_tokens in range(12):
        assert answers(schema, count=5, spare_tokens=spare_tokens)


def test_whitespace_never_goes_on_and_on() -> None:
    grammar = grammar_of_schema({"type": "object", "properties": {"a": {}}, "required": ["a"]})
    matcher = grammar.compile(vocabulary("byte-level")).matcher(50)
    for sign in '{"a": ':
        matcher.accept(vocabulary("byte-level").spelling(sign.encode())[0])

    for blank in (b" ", b"\n", b"\t"):
        for token_id in vocabulary("byte-level").spelling(blank):
            assert not matcher.allowed()[token_id]


def test_a_pattern_keeps_its_lengths() -> None:
    schema = {"type": "string", "pattern": "^[a-z]+$", "minLength": 6, "maxLength": 9}

    assert all(6 <= len(answer) <= 9 for answer in answers(schema))


def test_a_known_property_is_never_written_as_an_unknown_one() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"const": "foo"}, "b": {"const": "bar"}},
        "required": ["b"],
        "additionalProperties": {"type": "integer"},
    }

    assert any(len(answer) > 2 for answer in answers(schema))


def test_alternatives_are_not_put_together() -> None:
    schema = {"anyOf": [{"type": "null"}, {"type": "boolean"}]}

    assert {str(answer) for answer in answers(schema)} == {"None", "True", "False"}


def test_letters_beyond_ascii_are_written_as_they_are() -> None:
    class Mood(BaseModel):
        mood: Literal["größte Freude", "开心", "Sjöfart"] = Field(alias="gefühl")

    grammar = grammar_of_type(Mood)
    texts = {decode(grammar, vocabulary("byte-level"), seed=seed).text for seed in range(30)}

    assert texts == {
        '{"gefühl": "größte Freude"}',
        '{"gefühl": "开心"}',
        '{"gefühl": "Sjöfart"}',
    }


def test_text_that_looks_like_a_special_token_is_spelt_in_others() -> None:
    tokens = [*(bytes([i]) for i in range(256)), b"", b""]
    made = Vocabulary(tokens, [257], encode=lambda text: [256] if text == "<think>" else [])
    matcher = grammar_of_choice(["<think>"]).compile(made).matcher(20)

    forced = matcher.forced()

    assert made.spelt_by(forced) == b"<think>"
    assert not {256, 257} & set(forced)


def test_a_text_may_be_the_beginning_of_another_one() -> None:
    grammar = grammar_of_lark('start: ("a" | "abq" | "c") ["bQ"]')
    texts = {decode(grammar, vocabulary("llama"), seed=seed).text for seed in range(80)}

    assert texts == {"a", "abq", "c", "abQ", "abqbQ", "cbQ"}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "^hello there indeed\\\\!$("},
        {"type": "object", "properties": {"a": {"type": "strange"}}},
        {"properties": []},
    ],
)
def test_a_broken_schema_never_means_an_answer_without_rules(schema: Any) -> None:
    with pytest.raises(SchemaError):
        grammar_of_schema(schema)


def test_a_reference_to_itself_ends_the_request_and_not_the_process() -> None:
    schema = {
        "$defs": {"A": {"$ref": "#/$defs/A"}},
        "oneOf": [{"type": "object", "properties": {"x": {"$ref": "#/$defs/A"}}}],
    }

    with pytest.raises(UnsatisfiableError, match="refers to itself"):
        grammar_of_schema(schema)


def test_a_recursive_schema_of_an_older_draft_is_followed() -> None:
    schema = {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "object",
        "required": ["ParentId", "Children"],
        "properties": {
            "ParentId": {"type": "string", "pattern": "^[a-z0-9]{10}$"},
            "Children": {"$ref": "#/definitions/children"},
        },
        "additionalProperties": False,
        "definitions": {
            "children": {"type": "array", "items": {"$ref": "#/definitions/child"}},
            "child": {
                "type": "object",
                "required": ["PathPart"],
                "additionalProperties": False,
                "properties": {
                    "PathPart": {"type": "string", "pattern": "^(\\{[\\w\\-]+\\})|([\\w\\-]+)$"},
                    "Children": {"$ref": "#/definitions/children"},
                },
            },
        },
    }

    assert any(answer["Children"] for answer in answers(schema, spare_tokens=60))


def test_decimals_of_pydantic_are_numbers_it_can_read() -> None:
    grammar = grammar_of_type(Decimal)

    for seed in range(20):
        text = decode(grammar, vocabulary("llama"), seed=seed).text
        assert grammar.parse(text) == Decimal(text)


def test_zero_is_excluded_in_each_of_its_spellings() -> None:
    schema = {"type": "number", "exclusiveMinimum": 0, "maximum": 0.01}

    assert all(answer > 0 for answer in answers(schema, count=80))


def test_date_times_exist_on_every_clock() -> None:
    """No second 60, no 30 February, no year 0."""
    for text in answers({"type": "string", "format": "date-time"}, count=80):
        assert datetime.fromisoformat(text).tzinfo is not None


def test_properties_may_be_called_like_keywords() -> None:
    names = ["nullable", "type", "enum", "$ref", "properties"]
    schema = {
        "type": "object",
        "properties": {name: {"type": "null"} for name in names} | {"nullable": True},
        "required": names,
    }

    assert all(set(answer) == set(names) for answer in answers(schema, count=5))


def test_excluded_bounds_of_draft_4_are_read() -> None:
    schema = {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "integer",
        "minimum": 0,
        "exclusiveMinimum": True,
        "maximum": 2,
    }

    assert set(answers(schema)) == {1, 2}


def test_listed_names_leave_no_other_property() -> None:
    schema = {
        "type": "object",
        "properties": {"z": {"type": "null"}},
        "propertyNames": {"enum": ["a", "b"]},
        "additionalProperties": {"type": "integer"},
    }

    assert {name for answer in answers(schema) for name in answer} == {"a", "b"}
