"""JSON schemas of types, where pydantic reads something else than its own schema says."""

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import PydanticSerializationError, core_schema

INTEGER = r"^(0|-?[1-9][0-9]{0,17})$"
DECIMAL = r"^-?(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?$"
KEYS = {"int": INTEGER, "float": DECIMAL, "decimal": DECIMAL, "bool": "^(true|false)$"}


class ReadSchema(GenerateJsonSchema):
    """Defaults are JSON or left out, tags are required, and keys can be read as what they are."""

    # A default that JSON cannot say is not told; the type has it all the same.
    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012

    def encode_default(self, dft: Any) -> Any:
        encoded = super().encode_default(dft)
        try:
            json.dumps(encoded, allow_nan=False)
        except ValueError as error:
            raise PydanticSerializationError(f"{dft!r} is no JSON") from error
        return encoded

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        """With the tag required: without it nothing is read, though it may have a default."""
        found = super().tagged_union_schema(schema)
        tag = found.get("discriminator", {}).get("propertyName")
        if tag is None:
            return found
        return {**found, "oneOf": [self._requiring(tag, choice) for choice in found["oneOf"]]}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        return self.keyed(super().dict_schema(schema), schema)

    def ordered_dict_schema(self, schema: Any) -> JsonSchemaValue:
        return self.keyed(super().ordered_dict_schema(schema), schema)

    def counter_schema(self, schema: Any) -> JsonSchemaValue:
        return self.keyed(super().counter_schema(schema), schema)

    def keyed(self, found: JsonSchemaValue, schema: Any) -> JsonSchemaValue:
        """The schema of a dictionary, whose keys are texts in JSON."""
        pattern = KEYS.get(str(schema.get("keys_schema", {}).get("type")))
        return found if pattern is None else {**found, "propertyNames": {"pattern": pattern}}

    def _requiring(self, name: str, choice: JsonSchemaValue) -> JsonSchemaValue:
        try:
            if name in self.resolve_ref_schema(choice).get("required", ()):
                return choice
        except RuntimeError:  # it is being written just now
            pass
        return {"allOf": [choice, {"type": "object", "required": [name]}]}
