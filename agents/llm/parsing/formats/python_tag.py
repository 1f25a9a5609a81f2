"""`<|python_tag|>` of Llama 3: a JSON call, several with `;` between, or `tool.call(x=1)`."""

from agents.llm.parsing.calls import calls_in
from agents.llm.parsing.formats.call_text import read_call
from agents.llm.parsing.parts import ToolCall
from agents.llm.parsing.problems import BrokenCallError, NotACallError
from agents.llm.parsing.source import Reading, Source
from agents.llm.parsing.tool_format import ToolFormat, Tools
from agents.llm.parsing.values import read_object, skip_space

_OPENING = "<|python_tag|>"


def _read(source: Source, _tools: Tools) -> Reading[list[ToolCall]]:
    source.take(len(_OPENING))
    yield from skip_space(source)
    if (yield from source.peek()) != "{":
        return [(yield from _read_built_in(source))]
    calls: list[ToolCall] = []
    while True:
        calls += calls_in((yield from read_object(source)))
        if (yield from source.next_of([";"])) != ";":
            return calls
        source.take(1)
        yield from skip_space(source)


def _read_built_in(source: Source) -> Reading[ToolCall]:
    """A call of a tool that Llama knows; other Python code is text."""
    try:
        call = yield from read_call(source, None)
    except BrokenCallError as error:
        raise NotACallError from error
    if not call.name.endswith(".call"):
        raise NotACallError
    return ToolCall(name=call.name.removesuffix(".call"), arguments=call.arguments)


FORMAT = ToolFormat(opening=_OPENING, read=_read)
