"""What models write, read as reasoning, answer and tool calls. Knows no bus and no model."""

from agents.llm.parsing.formats import FORMATS, ToolFormat
from agents.llm.parsing.parser import OutputParser, parse, parse_stream
from agents.llm.parsing.parts import (
    Collector,
    Parsed,
    Part,
    Problem,
    Reclassified,
    Text,
    Thinking,
    ToolCall,
    collect,
)
from agents.llm.parsing.response_template import parse_answer
from agents.llm.parsing.tags import REASONING, opens_reasoning

__all__ = [
    "FORMATS",
    "REASONING",
    "Collector",
    "OutputParser",
    "Parsed",
    "Part",
    "Problem",
    "Reclassified",
    "Text",
    "Thinking",
    "ToolCall",
    "ToolFormat",
    "collect",
    "opens_reasoning",
    "parse",
    "parse_answer",
    "parse_stream",
]
