"""Schemas as documents, before they are read: JSON, one dialect, well formed."""

import json
from typing import Any

import jsonschema

from agents.llm.structured.errors import GrammarSyntaxError, GrammarTooLargeError
from agents.llm.structured.facts import Schema

_VALUES = ("const", "enum", "default", "examples")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")


def schema_text(schema: Any) -> str:
    """The schema as JSON.

    Raises:
        GrammarSyntaxError: it is no schema.
        GrammarTooLargeError: it is nested too deeply.
    """
    try:
        text = json.dumps(schema, allow_nan=False, ensure_ascii=False)
        text.encode()
    except RecursionError as error:
        raise GrammarTooLargeError("the schema is nested too deeply") from error
    except (TypeError, ValueError) as error:
        raise GrammarSyntaxError(f"the schema is no JSON: {error}") from error
    return text


def with_nullable(schema: Any) -> Any:
    """The same with OpenAPI 3.0's `nullable` said as JSON schema says it."""
    if isinstance(schema, list):
        return [with_nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _with_nullable_in(key, value) for key, value in schema.items()}
    if found.get("nullable") is True and "type" in found:
        del found["nullable"]
        types = found["type"]
        found["type"] = [*(types if isinstance(types, list) else [types]), "null"]
    return found


def _with_nullable_in(keyword: str, value: Any) -> Any:
    if keyword in _VALUES:
        return value
    if keyword in _NAMED and isinstance(value, dict):
        return {name: with_nullable(inner) for name, inner in value.items()}
    return with_nullable(value)


def check_schema(schema: Schema) -> None:
    """Refuse what is no JSON schema.

    Raises:
        GrammarSyntaxError: it is no schema; says where.
        GrammarTooLargeError: it is nested too deeply.
    """
    if not isinstance(schema, dict | bool):
        raise GrammarSyntaxError(f"a schema is an object or a boolean, not {schema!r}"[:200])
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    if isinstance(schema, dict) and _has_item_lists(schema):
        kind = jsonschema.Draft7Validator
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        where = "/".join(["#", *(str(key) for key in error.absolute_path)])
        said = error.context[0] if error.context else error  # of alternatives, what the first wants
        raise GrammarSyntaxError(f"no JSON schema: {said.message[:200]}", path=where) from error
    except RecursionError as error:
        raise GrammarTooLargeError("the schema is nested too deeply") from error


def _has_item_lists(schema: Any) -> bool:
    """Whether it says `items: [...]`, as drafts before 2020-12 do."""
    if isinstance(schema, dict):
        return isinstance(schema.get("items"), list) or any(
            _has_item_lists(value) for value in schema.values()
        )
    return isinstance(schema, list) and any(_has_item_lists(item) for item in schema)
