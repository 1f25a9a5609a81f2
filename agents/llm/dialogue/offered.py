"""The tools that a caller offers, checked before anything reads them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agents.llm.engines.errors import InvalidRequestError

CHOICES = frozenset({"auto", "none", "required"})


def check_tools(tools: Sequence[Any]) -> None:
    """Refuse what is no tool in OpenAI's shape, bare functions among them.

    Raises:
        InvalidRequestError: with the number of the tool, from 0, and what is wrong with it.
    """
    names = [_checked_name(f"tools.{number}", tool) for number, tool in enumerate(tools)]
    if len(set(names)) < len(names):
        raise InvalidRequestError(f"tools: two of them have one name: {', '.join(sorted(names))}")
    try:
        json.dumps(tools, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(f"tools: they cannot be written as JSON: {error}") from None


def _checked_name(place: str, tool: Any) -> str:
    function = tool.get("function", tool) if isinstance(tool, Mapping) else None
    if not isinstance(function, Mapping):
        raise InvalidRequestError(
            f"{place}: it is no tool; give {{'type': 'function', 'function': {{'name': ...}}}}"
        )
    name, description = function.get("name"), function.get("description")
    if not isinstance(name, str) or not name:
        raise InvalidRequestError(f"{place}: it has no name")
    if name in CHOICES:
        raise InvalidRequestError(f"{place}: {name!r} is a word of tool_choice; name it otherwise")
    if not isinstance(description, str | None):
        raise InvalidRequestError(f"{place}: its description is no text")
    if not isinstance(function.get("parameters"), Mapping | None):
        raise InvalidRequestError(f"{place}: its parameters are no JSON schema of an object")
    return name
