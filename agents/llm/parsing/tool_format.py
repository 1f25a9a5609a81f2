"""What a notation of tool calls is."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from agents.llm.parsing.parts import ToolCall
from agents.llm.parsing.source import Reading, Source

# The names of the tools, with the JSON schemas of their parameters if possible; None: not known.
Tools = Mapping[str, Mapping[str, Any]] | Collection[str] | None

# Of a parameter and the value that its text reads as: whether the text is meant.
TakesText = Callable[[str, Any], bool]


@dataclass(frozen=True)
class ToolFormat:
    """One notation of tool calls.

    Attributes:
        opening: how a call begins. Its first character must not come again in it.
        read: reads the calls, from the opening on. It may raise `NotACallError` for what is
            merely text, and `BrokenCallError` for what is a call that cannot be read.
    """

    opening: str
    read: Callable[[Source, Tools], Reading[list[ToolCall]]]

    def __post_init__(self) -> None:
        if not self.opening or self.opening[0] in self.opening[1:]:
            raise ValueError(f"{self.opening!r} cannot open a call: its first character repeats")


def takes_text(tools: Tools, name: str) -> TakesText:
    """Of a tool: whether a parameter takes text, and not the value that this text is.

    `10` is "10" where only a text is taken, and 10 where a number is, or where nothing is known.
    """
    schema = tools.get(name) if isinstance(tools, Mapping) else None
    properties = schema.get("properties") if isinstance(schema, Mapping) else None

    def takes(parameter: str, value: Any) -> bool:
        kinds = _kinds(properties.get(parameter)) if isinstance(properties, Mapping) else set()
        return "string" in kinds and not kinds & _KINDS.get(type(value), frozenset())

    return takes


_KINDS: Mapping[type, frozenset[str]] = {
    bool: frozenset({"boolean"}),
    int: frozenset({"integer", "number"}),
    float: frozenset({"number"}),
    type(None): frozenset({"null"}),
    list: frozenset({"array"}),
    dict: frozenset({"object"}),
}


def _kinds(schema: Any) -> set[str]:
    """The types that a schema names; none where it is a truth value, or no schema at all."""
    if not isinstance(schema, Mapping):
        return set()
    given = schema.get("type")
    kinds = {given} if isinstance(given, str) else {k for k in _list(given) if isinstance(k, str)}
    for choice in (*_list(schema.get("anyOf")), *_list(schema.get("oneOf"))):
        kinds |= _kinds(choice)
    return kinds


def _list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else []
