"""What cannot be enforced is refused before anything is generated, quickly and by name."""

from typing import Any

import pytest
from pydantic import BaseModel, FutureDate, Json

from agents.llm.engines.errors import InvalidRequestError
from agents.llm.structured import (
    BudgetTooSmallError,
    GrammarSyntaxError,
    GrammarTooLargeError,
    SchemaError,
    UnsatisfiableError,
    UnsupportedKeywordError,
    VocabularyError,
    grammar_of_choice,
    grammar_of_schema,
    grammar_of_type,
    vocabulary_of,
)
from tests.llm.structured.vocabularies import tokenizer, vocabulary


def compiled(schema: Any) -> Any:
    return grammar_of_schema(schema).compile(vocabulary("byte-level"))


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"contains": {"const": 1}}, "contains"),
        ({"type": "array", "uniqueItems": True, "items": {"type": "integer"}}, "uniqueItems"),
        ({"$ref": "https://example.com/schema"}, r"\$ref"),
        ({"$dynamicRef": "#a"}, r"\$dynamicRef"),
        ({"type": "string", "format": "zip-code"}, "format"),
        ({"type": "string", "contentMediaType": "application/json"}, "contentMediaType"),
        ({"type": "string", "pattern": r"^(a+)\1$"}, "pattern"),
        ({"type": "string", "pattern": r"a(?=b)"}, "pattern"),
        ({"type": "integer", "multipleOf": 7}, "multipleOf"),
        ({"type": "number", "multipleOf": 0.3}, "multipleOf"),
        ({"type": "object", "minProperties": 2}, "minProperties"),
        ({"patternProperties": {"^a": True, "b$": True}}, "patternProperties"),
        ({"unevaluatedItems": False}, "unevaluatedItems"),
        ({"oneOf": [{"format": name, "type": "string"} for name in ("date", "time")]}, "oneOf"),
        ({"not": {"format": "date"}}, "not"),
        ({"type": "string", "minlength": 3}, "minlength"),
    ],
    ids=str,
)
def test_a_keyword_that_cannot_be_enforced_is_named(schema: Any, keyword: str) -> None:
    with pytest.raises(UnsupportedKeywordError, match=f"'{keyword}' cannot be enforced: ."):
        compiled(schema)


def test_the_refusal_says_where_the_keyword_stands() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array", "contains": {}}}}

    with pytest.raises(UnsupportedKeywordError) as refused:
        compiled(schema)

    assert refused.value.path == "#/properties/a"
    assert refused.value.keyword == "contains"


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"enum": []},
        {"type": "integer", "minimum": 5, "maximum": 3},
        {"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"const": 3, "type": "string"},
        {"type": "string", "minLength": 3, "maxLength": 2},
        {"type": "string", "pattern": "^a{5}$", "maxLength": 4},
        {"type": "array", "minItems": 2, "maxItems": 1},
        {"type": "array", "items": False, "minItems": 1},
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        {"$ref": "#"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}},
        {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]},
    ],
    ids=str,
)
def test_a_schema_that_no_text_satisfies_is_refused(schema: Any) -> None:
    with pytest.raises(UnsatisfiableError):
        compiled(schema)


@pytest.mark.parametrize(
    "schema",
    [
        [],
        {"type": "strin"},
        {"minimum": "3"},
        {"$ref": "#/$defs/missing"},
        {"pattern": "("},
        {"minimum": float("nan")},
        {"const": "\ud800"},
        {"const": {1, 2}},
    ],
    ids=ascii,
)
def test_what_is_no_schema_is_refused(schema: Any) -> None:
    with pytest.raises(GrammarSyntaxError):
        compiled(schema)


@pytest.mark.parametrize(
    "schema",
    [
        nested(400),
        nested(100_000 // 50),
        {"allOf": [{"anyOf": [{"minimum": i} for i in range(10)]}] * 4},
        {"type": "string", "pattern": "^(a|b)*a(a|b){16}$", "maxLength": 400},
        {"type": "string", "pattern": "^(.{0,500}a){20}$", "maxLength": 3000},
        {"description": "x" * 1_000_001},
    ],
    ids=["deep", "deeper", "product", "exponential", "wide", "long"],
)
@pytest.mark.timeout(30)
def test_what_is_too_large_is_refused_soon(schema: Any) -> None:
    with pytest.raises(GrammarTooLargeError):
        compiled(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": [f"value {i}" for i in range(10_000)]},
        {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(200)}},
        {"anyOf": [{"properties": {"k": {"const": i}}, "required": ["k"]} for i in range(300)]},
        {"type": "string", "maxLength": 10**9},
        {"type": "array", "maxItems": 10**9, "items": {"type": "string"}},
        {"type": "string", "pattern": "^(a+)+$", "maxLength": 10**6},
        nested(60),
        {
            "$defs": {
                f"d{i}": {"items": {"$ref": f"#/$defs/d{(i + 1) % 150}"}} for i in range(150)
            },
            "$ref": "#/$defs/d0",
        },
    ],
    ids=["enum", "properties", "anyOf", "long", "many", "pattern", "deep", "references"],
)
@pytest.mark.timeout(30)
def test_what_is_large_is_compiled_soon(schema: Any) -> None:
    assert compiled(schema).matcher(2_000)


def test_a_budget_below_the_shortest_answer_is_refused_with_the_tokens_it_takes() -> None:
    grammar = compiled({"type": "array", "items": {"type": "integer"}, "minItems": 20})

    with pytest.raises(BudgetTooSmallError) as refused:
        grammar.matcher(10)

    assert refused.value.max_new_tokens == 10
    assert grammar.matcher(refused.value.needed_tokens)
    assert str(refused.value.needed_tokens) in str(refused.value)


def test_every_refusal_is_an_invalid_request() -> None:
    for error in (SchemaError, VocabularyError, BudgetTooSmallError):
        assert issubclass(error, InvalidRequestError)


@pytest.mark.parametrize(
    ("type_", "named"),
    [(FutureDate, "now_op"), (Json[int], "contentMediaType"), (type(lambda: 0), "function")],
)
def test_a_type_that_cannot_be_enforced_is_refused(type_: Any, named: str) -> None:
    with pytest.raises(SchemaError, match=named):
        grammar_of_type(type_)


def test_a_kind_of_value_that_json_does_not_have_is_told_with_those_that_it_has() -> None:
    with pytest.raises(GrammarSyntaxError, match=r"#/type: .*'objekt' is not one of .*'object'"):
        grammar_of_schema({"type": "objekt"})


def test_a_type_that_is_not_complete_is_refused() -> None:
    class Half(BaseModel):
        other: "Missing"  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(GrammarSyntaxError, match="Half"):
        grammar_of_type(Half)


def test_what_a_tokenizer_cannot_spell_is_refused() -> None:
    with pytest.raises(VocabularyError, match="cannot spell"):
        grammar_of_choice(["two words"]).compile(vocabulary("wordpiece"))


def test_a_slow_tokenizer_is_refused() -> None:
    with pytest.raises(VocabularyError, match="AutoTokenizer"):
        vocabulary_of(object())


def test_an_end_token_that_does_not_exist_is_refused() -> None:
    with pytest.raises(VocabularyError, match="99999"):
        vocabulary_of(tokenizer("llama"), end_token_ids=[99999])
