"""`TOOL_CALL: search(query="a, b", limit=10, tags=[1, 2])`."""

from agents.llm.parsing.arguments import read_arguments
from agents.llm.parsing.calls import calls_in
from agents.llm.parsing.parts import ToolCall
from agents.llm.parsing.problems import BrokenCallError, NotACallError
from agents.llm.parsing.source import Reading, Source
from agents.llm.parsing.tool_format import ToolFormat, Tools, takes_text
from agents.llm.parsing.values import NAME, read_object, skip_space

_OPENING = "TOOL_CALL:"


def _read(source: Source, tools: Tools) -> Reading[list[ToolCall]]:
    if source.previous and (source.previous.isalnum() or source.previous == "_"):
        raise NotACallError
    source.take(len(_OPENING))
    yield from skip_space(source)
    if (yield from source.peek()) == "{":
        return calls_in((yield from read_object(source)))
    return [(yield from read_call(source, tools))]


def read_call(source: Source, tools: Tools) -> Reading[ToolCall]:
    """Read `name(arguments)`.

    Raises:
        NotACallError: there is no name.
    """
    name = yield from source.span(NAME)
    if not name:
        raise NotACallError
    if not (yield from source.skip("(")):
        raise BrokenCallError(f"'(' is missing after {name[:40]!r}")
    arguments = yield from read_arguments(source, takes_text(tools, name))
    return ToolCall(name=name, arguments=arguments)


FORMAT = ToolFormat(opening=_OPENING, read=_read)
