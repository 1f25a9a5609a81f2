"""JSON schemas of types, with what pydantic checks but does not write into its own."""

from collections.abc import Iterable
from typing import Any

from pydantic.json_schema import JsonSchemaValue
from pydantic_core import (
    CoreSchema,
    SchemaValidator,
    ValidationError,
    core_schema,
    to_json,
)

from agents.llm.structured.errors import UnsupportedKeywordError
from agents.llm.tools.read_schema import KEYS, ReadSchema

_BOUNDS = ("le", "ge", "lt", "gt")
_SPACE = r"\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_TRIMMED = rf"^([^{_SPACE}]([\s\S]*[^{_SPACE}])?)?$"
_HOST = r"[a-z][a-z0-9]{0,20}(\.[a-z][a-z0-9]{0,20}){1,2}"
_WEB = {"http", "https"}
# Of larger multiples pydantic's remainder of floats is not near enough to zero.
_MOST_MULTIPLES = 10**7


class TypeSchema(ReadSchema):
    """What is valid for the schema is valid for the type, but for validators written in Python."""

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        found = super().float_schema(schema)
        unit = schema.get("multiple_of")
        if unit is None:
            return found
        most = unit * _MOST_MULTIPLES
        return {"allOf": [found, {"minimum": -most, "maximum": most}]}

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
            if limit == 1:
                parts.append({"not": {"const": 0}})  # its digit stands before the point
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

    def enum_schema(self, schema: core_schema.EnumSchema) -> JsonSchemaValue:
        _refuse_unreadable(schema, (member.value for member in schema["members"]))
        return super().enum_schema(schema)

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        _refuse_unreadable(schema, schema["expected"])
        return super().literal_schema(schema)

    def is_subclass_schema(self, schema: core_schema.IsSubclassSchema) -> JsonSchemaValue:
        raise UnsupportedKeywordError("type", f"JSON has no classes, such as {schema['cls']}")

    def model_field_schema(self, schema: core_schema.ModelField) -> JsonSchemaValue:
        _refuse_path(schema)
        return super().model_field_schema(schema)

    def dataclass_field_schema(self, schema: core_schema.DataclassField) -> JsonSchemaValue:
        _refuse_path(schema)
        return super().dataclass_field_schema(schema)

    def typed_dict_field_schema(self, schema: core_schema.TypedDictField) -> JsonSchemaValue:
        _refuse_path(schema)
        return super().typed_dict_field_schema(schema)

    def keyed(self, found: JsonSchemaValue, schema: Any) -> JsonSchemaValue:
        keys = schema.get("keys_schema", {"type": "any"})
        if str(keys["type"]) not in KEYS:
            if not _takes_text(self.generate_inner(keys)):
                raise UnsupportedKeywordError(
                    "propertyNames", f"keys of the type {keys['type']} are no texts"
                )
        elif any(keys.get(bound) is not None for bound in (*_BOUNDS, "multiple_of")):
            raise UnsupportedKeywordError("propertyNames", "keys cannot be limited as numbers")
        return super().keyed(found, schema)


def _takes_text(schema: JsonSchemaValue) -> bool:
    """Whether a schema is one of texts, or takes any of them."""
    if "$ref" in schema:
        return True  # it stands under propertyNames
    values = schema.get("enum", [schema["const"]] if "const" in schema else [""])
    return (
        any(_takes_text(choice) for choice in schema["anyOf"] if set(choice) <= {"type", "title"})
        if "anyOf" in schema
        else schema.get("type", "string") == "string" and all(isinstance(v, str) for v in values)
    )


def _refuse_unreadable(schema: CoreSchema, values: Iterable[Any]) -> None:
    """Refuse values that pydantic does not read out of JSON, such as tuples and bytes."""
    validator = SchemaValidator(schema)
    for value in values:
        try:
            validator.validate_json(to_json(value))
        except ValidationError as error:
            raise UnsupportedKeywordError("enum", f"{value!r} cannot be read from JSON") from error


def _refuse_path(field: Any) -> None:
    """Refuse a field that is read from inside of another one."""
    alias = field.get("validation_alias")
    names = alias if isinstance(alias, list) else []
    paths = names if all(isinstance(name, list) for name in names) else [names]
    if paths and not any(len(path) == 1 for path in paths):
        raise UnsupportedKeywordError("AliasPath", f"a schema has no path such as {paths[0]}")


def _refuse_bounds(schema: Any) -> None:
    for bound in (*_BOUNDS, "now_op"):
        if schema.get(bound) is not None:
            kind = schema["type"]
            raise UnsupportedKeywordError(
                bound, f"a grammar cannot compare values of {kind} with {schema[bound]}"
            )
