"""The JSON schema of guild specs, for editors: draft-07, as yaml-language-server reads it.

`python -m guild.checking.schema` writes specs/schema.json anew; a test keeps it fresh.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from guild.agent.registry import Registry
from guild.agent.resources import properties_class_of
from guild.spec.spec import GuildSpec
from messaging.wire.message import wire_type_of
from messaging.wire.upcasting import oldest_readable

DRAFT = "http://json-schema.org/draft-07/schema#"
SCHEMA_FILE = Path(__file__).resolve().parents[2] / "specs" / "schema.json"

_CLASS_PATH = r"^[\w.]+(:[\w.]+|\.[A-Z]\w*)$"
_REFERENCE = {"type": "string", "pattern": r"\$\{[^}]+\}"}


class _Draft7(GenerateJsonSchema):
    schema_dialect = DRAFT


def spec_schema(registry: Registry | None = None) -> dict[str, Any]:
    """The schema of guild specs that use the types of `registry`, with each type's properties.

    Other type names are allowed: an operator may allow classes by dotted path.

    Raises:
        UnknownAgentTypeError: a registered class cannot be imported.
    """
    registry = registry or Registry()
    schema = _schema_of(GuildSpec)
    schema["$schema"] = DRAFT
    schema["title"] = "Guild spec"
    definitions = schema["$defs"]
    for part in (schema, *definitions.values()):
        _let_references_stand(part)
    agents = {name: registry.agent_class(name) for name in registry.agent_types}
    factories = {name: registry.resource_factory(name) for name in registry.resource_types}
    _add_types(
        definitions["AgentSpec"],
        {name: found.properties_class for name, found in agents.items()},
        {name: _first_line(found.__doc__) for name, found in agents.items()},
    )
    _add_types(
        definitions["ResourceSpec"],
        {name: properties_class_of(found) for name, found in factories.items()},
        {name: _first_line(found.__doc__) for name, found in factories.items()},
    )
    schema["definitions"] = schema.pop("$defs")  # as draft-07 calls them
    renamed = json.dumps(schema)
    result: dict[str, Any] = json.loads(renamed.replace("#/$defs/", "#/definitions/"))
    return result


def write_schema(path: Path = SCHEMA_FILE) -> None:
    """Write the schema of everything that is registered here."""
    path.write_text(schema_text(), encoding="utf-8")


def schema_text() -> str:
    """The schema of everything that is registered here, as specs/schema.json has it.

    Editors read it, and people its differences: it has lines, and no margin, which is half of it.
    """
    return json.dumps(spec_schema(), indent=0, ensure_ascii=False) + "\n"


def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(by_alias=True, schema_generator=_Draft7, mode="validation")


def _add_types(
    definition: dict[str, Any], models: Mapping[str, type[BaseModel]], texts: Mapping[str, str]
) -> None:
    """Name the known types, and tie each to the properties that it takes."""
    definition["properties"]["type"] = {
        "anyOf": [
            {"enum": sorted(models), "enumDescriptions": [texts[name] for name in sorted(models)]},
            {"type": "string", "pattern": _CLASS_PATH, "description": "a class by its path"},
            _REFERENCE,
        ]
    }
    definition["allOf"] = [
        {
            "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
            "then": {"properties": {"properties": _properties_schema(models[name])}},
        }
        for name in sorted(models)
    ]


def _properties_schema(model: type[BaseModel]) -> dict[str, Any]:
    schema = _schema_of(model)
    definitions = schema.pop("$defs", {})
    schema.pop("$schema", None)
    schema.pop("required", None)  # reported by the loader, with what else is missing
    return _with_references(_inlined(schema, definitions))


def _inlined(schema: Any, definitions: Mapping[str, Any], depth: int = 0) -> Any:
    """`schema` without `$ref`, so that it can stand inside another one."""
    if isinstance(schema, list):
        return [_inlined(item, definitions, depth) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        if depth > len(definitions):
            return {}  # a model within itself: anything goes
        target = definitions[schema["$ref"].removeprefix("#/$defs/")]
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return {**_inlined(target, definitions, depth + 1), **rest}
    return {key: _inlined(value, definitions, depth) for key, value in schema.items()}


def _let_references_stand(part: dict[str, Any]) -> None:
    """A number, a boolean or a choice of a spec may be a reference such as `${REPLICAS:-2}`."""
    for name, field in part.get("properties", {}).items():
        rules = field.get("anyOf", [field])
        if any(_is_plain(rule) for rule in rules) and not any(map(_takes_any_text, rules)):
            part["properties"][name] = _or_reference(field)


def _is_plain(rule: Mapping[str, Any]) -> bool:
    return rule.get("type") in ("integer", "number", "boolean", "string")


def _takes_any_text(rule: Mapping[str, Any]) -> bool:
    return rule.get("type") == "string" and "enum" not in rule


def _with_references(schema: dict[str, Any]) -> dict[str, Any]:
    """Any property may be a reference such as `${env:TOKEN}` as well."""
    properties = schema.get("properties", {})
    schema["properties"] = {name: _or_reference(field) for name, field in properties.items()}
    return schema


def _or_reference(field: dict[str, Any]) -> dict[str, Any]:
    told = ("title", "description", "default")
    about = {key: field[key] for key in told if key in field}
    rule = {key: value for key, value in field.items() if key not in told}
    rules = rule["anyOf"] if rule.keys() == {"anyOf"} else [rule]
    return {**about, "anyOf": [*rules, _REFERENCE]}


def _first_line(docstring: str | None) -> str:
    return (docstring or "").strip().split("\n", 1)[0]


def message_schema(message_class: type[BaseModel]) -> dict[str, Any]:
    """JSON Schema of a message; a comment names its wire type and the versions it reads."""
    wire_type = wire_type_of(message_class)
    comment = f"wire type {wire_type.name}, version {wire_type.version}"
    oldest = oldest_readable(message_class, wire_type.version)
    if oldest < wire_type.version:
        comment += f"; versions from {oldest} on are brought up to it"
    return {"$comment": comment, **message_class.model_json_schema()}


if __name__ == "__main__":
    write_schema()
