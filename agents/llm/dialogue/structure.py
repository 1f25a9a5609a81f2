"""What an answer must look like, and the constraint that makes an engine keep to it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agents.llm.engines import Constraint, Engine
from agents.llm.engines.errors import InvalidRequestError
from agents.llm.engines.loaded import LoadedTokenizer, loaded_tokenizer

if TYPE_CHECKING:
    from agents.llm.structured import Grammar

_ANY_OBJECT = {"type": "object"}


def grammar_of_format(response_format: Mapping[str, Any] | None) -> "Grammar | None":
    """The grammar of OpenAI's `response_format`; None for plain text.

    Besides `json_schema`, `json_object` and `text`, the types `regex`, `lark` (each with its
    text under the key of its name) and `choice` (a list of texts) are known.

    Raises:
        InvalidRequestError: it says nothing that can be enforced.
    """
    if response_format is None or response_format.get("type") == "text":
        return None
    from agents.llm import structured  # noqa: PLC0415  needs llguidance

    kind = response_format.get("type")
    if kind == "json_object":
        return structured.grammar_of_schema(_ANY_OBJECT)
    if kind == "json_schema":
        inner = response_format.get("json_schema")
        schema = inner.get("schema") if isinstance(inner, Mapping) else None
        if not isinstance(schema, Mapping | bool):
            raise InvalidRequestError(
                "response_format says json_schema, but has no schema; give {'type': 'json_schema', "
                "'json_schema': {'name': ..., 'schema': {...}}}"
            )
        return structured.grammar_of_schema(schema)
    if kind in {"regex", "lark"} and isinstance(response_format.get(kind), str):
        make = structured.grammar_of_regex if kind == "regex" else structured.grammar_of_lark
        return make(response_format[kind])
    if kind == "choice" and isinstance(response_format.get("choice"), list | tuple):
        return structured.grammar_of_choice(response_format["choice"])
    raise InvalidRequestError(
        f"response_format of the type {kind!r} cannot be used; give text, json_object, "
        "json_schema, regex, lark or choice, with what belongs to it"
    )


def grammar_of_calls(tools: Sequence[Mapping[str, Any]], tool_choice: str) -> "Grammar | None":
    """The grammar of an answer that must call a tool; None where it need not.

    Args:
        tools: OpenAI's shape.
        tool_choice: `auto`, `none`, `required` or the name of a tool.

    Raises:
        InvalidRequestError: there is no such tool, or its arguments cannot be enforced.
    """
    if tool_choice in {"auto", "none"}:
        return None
    from agents.llm.structured.tools import Tool, grammar_of_tools  # noqa: PLC0415  llguidance

    functions = [tool.get("function", tool) for tool in tools]
    known = [Tool(f["name"], f.get("parameters") or _ANY_OBJECT) for f in functions]
    return grammar_of_tools(known, tool_choice)


async def constraint_for(grammar: "Grammar", engine: Engine, max_new_tokens: int) -> Constraint:
    """A constraint for one answer of this engine.

    Raises:
        InvalidRequestError: the engine cannot be constrained, or the answer cannot fit.
    """
    tokens = loaded_tokenizer(engine)
    if tokens is None or not tokens.is_fast:
        raise InvalidRequestError(
            f"answers of {engine.capabilities.model} on the backend "
            f"{engine.capabilities.backend!r} cannot be constrained: that takes the backend "
            "'transformers' and a fast tokenizer"
        )
    return await asyncio.to_thread(_matcher, grammar, tokens, max_new_tokens)


def _matcher(grammar: "Grammar", tokens: LoadedTokenizer, max_new_tokens: int) -> Constraint:
    from agents.llm.structured import vocabulary_for  # noqa: PLC0415  needs llguidance

    vocabulary = vocabulary_for(tokens.tokenizer, tokens.end_token_ids or None)
    return grammar.compile(vocabulary).matcher(max_new_tokens)
