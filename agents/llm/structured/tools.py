"""Grammars of tool calls: names that exist, arguments that fit."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.llm.structured.errors import GrammarSyntaxError, ResultError, SchemaError
from agents.llm.structured.expression import EMPTY, Expression, Lexeme, Literal, choice, sequence
from agents.llm.structured.grammar import Grammar, embedded
from agents.llm.structured.json_text import COLON, COMMA, dumped
from agents.llm.structured.sources import grammar_of_schema, grammar_of_type


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
            closed = {} if _is_open(self.arguments) else {"additionalProperties": False}
            return grammar_of_schema({"type": "object", **closed, **self.arguments})
        return grammar_of_type(self.arguments)


@dataclass(frozen=True)
class ToolCall:
    """A call of `name`; `arguments` are an instance of the tool's type, or plain JSON."""

    name: str
    arguments: Any


REQUIRED = "required"


def grammar_of_tools(tools: Sequence[Tool], tool_choice: str = REQUIRED) -> Grammar:
    """Answers that call one of `tools`: `{"name": "search", "arguments": {"query": "a"}}`.

    They are parsed to a `ToolCall`.

    Args:
        tools: what may be called.
        tool_choice: `required`, or the name of a tool, so that only its arguments are left to the
            model.

    Raises:
        SchemaError: a tool's schema cannot be enforced, or the tools cannot be told apart.
    """
    known = tools_by_name(tools)
    if tool_choice != REQUIRED and tool_choice not in known:
        raise SchemaError(f"there is no tool {tool_choice!r} (known: {', '.join(known)})")
    chosen = known if tool_choice == REQUIRED else {tool_choice: known[tool_choice]}
    call, rules = call_of_any(chosen.values())
    parsers = {name: tool.grammar.parse for name, tool in chosen.items()}

    def parse(text: str) -> ToolCall:
        return _parsed(text, parsers)

    return Grammar(call, rules, parse, "tool call")


def tools_by_name(tools: Sequence[Tool]) -> dict[str, Tool]:
    """The tools by their names.

    Raises:
        GrammarSyntaxError: they cannot be told apart.
    """
    names = [tool.name for tool in tools]
    if not tools or not all(names) or len(set(names)) < len(names):
        raise GrammarSyntaxError(f"tools need names that differ, not {names}")
    return dict(zip(names, tools, strict=True))


def call_of_any(
    tools: Iterable[Tool], arguments: str = "arguments"
) -> tuple[Expression, dict[str, Expression]]:
    """A call of one of the tools, and the rules it refers to.

    Raises:
        SchemaError: a tool's schema cannot be enforced.
    """
    rules: dict[str, Expression] = {}
    calls = []
    key = Lexeme(Literal(dumped(arguments)))
    for number, tool in enumerate(tools):
        value, more = _of_tool(tool, f"tool{number}.")
        rules |= more
        calls.append(sequence(Lexeme(Literal(dumped(tool.name))), COMMA, key, COLON, value))
    return sequence(*_OPEN, choice(calls), Lexeme(Literal("}"))), rules


def _is_open(schema: Mapping[str, Any]) -> bool:
    """Whether there may be arguments; a tool whose list of them is empty has none, as OpenAI's."""
    return bool(schema and schema.get("properties") != {}) or any(k in schema for k in _MORE)


def marker(text: str) -> tuple[Expression, ...]:
    """A text that stands beside calls; JSON's separators as the vocabulary can spell them."""
    if not text or text in (COMMA.name, COLON.name):
        return tuple(rule for rule in (COMMA, COLON) if rule.name == text)
    if text.startswith(COLON.name):
        return (COLON, *marker(text.removeprefix(COLON.name)))
    bare = text.replace("\n", "")  # for vocabularies without line ends
    return (choice([Lexeme(Literal(text)), Lexeme(Literal(bare)) if bare else EMPTY]),)


_MORE = ("$ref", "allOf", "anyOf", "oneOf", "if", "patternProperties")  # may tell of arguments
_OPEN = (Lexeme(Literal("{")), Lexeme(Literal('"name"')), COLON)


def _of_tool(tool: Tool, prefix: str) -> tuple[Expression, dict[str, Expression]]:
    try:
        return embedded(tool.grammar, prefix)
    except SchemaError as error:
        error.add_note(f"in the arguments of the tool {tool.name!r}")
        raise


def _parsed(text: str, parsers: Mapping[str, Any]) -> ToolCall:
    try:
        call = json.loads(text)
        name, arguments = call["name"], call["arguments"]
        parse = parsers[name]
    except (ValueError, KeyError, TypeError) as error:
        raise ResultError(f"the answer calls none of {', '.join(parsers)}", text) from error
    return ToolCall(name, parse(json.dumps(arguments, ensure_ascii=False)))
