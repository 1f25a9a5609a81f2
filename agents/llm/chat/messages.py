"""The messages of a conversation, in OpenAI's shape."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from agents.llm.engines.request import Text
from agents.llm.parsing import ToolCall

Role = Literal["system", "user", "assistant", "tool"]


class ChatCall(BaseModel):
    """A tool call in the history of a conversation. `arguments` may be given as JSON text."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    id: Text = ""
    name: Text = Field(min_length=1)
    arguments: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_openai(cls, given: Any) -> Any:
        if isinstance(given, ToolCall):
            return {"id": given.id, "name": given.name, "arguments": given.arguments}
        if isinstance(given, Mapping) and isinstance(given.get("function"), Mapping):
            return {**given["function"], "id": given.get("id") or ""}
        return given

    @field_validator("arguments", mode="before")
    @classmethod
    def _from_json(cls, given: Any) -> Any:
        if given is None or (isinstance(given, str) and not given.strip()):
            return {}
        if not isinstance(given, str):
            return given
        try:
            return json.loads(given)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"the arguments are no JSON: {error}") from error

    @field_validator("arguments")
    @classmethod
    def _can_be_written(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            json.dumps(arguments, ensure_ascii=False, allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"the arguments cannot be written as JSON: {error}") from None
        return arguments


class ChatMessage(BaseModel):
    """One message.

    Attributes:
        role: `developer` is read as `system`, and `function` as `tool`.
        content: the text. A list of text parts is read as one text; other parts are refused.
        tool_calls: what an assistant asked for.
        tool_call_id: which call the result of a tool belongs to.
        name: the tool whose result it is.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    role: Role
    content: Text = ""
    tool_calls: tuple[ChatCall, ...] = ()
    tool_call_id: Text = ""
    name: Text = ""

    @field_validator("role", mode="before")
    @classmethod
    def _of_other_names(cls, given: Any) -> Any:
        return {"developer": "system", "function": "tool"}.get(given, given)

    @field_validator("content", mode="before")
    @classmethod
    def _of_parts(cls, given: Any) -> Any:
        if given is None:
            return ""
        if isinstance(given, list | tuple):
            return "\n".join(_text_of(part) for part in given)
        return given

    @field_validator("tool_calls", "tool_call_id", "name", mode="before")
    @classmethod
    def _of_nothing(cls, given: Any, info: Any) -> Any:
        return cls.model_fields[info.field_name].default if given is None else given

    @model_validator(mode="after")
    def _calls_are_the_assistants(self) -> Self:
        if self.tool_calls and self.role != "assistant":
            raise ValueError(f"a message of the {self.role} has tool calls")
        return self

    def to_openai(self) -> dict[str, Any]:
        """As OpenAI's API has it: arguments are JSON text."""
        message: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.tool_calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {
                        "name": call.name,
                        "arguments": json.dumps(call.arguments, ensure_ascii=False),
                    },
                }
                for call in self.tool_calls
            ]
        if self.role == "tool":
            message["tool_call_id"] = self.tool_call_id
        if self.name:
            message["name"] = self.name
        return message


def chat_messages(given: Iterable[ChatMessage | Mapping[str, Any]]) -> list[ChatMessage]:
    """Messages, checked.

    Raises:
        pydantic.ValidationError: one of them is not valid.
    """
    return [
        item if isinstance(item, ChatMessage) else ChatMessage.model_validate(item)
        for item in given
    ]


def _text_of(part: Any) -> str:
    if isinstance(part, str):
        return part
    kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
    if kind not in {"text", "input_text", "output_text"} or not isinstance(part.get("text"), str):
        raise ValueError(f"a part of the content is {kind!r}; only text can be read")
    text: str = part["text"]
    return text
