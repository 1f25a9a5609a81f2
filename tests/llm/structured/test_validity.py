"""Every accepted schema gets valid answers from a model that knows nothing, whatever the budget."""

import json
import warnings
from decimal import Decimal
from typing import Any

import jsonschema
import pytest
from pydantic import TypeAdapter

from agents.llm.structured import Grammar, SchemaError, grammar_of_schema, grammar_of_type
from tests.llm.structured.decoding import TEMPERATURES, decode
from tests.llm.structured.suite import CASES, Case
from tests.llm.structured.vocabularies import KINDS, vocabulary

SPARE_TOKENS = (0, 1, 3, 8, 60)

ACCEPTED = [case for case in CASES if case.refusal is None]
REFUSED = [case for case in CASES if case.refusal is not None]


def grammar_of(case: Case) -> Grammar:
    return grammar_of_schema(case.what) if case.is_schema else grammar_of_type(case.what)


def check(case: Case, text: str) -> None:
    """Ask the reference implementations, not ours."""
    schema = case.meaning or case.what
    if not case.is_schema:
        adapter: TypeAdapter[Any] = TypeAdapter(case.what)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            text = adapter.dump_json(adapter.validate_json(text), by_alias=True).decode()
            schema = adapter.json_schema()
    validator = jsonschema.Draft202012Validator(
        json.loads(json.dumps(schema), parse_float=Decimal),
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    )
    validator.validate(json.loads(text, parse_float=Decimal))


def test_the_reference_checks_formats() -> None:
    """It passes over each whose package is not installed."""
    checked = jsonschema.Draft202012Validator.FORMAT_CHECKER.checkers

    named = (
        "date",
        "date-time",
        "duration",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "time",
        "uri",
        "uuid",
    )
    assert checked.keys() >= {*named, "idn-hostname", "json-pointer", "regex", "uri-reference"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.name)
def test_a_random_model_writes_valid_instances_only(case: Case, kind: str) -> None:
    grammar = grammar_of(case)

    for spare_tokens in SPARE_TOKENS:
        for temperature in TEMPERATURES:
            answer = decode(
                grammar,
                vocabulary(kind),
                spare_tokens=spare_tokens,
                temperature=temperature,
                seed=spare_tokens,
            )
            check(case, answer.text)
            grammar.parse(answer.text)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_what_cannot_be_enforced_is_refused_by_its_keyword(case: Case) -> None:
    with pytest.raises(SchemaError, match=f"{case.refusal}.*cannot be enforced"):
        grammar_of(case)


def test_few_of_the_cases_are_refused() -> None:
    assert len(CASES) >= 40
    assert len(REFUSED) <= len(CASES) * 0.05
