"""Free text that may end in tool calls: what begins like a call is one, and fits its tool.

What any reader could take for a call, but is none, cannot be written. Nor can tags of reasoning,
but around reasoning at the beginning of an answer, in which there are no calls.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from agents.llm.parsing import FORMATS, REASONING, OutputParser, Parsed, collect
from agents.llm.structured.automaton import intersection
from agents.llm.structured.errors import ResultError
from agents.llm.structured.expression import (
    EMPTY,
    Characters,
    Expression,
    Lexeme,
    Literal,
    choice,
    optional,
    ranges,
    repeat,
    sequence,
)
from agents.llm.structured.grammar import Grammar
from agents.llm.structured.notations import Notation
from agents.llm.structured.regex import ANY, ANY_TEXT, TEXT, read_regex
from agents.llm.structured.tools import Tool, call_of_any, marker, tools_by_name

_QUOTE, _SPACE, _ARGUMENTS = "[\"']", "[ \t\r\n]*", "(arguments|parameters|args)"
_CALLS_IN_JSON = (
    rf"\{{{_SPACE}{_QUOTE}tool_calls{_QUOTE}",
    rf"\{{{_SPACE}{_QUOTE}{_ARGUMENTS}{_QUOTE}{_SPACE}:",
    rf"{_QUOTE}name{_QUOTE}{_SPACE}:{_SPACE}{_QUOTE}[^\"'\n]*{_QUOTE}{_SPACE},{_SPACE}{_QUOTE}{_ARGUMENTS}{_QUOTE}{_SPACE}:",
)
_SOME_TEXT = repeat(TEXT)
_KEPT = 32

Rules = dict[str, Expression]


def grammar_of_free_calls(
    tools: Sequence[Tool],
    notation: Notation,
    *,
    can_think: bool = False,
    is_thinking: bool = False,
    is_parallel: bool = True,
) -> Grammar:
    """Answers of text, and behind it calls of `tools`, or one without the other.

    They are parsed to `Parsed`.

    Args:
        tools: what may be called.
        notation: how calls are written.
        can_think: whether the answer may begin with reasoning.
        is_thinking: whether it begins inside of that.
        is_parallel: whether there may be several calls.

    Raises:
        SchemaError: a tool's schema cannot be enforced, or the tools cannot be told apart.
    """
    known = tools_by_name(tools)
    calls, rules = _calls(known, notation, is_parallel=is_parallel)
    free, opened, more = _plain(notation.opening)
    start = answer = choice([EMPTY, free, sequence(opened, calls)])
    if can_think or is_thinking:
        begin = "" if is_thinking else "<think>"
        thinking, thought, others = _reasoning(notation.opening, begin)
        start = choice([EMPTY if is_thinking else answer, thinking, sequence(thought, answer)])
        more = more | others

    read = partial(_read, tools=known, notation=notation, is_thinking=is_thinking)
    return Grammar(start, rules | more, read, "tool calls", is_free=True)


def parser_of_free_calls(
    parameters: Mapping[str, Any], notation: Notation, *, is_thinking: bool
) -> OutputParser:
    """Reads such answers: only their own notation, wherever it stands."""
    return OutputParser(
        is_thinking=is_thinking, tools=parameters, formats=(notation.format,), has_code=False
    )


def _read(text: str, *, tools: Mapping[str, Tool], notation: Notation, is_thinking: bool) -> Parsed:
    """A whole answer, checked."""
    parameters: dict[str, Any] = {name: {} for name in tools}
    parser = parser_of_free_calls(parameters, notation, is_thinking=is_thinking)
    parsed = collect([*parser.push(text), *parser.finish()])
    for call in parsed.tool_calls:
        if call.name not in tools:
            raise ResultError(f"there is no tool {call.name!r}", text)
        tools[call.name].grammar.parse(json.dumps(call.arguments, ensure_ascii=False))
    cut = next((problem.message for problem in parsed.problems if problem.is_call), None)
    if cut is not None:
        raise ResultError(f"the answer is cut: {cut}", text)
    return parsed


def _calls(
    tools: Mapping[str, Tool], notation: Notation, *, is_parallel: bool
) -> tuple[Expression, Rules]:
    """What follows the opening."""
    call, rules = call_of_any(tools.values(), notation.arguments)
    more = repeat(sequence(*marker(notation.reopen), call, *marker(notation.close)))
    calls = sequence(
        *marker(notation.before),
        call,
        *marker(notation.close),
        more if is_parallel else EMPTY,
        *marker(notation.end),
    )
    return calls, rules


@lru_cache(maxsize=_KEPT)
def _plain(opening: str) -> tuple[Expression, Expression, Rules]:
    """Text, and text with the opening of calls at its end; the rules they refer to."""
    marks, tags = _marks(opening), _around(_tag())
    free, rules = _text("text", sequence(TEXT, _SOME_TEXT), [_around(marks), tags])
    unwanted = [sequence(_around(marks), ANY), tags]
    opened, more = _text("opened", sequence(_SOME_TEXT, Literal(opening)), unwanted)
    return free, opened, rules | more


@lru_cache(maxsize=_KEPT)
def _reasoning(opening: str, begin: str) -> tuple[Expression, Expression, Rules]:
    """Reasoning that has not ended, and reasoning with its end; the rules they refer to."""
    marks, first = _around(_marks(opening)), Literal(begin)
    some = sequence(first, _SOME_TEXT) if begin else sequence(TEXT, _SOME_TEXT)
    thinking, rules = _text("thinking", some, [marks, sequence(first, _around(_tag()))])
    end = choice(Literal(f"</{name}>") for name in sorted(REASONING))
    unwanted = [marks, sequence(first, _around(_tag()), end, ANY_TEXT)]
    thought, more = _text("thought", sequence(first, _SOME_TEXT, end), unwanted)
    return thinking, thought, rules | more


def _text(name: str, wanted: Expression, unwanted: Sequence[Expression]) -> tuple[Lexeme, Rules]:
    parts = ((wanted, True), *((part, False) for part in unwanted))
    start, rules = intersection(parts, Characters, name)
    return Lexeme(start, parts), rules


def _marks(opening: str) -> Expression:
    """What calls begin with, in any notation."""
    patterns = (read_regex(pattern, is_wanted=False)[0][0] for pattern in _CALLS_IN_JSON)
    openings = {f.opening for f in FORMATS.values() if len(f.opening) > 1}
    return choice([*patterns, *map(Literal, sorted(openings | {opening}))])


def _around(part: Expression) -> Expression:
    return sequence(ANY_TEXT, part, ANY_TEXT)


def _tag() -> Expression:
    """The beginning of a tag of reasoning, in any case."""
    names = choice(sequence(*map(_any_case, name)) for name in sorted(REASONING))
    space = Characters(ranges([(0x09, 0x0D), (0x20, 0x20)]))
    return sequence(Literal("<"), optional(Literal("/")), repeat(space), names)


def _any_case(sign: str) -> Expression:
    return Characters(ranges((ord(s), ord(s)) for s in {sign.lower(), sign.upper()}))
