"""What an answer must look like, and the constraint that makes an engine keep to it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from agents.llm.chat import ChatPrompt
from agents.llm.engines import Constraint, Engine
from agents.llm.engines.errors import ContextOverflowError, InvalidRequestError
from agents.llm.engines.loaded import LoadedTokenizer
from agents.llm.engines.request import DEFAULT_MAX_NEW_TOKENS
from agents.llm.parsing import OutputParser

if TYPE_CHECKING:
    from agents.llm.structured import Grammar
    from agents.llm.structured.tools import Tool

_ANY_OBJECT = {"type": "object"}
_KEPT = 64


class CannotConstrainError(InvalidRequestError):
    """The engine cannot make an answer keep to a form."""

    def __init__(self, model: str, backend: str) -> None:
        super().__init__(
            f"answers of {model} on the backend {backend!r} cannot be constrained: that takes the "
            "backend 'llamacpp', or 'transformers' with a fast tokenizer that is not WordPiece"
        )


def grammar_of_format(response_format: Mapping[str, Any] | None) -> "Grammar | None":
    """The grammar of OpenAI's `response_format`; None for plain text.

    Besides `json_schema`, `json_object` and `text`, the types `regex`, `lark` (each with its
    text under the key of its name) and `choice` (a list of texts) are known.

    Raises:
        InvalidRequestError: it says nothing that can be enforced.
    """
    kind = None if response_format is None else response_format.get("type")
    if response_format is None or kind == "text":
        return None
    from agents.llm import structured  # noqa: PLC0415  needs llguidance

    if kind == "json_object":
        grammar = structured.grammar_of_schema(_ANY_OBJECT)
        return replace(grammar, response_format={"type": kind})
    if kind == "json_schema":
        inner = response_format.get("json_schema")
        schema = inner.get("schema") if isinstance(inner, Mapping) else None
        if not isinstance(schema, Mapping | bool):
            raise InvalidRequestError(
                "response_format says json_schema, but has no schema; give {'type': 'json_schema', "
                "'json_schema': {'name': ..., 'schema': {...}}}"
            )
        return structured.grammar_of_schema(schema)
    if kind in ("regex", "lark") and isinstance(response_format.get(kind), str):
        make = structured.grammar_of_regex if kind == "regex" else structured.grammar_of_lark
        return make(response_format[kind])
    if kind == "choice" and isinstance(response_format.get("choice"), list | tuple):
        return structured.grammar_of_choice(response_format["choice"])
    raise InvalidRequestError(
        f"response_format of the type {kind!r} cannot be used; give text, json_object, "
        "json_schema, regex, lark or choice, with what belongs to it"
    )


def check_form(stop: Sequence[str], grammar: "Grammar | None") -> None:
    """Refuse stop strings for an answer that must keep to a form.

    Raises:
        InvalidRequestError: there are some.
    """
    if stop and grammar is not None:
        raise InvalidRequestError(
            "stop: it would cut an answer that must keep to a form in its middle; leave out stop, "
            "or what the answer must look like"
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
    return _calls_of(_written(tools), tool_choice)


@dataclass(frozen=True)
class FreeCalls:
    """What answers must look like that may call tools.

    Attributes:
        parser: makes a reader of such an answer.
        opening: what calls begin with.
        shown: special tokens that are text in them.
    """

    grammar: "Grammar"
    parser: Callable[[], OutputParser]
    opening: str
    shown: tuple[str, ...]


def free_calls_of(
    tools: Sequence[Mapping[str, Any]], tokenizer: Any, prompt: ChatPrompt, *, is_parallel: bool
) -> FreeCalls:
    """Answers that may call tools, in the model's own notation.

    Raises:
        InvalidRequestError: the arguments of a tool cannot be enforced.
    """
    from agents.llm.structured import free_calls, notations  # noqa: PLC0415  llguidance

    notation = notations.notation_of(tokenizer)
    grammar = _free_calls_of(
        _written(tools),
        notation,
        can_think=notations.can_think(tokenizer),
        is_thinking=prompt.is_thinking,
        is_parallel=is_parallel,
    )
    parameters = {tool["name"]: tool.get("parameters") or {} for tool in map(_function, tools)}
    parser = partial(
        free_calls.parser_of_free_calls, parameters, notation, is_thinking=prompt.is_thinking
    )
    shown = notations.special_markers(tokenizer, notation)
    return FreeCalls(grammar, parser, notation.opening, shown)


def constraints(
    grammar: "Grammar", loaded: LoadedTokenizer, new_tokens: int, shown: Sequence[str] = ()
) -> Callable[[], Constraint]:
    """Makes a constraint for each answer of at most so many tokens.

    Raises:
        InvalidRequestError: the grammar cannot be kept to with these tokens.
    """
    from agents.llm.structured import vocabulary_for  # noqa: PLC0415  needs llguidance

    ends = loaded.end_token_ids or None
    compiled = grammar.compile(vocabulary_for(loaded.tokenizer, ends, shown))
    compiled.matcher(new_tokens)  # refuses a budget that is too small
    return lambda: compiled.matcher(new_tokens)


def budget(engine: Engine, prompt_tokens: int, asked: int | None) -> int:
    """The new tokens that an answer may have: what was asked for, or what the engine would take.

    Raises:
        ContextOverflowError: the prompt fills the window.
    """
    capabilities = engine.capabilities
    room = capabilities.context_window - prompt_tokens
    if room < 1:
        raise ContextOverflowError(
            prompt_tokens=prompt_tokens,
            new_tokens=asked or 1,
            context_window=capabilities.context_window,
        )
    return asked or min(DEFAULT_MAX_NEW_TOKENS, capabilities.max_new_tokens_limit, room)


@lru_cache(maxsize=_KEPT)
def _calls_of(tools: str, tool_choice: str) -> "Grammar":
    from agents.llm.structured.tools import grammar_of_tools  # noqa: PLC0415  llguidance

    return grammar_of_tools(_tools(tools), tool_choice)


@lru_cache(maxsize=_KEPT)
def _free_calls_of(tools: str, notation: Any, **options: bool) -> "Grammar":
    from agents.llm.structured import free_calls  # noqa: PLC0415  llguidance

    return free_calls.grammar_of_free_calls(_tools(tools), notation, **options)


def _written(tools: Sequence[Mapping[str, Any]]) -> str:
    """The tools as text, by which what was compiled for them is found again."""
    return json.dumps([[f["name"], f.get("parameters")] for f in map(_function, tools)])


def _tools(written: str) -> "list[Tool]":
    from agents.llm.structured.tools import Tool  # noqa: PLC0415  llguidance

    return [Tool(name, parameters or {}) for name, parameters in json.loads(written)]


def _function(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    function: Mapping[str, Any] = tool.get("function", tool)
    return function
