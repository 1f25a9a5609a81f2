"""Grammars from what people have: types, JSON schemas, regexes, Lark grammars, lists of texts.

Each is read once and kept, so that what is compiled for it is kept, too.
"""

import decimal
import json
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

import jsonschema
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError
from pydantic_core import SchemaError as CoreSchemaError

from agents.llm.structured.automaton import intersection
from agents.llm.structured.errors import (
    GrammarSyntaxError,
    GrammarTooLargeError,
    ResultError,
    SchemaError,
    UnsatisfiableError,
    UnsupportedKeywordError,
)
from agents.llm.structured.expression import Characters, Expression, Lexeme, Literal, choice
from agents.llm.structured.grammar import Grammar
from agents.llm.structured.json_schema import read_schema
from agents.llm.structured.lark_reader import read_lark
from agents.llm.structured.regex import read_regex
from agents.llm.structured.schema_document import schema_text, with_nullable
from agents.llm.structured.type_schema import TypeSchema

_KEPT = 256
_EXACT_DIGITS = 1_000  # more than a quotient of two floats has


def grammar_of(structure: Any) -> Grammar:
    """Answers of the form that is meant: a grammar, a JSON schema, or a type for pydantic.

    Raises:
        SchemaError: it cannot be enforced.
    """
    if isinstance(structure, Grammar):
        return structure
    if isinstance(structure, Mapping | bool):
        return grammar_of_schema(structure)
    return grammar_of_type(structure)


@lru_cache(maxsize=_KEPT)
def grammar_of_type(type_: Any) -> Grammar:
    """Answers that are JSON for `type_`, a pydantic model or anything else pydantic knows.

    They are parsed to instances. What a schema cannot say (validators written in Python) is not
    enforced while decoding; `parse` raises `ResultError` for it.

    Raises:
        SchemaError: its schema cannot be enforced.
    """
    name = getattr(type_, "__name__", str(type_))
    if isinstance(type_, str):  # pydantic would run it as Python
        raise GrammarSyntaxError(f"{name[:80]!r} is a text, no type")
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(type_)
        schema = adapter.json_schema(schema_generator=TypeSchema, mode="validation")
    except PydanticInvalidForJsonSchema as error:
        raise UnsupportedKeywordError(name, str(error).splitlines()[0]) from error
    except (PydanticUserError, CoreSchemaError, NameError) as error:
        raise GrammarSyntaxError(f"{name} is no type for pydantic: {error}"[:300]) from error

    def parse(text: str) -> Any:
        try:
            return adapter.validate_json(text)
        except ValidationError as error:
            raise ResultError(f"the answer is no {name}: {_first(error)}", text) from error

    start, rules = read_schema(schema, are_sets_deduplicated=True)
    return Grammar(start, rules, parse, name, _response_format(schema))


def grammar_of_schema(schema: Mapping[str, Any] | bool) -> Grammar:
    """Answers that are JSON and valid for a JSON schema; parsed to plain values.

    Raises:
        SchemaError: the schema cannot be enforced.
    """
    return _grammar_of_schema_text(schema_text(schema))


@lru_cache(maxsize=_KEPT)
def grammar_of_regex(pattern: str) -> Grammar:
    """Answers that match all of a regular expression, in Python's syntax.

    Raises:
        SchemaError: it is not regular, or no regular expression.
    """
    parts = read_regex(pattern)
    rules: dict[str, Expression] = {}
    start = parts[0][0]
    if len(parts) > 1:
        start, rules = intersection(parts, Characters, "x")
    matches = re.compile(pattern).fullmatch

    def parse(text: str) -> str:
        if not matches(text):
            raise ResultError(f"the answer does not match {pattern!r}", text)
        return text

    both = parts if len(parts) > 1 else ()
    told = {"type": "regex", "regex": pattern}
    return Grammar(Lexeme(start, both), rules, parse, repr(pattern), told)


@lru_cache(maxsize=_KEPT)
def grammar_of_lark(text: str) -> Grammar:
    """Answers that a Lark grammar describes, from its rule `start` on.

    Raises:
        SchemaError: it is not well formed, or uses what cannot be enforced.
    """
    _check_unicode(text)
    start, rules = read_lark(text)
    described = Grammar(start, rules)

    def parse(answer: str) -> str:
        if not described.describes(answer):
            raise ResultError("the answer is none that the grammar describes", answer)
        return answer

    return Grammar(start, rules, parse, response_format={"type": "lark", "lark": text})


def grammar_of_choice(texts: Iterable[str]) -> Grammar:
    """Answers that are one of these texts.

    Raises:
        UnsatisfiableError: there are no texts.
        SchemaError: one is no text.
    """
    given = tuple(texts)
    for text in given:
        _check_unicode(text)
    return _grammar_of_choice(tuple(dict.fromkeys(given)))


@lru_cache(maxsize=_KEPT)
def _grammar_of_choice(texts: tuple[str, ...]) -> Grammar:
    if not texts:
        raise UnsatisfiableError("there is no text to choose")

    def parse(text: str) -> str:
        if text not in texts:
            raise ResultError(f"the answer is none of {', '.join(map(repr, texts))}"[:200], text)
        return text

    told = {"type": "choice", "choice": list(texts)}
    start = Lexeme(choice(Literal(text) for text in texts))
    return Grammar(start, {}, parse, "choice", told)


@lru_cache(maxsize=_KEPT)
def _grammar_of_schema_text(text: str) -> Grammar:
    try:
        schema = with_nullable(json.loads(text))
    except RecursionError as error:
        raise GrammarTooLargeError("the schema is nested too deeply") from error
    start, rules = read_schema(schema)
    told = _response_format(json.loads(text))
    return Grammar(start, rules, _schema_parser(text), "JSON schema", told)


def _response_format(schema: Any) -> dict[str, Any]:
    told = {"name": "answer", "schema": schema, "strict": True}
    return {"type": "json_schema", "json_schema": told}


def _schema_parser(schema_text: str) -> Callable[[str], Any]:
    schema = with_nullable(json.loads(schema_text, parse_float=Decimal))
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    types = kind.TYPE_CHECKER.redefine("integer", _is_integer)
    validator = jsonschema.validators.extend(kind, type_checker=types)(schema)

    def parse(text: str) -> Any:
        try:
            with decimal.localcontext(prec=_EXACT_DIGITS):
                error = jsonschema.exceptions.best_match(
                    validator.iter_errors(json.loads(text, parse_float=Decimal))
                )
            if error is None:
                return json.loads(text)
        except ValueError as failure:
            raise ResultError(f"the answer is no JSON: {failure}", text) from failure
        except ArithmeticError as failure:
            raise ResultError("a number of the answer is too long to be checked", text) from failure
        raise ResultError(f"the answer is not valid for the schema: {error.message[:200]}", text)

    return parse


def _is_integer(_: Any, value: Any) -> bool:
    if isinstance(value, Decimal):
        return value.is_finite() and value == value.to_integral_value()
    return isinstance(value, int) and not isinstance(value, bool)


def _check_unicode(text: str) -> None:
    if not isinstance(text, str):
        raise SchemaError(f"{text!r:.80} is no text")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise SchemaError(f"{text!r:.80} is no text: {error.reason}") from error


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(key) for key in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])
