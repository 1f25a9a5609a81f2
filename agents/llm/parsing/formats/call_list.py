"""`<|tool_call_start|>[search(query="a"), now()]<|tool_call_end|>` of LFM2, or JSON in it."""

from agents.llm.parsing.calls import calls_in
from agents.llm.parsing.formats.call_text import read_call
from agents.llm.parsing.parts import ToolCall
from agents.llm.parsing.source import Reading, Source
from agents.llm.parsing.tool_format import ToolFormat, Tools
from agents.llm.parsing.values import expect, read_items, skip_space

_OPENING, _CLOSING = "<|tool_call_start|>", "<|tool_call_end|>"


def _read(source: Source, tools: Tools) -> Reading[list[ToolCall]]:
    source.take(len(_OPENING))
    yield from expect(source, "[", "'['")
    yield from skip_space(source)
    if (yield from source.peek()) == "{":
        calls = calls_in((yield from read_items(source, "]")))
    else:
        calls = yield from _read_calls(source, tools)
    yield from skip_space(source)
    yield from source.skip(_CLOSING)
    return calls


def _read_calls(source: Source, tools: Tools) -> Reading[list[ToolCall]]:
    calls: list[ToolCall] = []
    while True:
        yield from skip_space(source)
        calls.append((yield from read_call(source, tools)))
        if (yield from expect(source, ",]", "',' or ']'")) == "]":
            return calls


FORMAT = ToolFormat(opening=_OPENING, read=_read)
