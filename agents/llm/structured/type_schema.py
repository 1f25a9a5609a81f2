"""JSON schemas of types, with what pydantic checks but does not write into its own."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from agents.llm.structured.errors import UnsupportedKeywordError

_BOUNDS = ("le", "ge", "lt", "gt")
_SPACE = r"\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_TRIMMED = rf"^([^{_SPACE}]([\s\S]*[^{_SPACE}])?)?$"
_INTEGER = r"^(0|-?[1-9][0-9]{0,17})$"
_DECIMAL = r"^-?(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?$"
_KEYS = {"int": _INTEGER, "float": _DECIMAL, "decimal": _DECIMAL, "bool": "^(true|false)$"}
_HOST = r"[a-z][a-z0-9]{0,20}(\.[a-z][a-z0-9]{0,20}){1,2}"
_WEB = {"http", "https"}


class TypeSchema(GenerateJsonSchema):
    """What is valid for the schema is valid for the type, but for validators written in Python."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        number = dict(super().decimal_schema(schema)["anyOf"][0])
        places, digits = schema.get("decimal_places"), schema.get("max_digits")
        parts: list[JsonSchemaValue] = [number]
        if places is not None or digits is not None:
            places = min(2, digits or 2) if places is None else places
            parts.append({"multipleOf": float(f"1e-{places}") if places else 1})
        if digits is not None and places is not None:
            limit = 10 ** max(digits - places, 0)
            parts.append({"exclusiveMinimum": -limit, "exclusiveMaximum": limit})
        return number if len(parts) == 1 else {"allOf": parts}

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        found = super().str_schema(schema)
        if schema.get("strip_whitespace"):
            return {"allOf": [found, {"pattern": _TRIMMED}]}
        return found

    def bytes_schema(self, schema: core_schema.BytesSchema) -> JsonSchemaValue:
        found = super().bytes_schema(schema)
        # Lengths are those of the bytes.
        return {**found, "pattern": r"^[\x20-\x7e]*$"} if "max_length" in schema else found

    def date_schema(self, schema: core_schema.DateSchema) -> JsonSchemaValue:
        _refuse_bounds(schema)
        return super().date_schema(schema)

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> JsonSchemaValue:
        _refuse_bounds(schema)
        is_naive = schema.get("tz_constraint") == "naive"
        return {"type": "string", "format": "local-date-time" if is_naive else "date-time"}

    def time_schema(self, schema: core_schema.TimeSchema) -> JsonSchemaValue:
        _refuse_bounds(schema)
        is_naive = schema.get("tz_constraint") == "naive"
        return {"type": "string", "format": "local-time" if is_naive else "time"}

    def timedelta_schema(self, schema: core_schema.TimedeltaSchema) -> JsonSchemaValue:
        _refuse_bounds(schema)
        return super().timedelta_schema(schema)

    def complex_schema(self, schema: core_schema.ComplexSchema) -> JsonSchemaValue:  # noqa: ARG002
        number = r"(0|[1-9][0-9]{0,5})(\.[0-9]{1,6})?"
        return {"type": "string", "pattern": f"^-?{number}[+-]{number}j$"}

    def url_schema(self, schema: core_schema.UrlSchema) -> JsonSchemaValue:
        allowed = schema.get("allowed_schemes")
        if allowed is None or set(allowed) >= _WEB:
            return super().url_schema(schema)
        return {"type": "string", "pattern": rf"^{allowed[0]}://{_HOST}(/[a-z0-9]{{1,20}}){{0,3}}$"}

    def multi_host_url_schema(self, schema: core_schema.MultiHostUrlSchema) -> JsonSchemaValue:
        scheme = (schema.get("allowed_schemes") or ["http"])[0].replace("+", r"\+")
        word = "[a-z][a-z0-9]{0,20}"
        pattern = rf"^{scheme}://{word}:{word}@{_HOST}(:[1-9][0-9]{{0,3}})?/{word}$"
        return {"type": "string", "pattern": pattern}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        return _with_keys(super().dict_schema(schema), schema.get("keys_schema"))


def _refuse_bounds(schema: Any) -> None:
    for bound in (*_BOUNDS, "now_op"):
        if schema.get(bound) is not None:
            kind = schema["type"]
            raise UnsupportedKeywordError(
                bound, f"a grammar cannot compare values of {kind} with {schema[bound]}"
            )


def _with_keys(found: JsonSchemaValue, keys: Any) -> JsonSchemaValue:
    """The keys of dictionaries are strings in JSON, which must be readable as what they are."""
    pattern = _KEYS.get(str(keys["type"])) if keys else None
    if pattern is None:
        return found
    if any(keys.get(bound) is not None for bound in (*_BOUNDS, "multiple_of")):
        raise UnsupportedKeywordError("propertyNames", "keys cannot be limited as numbers")
    return {**found, "propertyNames": {"pattern": pattern}}
