"""The notations in which models write tool calls: one module and one entry here for each."""

from collections.abc import Mapping
from types import MappingProxyType

from agents.llm.parsing.formats import (
    bare_json,
    call_list,
    call_text,
    function_tag,
    mistral,
    python_tag,
    tool_call_tag,
)
from agents.llm.parsing.tool_format import ToolFormat

FORMATS: Mapping[str, ToolFormat] = MappingProxyType(
    {
        "json": bare_json.OBJECT,
        "json_list": bare_json.LIST,
        "text": call_text.FORMAT,
        "hermes": tool_call_tag.ONE,
        "hunyuan": tool_call_tag.SEVERAL,
        "function": function_tag.FORMAT,
        "mistral": mistral.FORMAT,
        "llama": python_tag.FORMAT,
        "lfm2": call_list.FORMAT,
    }
)

__all__ = ["FORMATS", "ToolFormat"]
