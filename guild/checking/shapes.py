"""What the JSON of a message can look like, as far as the JSON schema of its class tells."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, PlainValidator, SerializeAsAny, WrapValidator
from pydantic.errors import PydanticUserError

_CONVERTERS = (BeforeValidator, PlainValidator, WrapValidator)
_KIND = {
    "string": "text",
    "integer": "a number",
    "number": "a number",
    "boolean": "a boolean",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_SCALARS: Sequence[tuple[tuple[type, ...], str]] = (
    ((str,), "string"),
    ((bool,), "boolean"),
    ((int, float), "number"),
    ((type(None),), "null"),
)


class Option(NamedTuple):
    """One thing that a value may be, with the definitions that its schema refers to."""

    schema: Mapping[str, Any]
    definitions: Mapping[str, Any]


class Shape(NamedTuple):
    """Everything that a value may be. An empty schema among the options is anything at all."""

    options: tuple[Option, ...]

    @property
    def is_open(self) -> bool:
        """Whether it may be something that the class does not tell of."""
        return not self.options or any("type" not in o.schema for o in self.options)

    @property
    def kinds(self) -> set[str]:
        """What it may be, in words, null left out; empty when that is not known."""
        if self.is_open:
            return set()
        return {_KIND[option.schema["type"]] for option in self.options} - {"null"}

    @property
    def choices(self) -> set[Any]:
        """The only values that it may have; empty when there are others."""
        found: set[Any] = set()
        for schema, _ in self.options:
            if schema.get("type") == "null":
                continue
            allowed = schema.get("enum", [schema["const"]] if "const" in schema else ())
            if not allowed or not all(isinstance(value, str | int | float) for value in allowed):
                return set()
            found.update(allowed)
        return found

    @property
    def names(self) -> list[str]:
        """The fields that it is known to have."""
        return [name for option in self.options for name in option.schema.get("properties", {})]

    @property
    def required(self) -> set[str]:
        """The fields without which it cannot be."""
        each = [set(option.schema.get("required", ())) for option in self.options]
        return set.intersection(*each) if each else set()

    @property
    def takes_any_field(self) -> bool:
        """Whether it may have fields that are not known."""
        return self.is_open or any(map(_is_mapping, self.options))

    def field(self, name: str) -> "Shape | None":
        """What is in the field `name`; None when there cannot be one."""
        found = [option for each in self.options for option in _field(each, name)]
        if self.is_open:
            return ANYTHING
        return Shape(tuple(found)) if found else None

    @property
    def items(self) -> "Shape":
        """What is in it where it is a list."""
        lists = [option for option in self.options if option.schema.get("type") == "array"]
        if self.is_open or not lists:
            return ANYTHING
        found = [_options(o.schema.get("items", {}), o.definitions) for o in lists]
        return Shape(tuple(option for options in found for option in options))

    def where_false(self) -> "Shape":
        """What of it JMESPath may take for false: no number, and no object with a field."""
        return Shape(tuple(option for option in self.options if _may_be_false(option.schema)))

    def or_else(self, other: "Shape") -> "Shape":
        return Shape((*self.options, *other.options))


ANYTHING = Shape((Option({}, {}),))


def kind_of(*types: str) -> Shape:
    """Any value of these JSON types."""
    return Shape(tuple(Option({"type": name}, {}) for name in types))


def shape_of_value(value: Any) -> Shape:
    """That of a literal."""
    if isinstance(value, list | dict):
        return kind_of("array" if isinstance(value, list) else "object")
    name = next(name for kinds, name in _SCALARS if isinstance(value, kinds))
    return Shape((Option({"type": name, "const": value}, {}),))


def list_of(items: Shape) -> Shape:
    if items.is_open:
        return kind_of("array")
    return Shape(tuple(Option({"type": "array", "items": s}, d) for s, d in items.options))


def object_of(fields: Mapping[str, Shape]) -> Shape:
    """An object with these fields and no others."""
    shapes = {f"field {name}": shape for name, shape in fields.items()}
    properties = {name: {"$shape": f"field {name}"} for name in fields}
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return Shape((Option(schema, shapes),))


def written_shape(message: type[BaseModel]) -> Shape:
    """What an expression finds in a message of this class."""
    shape = _shape_of(message, "serialization")
    subclasses = [
        field.serialization_alias or field.alias or name
        for name, field in message.model_fields.items()
        if any(isinstance(about, SerializeAsAny) for about in field.metadata)  # type: ignore[misc] # a class at run time
    ]
    if not subclasses or shape.takes_any_field:
        return shape
    fields = {name: shape.field(name) or ANYTHING for name in shape.names}
    return object_of({**fields, **dict.fromkeys(subclasses, ANYTHING)})


def read_shape(message: type[BaseModel]) -> Shape:
    """What a message of this class is made from."""
    return ANYTHING if _is_read_its_own_way(message) else _shape_of(message, "validation")


def _is_read_its_own_way(message: type[BaseModel]) -> bool:
    """Whether it may be made from what its JSON schema does not tell of."""
    decorators = message.__pydantic_decorators__
    if any(each.info.mode != "after" for each in decorators.model_validators.values()):
        return True
    if any(each.info.mode != "after" for each in decorators.field_validators.values()):
        return True
    return any(
        (field.validation_alias or field.alias or name) != name
        or any(isinstance(about, _CONVERTERS) for about in field.metadata)
        for name, field in message.model_fields.items()
    )


def _shape_of(message: type[BaseModel], mode: Any) -> Shape:
    try:
        schema = message.model_json_schema(by_alias=True, mode=mode)
    except PydanticUserError:  # a class that JSON schema cannot describe
        return ANYTHING
    return Shape(tuple(_options(schema, schema.get("$defs", {}))))


def _options(schema: Any, definitions: Mapping[str, Any]) -> Iterator[Option]:
    """Each thing that `schema` allows."""
    if not isinstance(schema, Mapping):
        yield Option({}, {})
    elif "$shape" in schema:
        yield from definitions[schema["$shape"]].options
    elif "$ref" in schema:
        target = definitions.get(schema["$ref"].removeprefix("#/$defs/"), {})
        yield from _options(target, definitions)
    elif "anyOf" in schema or "oneOf" in schema:
        for option in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
            yield from _options(option, definitions)
    elif schema.get("type") in _KIND:
        yield Option(schema, definitions)
    else:
        yield Option({}, {})


def _field(option: Option, name: str) -> Iterable[Option]:
    schema, definitions = option
    if schema.get("type") != "object":
        return ()
    properties = schema.get("properties", {})
    if name in properties:
        return tuple(_options(properties[name], definitions))
    if _is_mapping(option):
        return tuple(_options(schema.get("additionalProperties", {}), definitions))
    return ()


def _may_be_false(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") not in ("integer", "number") and not schema.get("properties")


def _is_mapping(option: Option) -> bool:
    schema = option.schema
    if schema.get("type") != "object" or schema.get("additionalProperties") is False:
        return False
    is_free = "properties" not in schema or "patternProperties" in schema
    return is_free or "additionalProperties" in schema
