"""`[TOOL_CALLS] [{"name": ..., "arguments": ...}]`, newer `[TOOL_CALLS]name[ARGS]{...}`."""

import re

from agents.llm.parsing.calls import calls_in
from agents.llm.parsing.parts import ToolCall
from agents.llm.parsing.problems import NotACallError
from agents.llm.parsing.source import Reading, Source
from agents.llm.parsing.tool_format import ToolFormat, Tools
from agents.llm.parsing.values import NAME, read_object, read_value, skip_space

_OPENING = "[TOOL_CALLS]"
_ID, _ARGUMENTS = "[CALL_ID]", "[ARGS]"
_ID_TEXT = re.compile(r"[A-Za-z0-9]+")


def _read(source: Source, _tools: Tools) -> Reading[list[ToolCall]]:
    source.take(len(_OPENING))
    yield from skip_space(source)
    char = yield from source.peek()
    if char and char in "[{":
        return calls_in((yield from read_value(source)))
    name = yield from source.span(NAME)
    if not name:
        raise NotACallError
    call_id = ""
    if (yield from source.skip(_ID)):
        call_id = yield from source.span(_ID_TEXT)
    yield from source.skip(_ARGUMENTS)
    return [ToolCall(name=name, arguments=(yield from read_object(source)), id=call_id)]


FORMAT = ToolFormat(opening=_OPENING, read=_read)
