"""Tools, calls and results in words, for models whose template knows none of them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agents.llm.chat.messages import ChatCall, ChatMessage

_INTRODUCTION = """You may use these tools, each described by a JSON schema:"""
_INSTRUCTION = """To use tools, answer with nothing but this JSON, with one entry for each call:
{"tool_calls": [{"name": "<name of the tool>", "arguments": {<its arguments>}}]}
You will get the results and can then go on. Without need of a tool, just answer."""


def describe_tools(
    messages: Sequence[ChatMessage], functions: Sequence[Mapping[str, Any]]
) -> list[ChatMessage]:
    """The messages with the tools described in the system message."""
    if not functions:
        return list(messages)
    lines = [json.dumps(dict(function), ensure_ascii=False) for function in functions]
    text = "\n".join([_INTRODUCTION, *lines, _INSTRUCTION])
    first, rest = messages[:1], messages[1:]
    if first and first[0].role == "system":
        return [
            ChatMessage(role="system", content=f"{first[0].content}\n\n{text}".strip()),
            *rest,
        ]
    return [ChatMessage(role="system", content=text), *messages]


def as_plain_messages(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The same conversation without tool calls and results of their own kind."""
    return [_plain(message) for message in messages]


def _plain(message: ChatMessage) -> ChatMessage:
    if message.role == "tool":
        name = message.name or "the tool"
        return ChatMessage(role="user", content=f"Result of {name}:\n{message.content}")
    if not message.tool_calls:
        return message
    calls = {"tool_calls": [_written(call) for call in message.tool_calls]}
    written = json.dumps(calls, ensure_ascii=False)
    return ChatMessage(role="assistant", content=f"{message.content}\n{written}".strip())


def _written(call: ChatCall) -> dict[str, Any]:
    return {"name": call.name, "arguments": call.arguments}
