"""Grammars of tool calls: names that exist, arguments that fit."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agents.llm.structured.errors import GrammarSyntaxError, ResultError, SchemaError
from agents.llm.structured.expression import (
    Characters,
    Expression,
    Lexeme,
    Literal,
    choice,
    inverted,
    overlap,
    ranges,
    repeat,
    sequence,
)
from agents.llm.structured.grammar import Grammar, embedded
from agents.llm.structured.json_text import COLON, COMMA, dumped
from agents.llm.structured.regex import TEXT
from agents.llm.structured.sources import grammar_of_schema, grammar_of_type

_SPACE = " \t\r\n"


class ToolChoice(StrEnum):
    """Whether a tool is to be called: `auto` leaves it to the model, `required` does not."""

    AUTO = "auto"
    REQUIRED = "required"


@dataclass(frozen=True)
class Tool:
    """What a model may call.

    Attributes:
        name: what the call begins with.
        arguments: a JSON schema of an object, or a type of pydantic's that is one in JSON.
    """

    name: str
    arguments: Any

    @property
    def grammar(self) -> Grammar:
        """The grammar of its arguments."""
        if isinstance(self.arguments, Mapping):
            if self.arguments.get("type", "object") != "object":
                raise GrammarSyntaxError(f"the arguments of {self.name!r} are no object")
            return grammar_of_schema({"type": "object", **self.arguments})
        return grammar_of_type(self.arguments)


@dataclass(frozen=True)
class ToolCall:
    """A call of `name`; `arguments` are an instance of the tool's type, or plain JSON."""

    name: str
    arguments: Any


def grammar_of_tools(
    tools: Sequence[Tool],
    tool_choice: ToolChoice | str = ToolChoice.REQUIRED,
    *,
    begin: str = "",
    end: str = "",
) -> Grammar:
    """Answers that call one of `tools`: `{"name": "search", "arguments": {"query": "a"}}`.

    They are parsed to a `ToolCall`, or to the text itself if none is called.

    Args:
        tools: what may be called.
        tool_choice: `required`; `auto` for a call or any text that does not begin like one; or the
            name of a tool, so that only its arguments are left to the model.
        begin: text before the call, which models are taught: `<tool_call>`.
        end: text behind it.

    Raises:
        SchemaError: a tool's schema cannot be enforced, or the tools cannot be told apart.
    """
    names = [tool.name for tool in tools]
    if not tools or not all(names) or len(set(names)) < len(names):
        raise GrammarSyntaxError(f"tools need names that differ, not {names}")
    chosen = [tool for tool in tools if tool_choice in (*ToolChoice, tool.name)]
    if not chosen:
        raise SchemaError(f"there is no tool {str(tool_choice)!r} (known: {', '.join(names)})")
    rules: dict[str, Expression] = {}
    calls = []
    for number, tool in enumerate(chosen):
        arguments, more = _of_tool(tool, f"tool{number}.")
        rules |= more
        calls.append(sequence(Lexeme(Literal(dumped(tool.name))), COMMA, _ARGUMENTS, arguments))
    call = sequence(*_OPEN, choice(calls), Lexeme(Literal("}")))
    start = sequence(*_marker(begin), call, *_marker(end))
    is_auto = tool_choice == ToolChoice.AUTO
    if is_auto:
        start = choice([start, _text_not_starting_with(f"{begin[:1] or '{'}{_SPACE}")])
    parsers = {tool.name: tool.grammar.parse for tool in chosen}

    def parse(text: str) -> ToolCall | str:
        if is_auto and not text.startswith(begin or "{"):
            return text
        return _parsed(text, begin, end, parsers)

    return Grammar(start, rules, parse, "tool call")


_OPEN = (Lexeme(Literal("{")), Lexeme(Literal('"name"')), COLON)
_ARGUMENTS = sequence(Lexeme(Literal('"arguments"')), COLON)


def _of_tool(tool: Tool, prefix: str) -> tuple[Expression, dict[str, Expression]]:
    try:
        return embedded(tool.grammar, prefix)
    except SchemaError as error:
        error.add_note(f"in the arguments of the tool {tool.name!r}")
        raise


def _marker(text: str) -> tuple[Expression, ...]:
    return (Lexeme(Literal(text)),) if text else ()


def _text_not_starting_with(signs: str) -> Expression:
    excluded = ranges((ord(sign), ord(sign)) for sign in signs)
    first = Characters(overlap(TEXT.ranges, inverted(excluded)))
    return Lexeme(sequence(first, repeat(TEXT)))


def _parsed(text: str, begin: str, end: str, parsers: Mapping[str, Any]) -> ToolCall:
    body = text.removeprefix(begin).removesuffix(end)
    try:
        call = json.loads(body)
        name, arguments = call["name"], call["arguments"]
        parse = parsers[name]
    except (ValueError, KeyError, TypeError) as error:
        raise ResultError(f"the answer calls none of {', '.join(parsers)}", text) from error
    return ToolCall(name, parse(json.dumps(arguments, ensure_ascii=False)))
