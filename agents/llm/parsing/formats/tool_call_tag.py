"""`<tool_call>{"name": ..., "arguments": ...}</tool_call>`; the same in `<tool_calls>`."""

from agents.llm.parsing.calls import calls_in
from agents.llm.parsing.formats.function_tag import OPENING as FUNCTION
from agents.llm.parsing.formats.function_tag import read_function
from agents.llm.parsing.parts import ToolCall
from agents.llm.parsing.problems import BrokenCallError, NotACallError
from agents.llm.parsing.source import Reading, Source
from agents.llm.parsing.tool_format import ToolFormat, Tools
from agents.llm.parsing.values import read_value, skip_space


def _tag(name: str) -> ToolFormat:
    opening, closing = f"<{name}>", f"</{name}>"

    def read(source: Source, tools: Tools) -> Reading[list[ToolCall]]:
        source.take(len(opening))
        return (yield from _read_calls(source, tools, closing))

    return ToolFormat(opening, read)


def _read_calls(source: Source, tools: Tools, closing: str) -> Reading[list[ToolCall]]:
    """The closing tag may be missing: models end after the last brace, or begin the next call."""
    calls: list[ToolCall] = []
    while True:
        yield from skip_space(source)
        char = yield from source.peek()
        if char and char in "{[":
            calls += calls_in((yield from read_value(source)))
        elif (yield from source.next_of([FUNCTION])):
            calls += yield from read_function(source, tools)
        elif (yield from source.skip(closing)):
            return _some(calls)
        elif calls:
            return calls
        elif char:
            raise NotACallError
        else:
            raise BrokenCallError("it ends in the middle")


def _some(calls: list[ToolCall]) -> list[ToolCall]:
    if not calls:
        raise BrokenCallError("there is no call between the tags")
    return calls


ONE = _tag("tool_call")
SEVERAL = _tag("tool_calls")
