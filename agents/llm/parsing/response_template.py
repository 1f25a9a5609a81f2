"""Outputs read by the template for answers that came with a tokenizer."""

from collections.abc import Mapping, Sequence
from typing import Any

from agents.llm.parsing.calls import calls_in
from agents.llm.parsing.parser import parse
from agents.llm.parsing.parts import Parsed, Problem
from agents.llm.parsing.problems import BrokenCallError
from agents.llm.parsing.tags import opens_reasoning
from agents.llm.parsing.tool_format import Tools

_THINKING = ("thinking", "reasoning_content", "reasoning")


def parse_answer(
    output: str,
    prompt: str,
    tokenizer: Any = None,
    tools: Sequence[Mapping[str, Any]] = (),
) -> Parsed:
    """A whole output, read by the tokenizer's own template for answers where it has one.

    Where it has none, or where that fails, the output is read like any other; a failure is told
    as a problem.

    Args:
        output: what the model wrote, its special tokens among it if the template needs them.
        prompt: what it was given, which may have opened the reasoning.
        tokenizer: of transformers, or anything with its `parse_response`.
        tools: OpenAI's shape.
    """
    names = _parameters(tools)
    if getattr(tokenizer, "response_template", None) is None:
        return parse(output, is_thinking=opens_reasoning(prompt), tools=names)
    try:
        return _parsed(tokenizer.parse_response(output, prefix=prompt, tools=list(tools) or None))
    except Exception as error:  # noqa: BLE001 - what comes with a model may raise anything
        parsed = parse(output, is_thinking=opens_reasoning(prompt), tools=names)
        told = f"the tokenizer's template for answers failed: {error}"
        return Parsed(
            parsed.thinking, parsed.text, parsed.tool_calls, (*parsed.problems, Problem(told))
        )


def _parsed(message: Mapping[str, Any]) -> Parsed:
    thinking = next((message[key] for key in _THINKING if message.get(key)), "")
    text = message.get("content") or ""
    if not isinstance(thinking, str) or not isinstance(text, str):
        raise BrokenCallError("it gives something else than text")
    return Parsed(
        thinking=thinking,
        text=text,
        tool_calls=tuple(calls_in(message.get("tool_calls") or [])),
    )


def _parameters(tools: Sequence[Mapping[str, Any]]) -> Tools:
    functions = [tool.get("function", tool) for tool in tools]
    return {function["name"]: function.get("parameters", {}) for function in functions} or None
