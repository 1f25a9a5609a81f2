"""`{"tool_calls": [...]}`, and `{"name": ..., "arguments": ...}` of a tool that is known.

The latter may stand in a list.
"""

from collections.abc import Mapping
from typing import Any

from agents.llm.parsing.calls import ARGUMENTS, calls_in, looks_like_call
from agents.llm.parsing.parts import ToolCall
from agents.llm.parsing.problems import BrokenCallError, IsDataError, NotACallError
from agents.llm.parsing.source import Reading, Source
from agents.llm.parsing.tool_format import ToolFormat, Tools
from agents.llm.parsing.values import read_items, read_members, read_string, skip_space

# The first name of the object decides early that most objects are no calls.
_FIRST_OF_ENVELOPE = ("tool_calls", "role", "content")
_FIRST_OF_CALL = ("name", "id", "type", "function", *ARGUMENTS)


def _read(source: Source, tools: Tools) -> Reading[list[ToolCall]]:
    first = ""
    try:
        first = yield from _read_first_name(source, tools, envelope=True)
        value = yield from read_members(source, first)
    except BrokenCallError as error:
        if first == "tool_calls":
            raise
        raise NotACallError from error
    if value.get("tool_calls") is not None:
        return calls_in(value)
    if not _is_for_one_of(tools, value):
        raise NotACallError
    return calls_in(value)


def _read_list(source: Source, tools: Tools) -> Reading[list[ToolCall]]:
    source.take(1)
    yield from skip_space(source)
    if not tools or (yield from source.peek()) != "{":
        raise NotACallError
    try:
        first = yield from _read_first_name(source, tools, envelope=False)
        value = yield from read_members(source, first)
        values = [value, *(yield from read_items(source, "]"))]
    except BrokenCallError as error:
        raise NotACallError from error
    if not all(_is_for_one_of(tools, value) for value in values):
        raise NotACallError
    return calls_in(values)


def _read_first_name(source: Source, tools: Tools, *, envelope: bool) -> Reading[str]:
    source.take(1)
    yield from skip_space(source)
    wanted = (*(_FIRST_OF_ENVELOPE if envelope else ()), *(_FIRST_OF_CALL if tools else ()))
    quoted = [quote + name + quote for name in wanted for quote in "\"'"]
    if not (yield from source.next_of(quoted)):
        raise IsDataError
    return (yield from read_string(source))


def _is_for_one_of(tools: Tools, value: Any) -> bool:
    if not isinstance(value, Mapping):
        return False
    body = value.get("function")
    call = body if isinstance(body, dict) else value
    return looks_like_call(call) and call["name"].strip() in (tools or ())


OBJECT = ToolFormat(opening="{", read=_read)
LIST = ToolFormat(opening="[", read=_read_list)
