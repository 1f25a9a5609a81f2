"""`<function=name><parameter=key>value</parameter></function>` of Qwen3-Coder.

Llama writes JSON in place of the parameters.
"""

import re
from typing import Any

from agents.llm.parsing.parts import ToolCall
from agents.llm.parsing.problems import BrokenCallError
from agents.llm.parsing.source import Reading, Source
from agents.llm.parsing.tool_format import TakesText, ToolFormat, Tools, takes_text
from agents.llm.parsing.values import SPACE, read_object, skip_space, value_of_text

OPENING = "<function="
_CLOSING = "</function>"
_PARAMETER, _END_OF_PARAMETER = "<parameter=", "</parameter>"
_NAME = re.compile(r"[^<>\s]+")
_PLAIN = re.compile(r"[^<]+")


def read_function(source: Source, tools: Tools) -> Reading[list[ToolCall]]:
    source.take(len(OPENING))
    name = yield from _read_name(source)
    yield from skip_space(source)
    if (yield from source.peek()) == "{":
        arguments = yield from read_object(source)
        yield from skip_space(source)
        yield from source.skip(_CLOSING)
    else:
        arguments = yield from _read_parameters(source, takes_text(tools, name))
    return [ToolCall(name=name, arguments=arguments)]


def _read_parameters(source: Source, takes_text: TakesText) -> Reading[dict[str, Any]]:
    arguments: dict[str, Any] = {}
    while not (yield from source.skip(_CLOSING)):
        if not (yield from source.skip(_PARAMETER)):
            raise BrokenCallError(f"{_PARAMETER!r} or {_CLOSING!r} is expected")
        name = yield from _read_name(source)
        if name in arguments:
            raise BrokenCallError(f"{name[:40]!r} is given twice")
        text = yield from _read_text(source)
        value = value_of_text(text)
        arguments[name] = text if takes_text(name, value) else value
    return arguments


def _read_name(source: Source) -> Reading[str]:
    name = (yield from source.span(_NAME)).strip("\"'")
    if not name or not (yield from source.skip(">")):
        raise BrokenCallError(f"a name and '>' are expected after {OPENING!r} or {_PARAMETER!r}")
    return name


def _read_text(source: Source) -> Reading[str]:
    """What stands between the tags, without the line breaks beside them.

    A closing tag is text, unless the next parameter or the end of the function follows it.
    """
    taken: list[str] = []
    while (yield from source.peek()):
        if not (yield from source.skip(_END_OF_PARAMETER)):
            taken.append(source.run(_PLAIN) or source.take(1))
            continue
        space = yield from source.span(SPACE)
        if (yield from source.next_of([_PARAMETER, _CLOSING])):
            return "".join(taken).removeprefix("\n").removesuffix("\n")
        taken.append(_END_OF_PARAMETER + space)
    raise BrokenCallError("it ends in the middle of a parameter")


def _read(source: Source, tools: Tools) -> Reading[list[ToolCall]]:
    return (yield from read_function(source, tools))


FORMAT = ToolFormat(opening=OPENING, read=_read)
