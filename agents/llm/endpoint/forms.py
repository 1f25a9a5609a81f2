"""What an answer must look like, as a request says it.

OpenAI's `response_format` is for JSON. For regexes, choices and Lark grammars there are vLLM's
names: `structured_outputs`, and `guided_…` from before its version 0.12.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from agents.llm.engines.request import Text

Schema = dict[str, Any] | bool
Choices = Annotated[tuple[Text, ...], Field(min_length=1)]


class Part(BaseModel):
    """A part of a body."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )


class JsonSchema(Part):
    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str | None = None
    strict: bool | None = None
    schema_: Schema = Field(alias="schema")


class TextFormat(Part):
    type: Literal["text"]


class JsonObjectFormat(Part):
    type: Literal["json_object"]


class JsonSchemaFormat(Part):
    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[
    TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")
]


def _read(given: Any) -> Any:
    """A schema may come as the text of its JSON."""
    if not isinstance(given, str):
        return given
    try:
        return json.loads(given)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is no JSON") from error


class StructuredOutputs(Part):
    """One of them."""

    json_: Schema | None = Field(default=None, alias="json")
    json_object: bool | None = None
    regex: Text | None = None
    choice: Choices | None = None
    grammar: Text | None = None

    @field_validator("json_", mode="before")
    @classmethod
    def _json_may_be_text(cls, given: Any) -> Any:
        return _read(given)

    @model_validator(mode="before")
    @classmethod
    def _without_nothing(cls, given: Any) -> Any:
        """Null asks for nothing, whatever it is that a client names."""
        if not isinstance(given, Mapping):
            return given
        return {name: value for name, value in given.items() if value is not None}

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if len(self.formats) != 1:
            raise ValueError("give exactly one of json, json_object, regex, choice and grammar")
        return self

    @property
    def formats(self) -> list[dict[str, Any]]:
        """What is given, each as `response_format` would have it."""
        named = (
            _format("json", self.json_),
            _format("regex", self.regex),
            _format("choice", self.choice),
            _format("grammar", self.grammar),
            {"type": "json_object"} if self.json_object else None,
        )
        return [each for each in named if each is not None]


class Form(NamedTuple):
    """A form, and the parameter that asks for it.

    `response_format` is as `agents.llm.dialogue.grammar_of_format` takes it.
    """

    parameter: str
    response_format: dict[str, Any]


class Formed(Part):
    """The parameters of a body that say what the answer must look like; at most one of them."""

    response_format: ResponseFormat = TextFormat(type="text")
    structured_outputs: StructuredOutputs | None = None
    guided_json: Schema | None = None
    guided_regex: Text | None = None
    guided_choice: Choices | None = None
    guided_grammar: Text | None = None

    @field_validator("guided_json", mode="before")
    @classmethod
    def _json_may_be_text(cls, given: Any) -> Any:
        return _read(given)

    @model_validator(mode="after")
    def _has_one_form(self) -> Self:
        first, *others = [form.parameter for form in self._forms] or [""]
        if others:
            raise ValueError(f"{others[0]}: there is {first}, too; give one of them")
        return self

    @property
    def form(self) -> Form | None:
        """None for plain text."""
        return next(iter(self._forms), None)

    @property
    def _forms(self) -> list[Form]:
        guided = {
            name: _format(name, getattr(self, f"guided_{name}"))
            for name in ("json", "regex", "choice", "grammar")
        }
        forms = [Form(f"guided_{name}", each) for name, each in guided.items() if each is not None]
        if self.structured_outputs is not None:
            forms.insert(0, Form("structured_outputs", self.structured_outputs.formats[0]))
        if not isinstance(self.response_format, TextFormat):
            forms.insert(0, Form("response_format", self.response_format.model_dump(by_alias=True)))
        return forms


def asks_for_form(body: Mapping[str, Any]) -> bool:
    """Whether a body that has not been checked yet asks for a form."""
    asked = body.keys() & Formed.model_fields.keys()
    plain = body.get("response_format")
    if isinstance(plain, Mapping) and plain.get("type") == "text":
        asked -= {"response_format"}
    return bool(asked)


def _format(name: str, given: Any) -> dict[str, Any] | None:
    if given is None:
        return None
    match name:
        case "json":
            return {"type": "json_schema", "json_schema": {"schema": given}}
        case "grammar":
            return {"type": "lark", "lark": given}
        case _:
            return {"type": name, name: given}
