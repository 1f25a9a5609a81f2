"""What people and models would write can be written: a grammar that forbids is no use."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from agents.llm.structured import grammar_of_schema, grammar_of_type
from tests.llm.structured import suite
from tests.llm.structured.decoding import decode
from tests.llm.structured.vocabularies import tokenizer, vocabulary

WRITTEN: list[tuple[Any, Any]] = [
    (suite.Person, {"name": "Ada Lovelace", "age": 36}),
    (suite.Person, {"name": 'Zoë "Z" O\'Hara\n\t\\ 今日は 🎉', "age": -1}),
    (
        suite.Customer,
        {"name": "A", "addresses": [{"street": "", "city": "X", "zip_code": "12345"}]},
    ),
    (suite.Ticket, {"title": "t", "priority": 12, "color": "light", "status": None, "tags": ["a"]}),
    (suite.Owner, {"pet": {"kind": "fish", "depth_m": 10_999.5}}),
    (suite.Tree, {"value": 1, "children": [{"value": 2, "children": [{"value": 3}]}]}),
    (suite.Chain, {"word": "a", "next": {"word": "b", "next": None}}),
    (suite.Movie, {"year": 1994}),
    (suite.Movie, {}),
    (suite.Aliased, {"firstName": "x", "größe": "今日は"}),
    (suite.Open, {"id": 1, "more": {"of": ["this", 1.5, None]}}),
    (suite.Team, {"roles": ["dev", "qa"], "labels": ["b", "a"], "members": {}}),
    (suite.Matrix, [[1, 2.5], [], [-3.0, 0]]),
    (dict[str, list[int]], {"a": [1], "": [], "naïve": [123456789012345678]}),
    (int | str | None, 9_007_199_254_740_993),
    (float, 3.14159),
    (float, -273.15),
    (datetime, "2024-02-29T23:59:59.123456+05:30"),
    (datetime, datetime(2024, 1, 1, tzinfo=UTC).isoformat()),
    ({"type": "string", "format": "date"}, "2000-02-29"),
    ({"type": "string", "format": "email"}, "jane.doe+news@mail.example.com"),
    ({"type": "string", "format": "uri"}, "https://example.com/a/b_c?x=1&y=2"),
    ({"type": "string", "format": "uuid"}, "123e4567-e89b-42d3-a456-426614174000"),
    ({"type": "string", "format": "ipv4"}, "255.0.10.1"),
    ({"type": "string", "format": "duration"}, "P3DT4H30M"),
    ({"type": "string", "pattern": r"^\(?\d{3}\)?[ -]\d{4}$"}, "(555) 1234"),
    ({"type": "number", "multipleOf": 0.01}, 19.99),
    ({"type": "number", "multipleOf": 0.25}, -2.75),
    ({"type": "integer", "multipleOf": 25, "minimum": 100}, 1_000_075),
    ({"type": "object"}, {"anything": [{"goes": True}]}),
    ({}, [1, "two", {"three": None}]),
    ({"type": "object", "required": ["a"]}, {"a": 1}),
]


@pytest.mark.parametrize(("what", "value"), WRITTEN, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("kind", ["byte-level", "llama"])
def test_what_people_write_can_be_written(what: Any, value: Any, kind: str) -> None:
    grammar = grammar_of_schema(what) if isinstance(what, dict) else grammar_of_type(what)
    text = json.dumps(value, ensure_ascii=False)
    matcher = grammar.compile(vocabulary(kind)).matcher(400)

    ids = tokenizer(kind)("\n" + text, add_special_tokens=False).input_ids
    skipped = len(tokenizer(kind)("\n", add_special_tokens=False).input_ids)
    for token_id in ids[skipped:]:
        assert matcher.allowed()[token_id], f"{matcher.text!r} stops before the next token"
        matcher.accept(token_id)

    assert matcher.text == text
    assert matcher.allowed()[list(vocabulary(kind).end_token_ids)].all() or matcher.is_finished
    grammar.parse(text)


@pytest.mark.parametrize("case", suite.TYPES, ids=lambda case: case.name)
def test_what_pydantic_dumps_of_an_answer_is_an_answer(case: suite.Case) -> None:
    """The grammar's form of a value is the one that `json.dumps` has, where pydantic's is it."""

    grammar = grammar_of_type(case.what)
    text = decode(grammar, vocabulary("byte-level"), spare_tokens=40, seed=7).text

    value = json.loads(text)
    if not _has_floats(value):
        assert json.dumps(value, ensure_ascii=False) == text or _has_duplicates(text)


def _has_floats(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_floats(inner) for inner in value.values())
    if isinstance(value, list):
        return any(_has_floats(inner) for inner in value)
    return isinstance(value, float)


def _has_duplicates(text: str) -> bool:
    found = False

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal found
        found |= len({name for name, _ in items}) < len(items)
        return dict(items)

    json.loads(text, object_pairs_hook=pairs)
    return found
