"""A function that a model may call."""

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic.fields import FieldInfo

from agents._suggest import nearest
from agents.llm.tools.docstring import read_docstring
from agents.llm.tools.errors import ToolArgumentsError, ToolDefinitionError
from agents.llm.tools.read_schema import ReadSchema

DEFAULT_TIMEOUT_S = 30.0

# What OpenAI's API takes as a name.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OF_METHODS = ("self", "cls")
_MAX_SHOWN_CHARS = 200
_MAX_TOLD = 10


class _Arguments(BaseModel):
    # A model may write 10 for a text and "10" for a number.
    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)


class Tool:
    """A function, and what a model is told of it.

    The schema comes from the signature, the descriptions from the docstring (Google's style for
    the arguments). The function is async, or plain: then it runs in a thread.

    Args:
        function: it takes arguments by name, and returns text, or anything that JSON can say.
        name: the function's own, if not given.
        description: the first part of the docstring, if not given.
        timeout_s: after so long the model is told that there is no result. A coroutine is
            cancelled. A thread cannot be stopped: it goes on, and its result is dropped.

    Raises:
        ToolDefinitionError: no model could call it, or no schema says what it takes.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        self.function = function
        self.name: str = name or str(getattr(function, "__name__", ""))
        if not _NAME.fullmatch(self.name):
            raise ToolDefinitionError(
                f"{self.name!r} cannot be the name of a tool; give name= with up to 64 letters, "
                "digits, '_' and '-'"
            )
        if timeout_s <= 0:
            raise ToolDefinitionError(f"the timeout of {self.name} is {timeout_s} s; give more")
        self.timeout_s = timeout_s
        told, self._told_arguments = read_docstring(inspect.getdoc(function) or "")
        self.description = description or told
        self._names: dict[str, str] = {}
        self._model = self._arguments_model()
        self.parameters = self._schema()

    def __repr__(self) -> str:
        return f"Tool({self.name!r})"

    @property
    def schema(self) -> dict[str, Any]:
        """What a model is told, in OpenAI's shape."""
        function = {
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters,
        }
        return {"type": "function", "function": function}

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the function's annotations want them.

        Raises:
            ToolArgumentsError: some do not fit, are missing or unknown.
        """
        try:
            checked = self._model.model_validate(deepcopy(dict(arguments)))
        except ValidationError as error:
            raise ToolArgumentsError(self._told(error)) from error
        except Exception as error:  # of a validator of the tool's own
            told = f"{self.name}: its arguments cannot be checked: {type(error).__name__}"
            raise ToolArgumentsError(told) from error
        given = checked.model_fields_set
        return {
            name: getattr(checked, field) for field, name in self._names.items() if field in given
        }

    def _arguments_model(self) -> type[BaseModel]:
        try:
            signature = inspect.signature(self.function)
            hints = _hints(self.function)
        except (TypeError, ValueError, NameError) as error:
            raise ToolDefinitionError(
                f"the signature of {self.name} is unknown: {error}"
            ) from error
        if _yields(self.function):
            raise ToolDefinitionError(f"{self.name} yields; a tool returns what it has to tell")
        fields: dict[str, Any] = {}
        for number, parameter in enumerate(signature.parameters.values()):
            if number == 0 and parameter.name in _OF_METHODS and parameter.name not in hints:
                raise ToolDefinitionError(
                    f"{self.name} takes {parameter.name}; give the method of an object"
                )
            # Names of our own, since an argument may be called like a method of the model.
            self._names[f"p{number}"] = parameter.name
            fields[f"p{number}"] = (hints.get(parameter.name, Any), self._field(parameter))
        try:
            return create_model(self.name, __base__=_Arguments, **fields)
        except (PydanticSchemaGenerationError, PydanticUserError, TypeError) as error:
            raise ToolDefinitionError(
                f"no schema says what {self.name} takes: {str(error).splitlines()[0]}"
            ) from error

    def _field(self, parameter: inspect.Parameter) -> Any:
        if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
            raise ToolDefinitionError(
                f"{self.name} takes {parameter}, which a model cannot give by name"
            )
        if isinstance(parameter.default, FieldInfo):
            raise ToolDefinitionError(
                f"the default of {parameter.name} in {self.name} is a Field; write "
                f"{parameter.name}: Annotated[..., Field(...)] = ..."
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        options: dict[str, Any] = {"alias": parameter.name}
        if told := self._told_arguments.get(parameter.name):
            options["description"] = told  # else that of the annotation is kept
        return Field(default, **options)

    def _schema(self) -> dict[str, Any]:
        try:
            schema = self._model.model_json_schema(schema_generator=ReadSchema)
        except (PydanticUserError, ValueError) as error:
            raise ToolDefinitionError(
                f"no schema says what {self.name} takes: {str(error).splitlines()[0]}"
            ) from error
        for parameter in schema.get("properties", {}).values():
            parameter.pop("title", None)
        schema.pop("title", None)
        schema.setdefault("properties", {})
        return schema

    def _told(self, error: ValidationError) -> str:
        items = error.errors(include_url=False)
        told = [
            self._told_of(item["type"], item["loc"], item["msg"], item.get("input"))
            for item in items[:_MAX_TOLD]
        ]
        more = [f"and {len(items) - _MAX_TOLD} more"] if len(items) > _MAX_TOLD else []
        return f"{self.name}: " + "; ".join(told + more)

    def _told_of(self, kind: str, place: tuple[int | str, ...], told: str, given: Any) -> str:
        where = ".".join(map(str, place))[:_MAX_SHOWN_CHARS]
        names = list(self._names.values())
        if kind == "extra_forbidden" and len(place) == 1:
            near = nearest(where, names)
            hint = f"did you mean {near!r}?" if near else f"known: {', '.join(names) or 'none'}"
            return f"{where!r} is no argument ({hint})"
        if kind == "missing":
            return f"{where!r} is missing"
        return f"{where!r}: {told} (got {_shown(given)})"


def _shown(given: Any) -> str:
    try:
        shown = repr(given)
    except Exception:  # noqa: BLE001 - of a type of the tool's own, or a number of too many digits
        return type(given).__name__
    return shown if len(shown) <= _MAX_SHOWN_CHARS else f"{shown[:_MAX_SHOWN_CHARS]}..."


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a callable, by the names of what it takes."""
    inner = _inner(function)
    if not inspect.isclass(inner):
        return get_type_hints(inner, include_extras=True)
    made = get_type_hints(inner.__init__, include_extras=True)
    return {**get_type_hints(inner, include_extras=True), **made}


def _yields(function: Callable[..., Any]) -> bool:
    inner = _inner(function)
    return inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner)


def _inner(function: Callable[..., Any]) -> Any:
    """The function or the class that is called."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function) or inspect.isclass(function):
        return function
    return type(function).__call__


def as_tools(given: Iterable[Tool | Callable[..., Any]]) -> dict[str, Tool]:
    """Functions and tools by name.

    Raises:
        ToolDefinitionError: one cannot be a tool, or two have one name.
    """
    tools: dict[str, Tool] = {}
    for item in given:
        tool = item if isinstance(item, Tool) else Tool(item)
        if tool.name in tools:
            raise ToolDefinitionError(f"two tools are called {tool.name!r}; give one name=")
        tools[tool.name] = tool
    return tools
