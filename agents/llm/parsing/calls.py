"""Tool calls out of the objects in which models write them."""

from typing import Any

from agents.llm.parsing.parts import ToolCall
from agents.llm.parsing.problems import BrokenCallError
from agents.llm.parsing.values import read_object, read_whole

ARGUMENTS = ("arguments", "parameters", "args")


def calls_in(value: Any) -> list[ToolCall]:
    """The calls in a list of them, in `{"tool_calls": ...}`, or the one that `value` is.

    Raises:
        BrokenCallError: there is none, or one of them is not complete.
    """
    if isinstance(value, dict) and "tool_calls" in value:
        value = value["tool_calls"]
        if not isinstance(value, list):
            raise BrokenCallError("'tool_calls' is no list")
    return [call_of(item) for item in value] if isinstance(value, list) else [call_of(value)]


def call_of(value: Any) -> ToolCall:
    """The call that an object describes: name and arguments, bare or under "function".

    Raises:
        BrokenCallError: it has no name, or its arguments are no object.
    """
    if not isinstance(value, dict):
        raise BrokenCallError("a call is no object")
    body = value["function"] if isinstance(value.get("function"), dict) else value
    name = body.get("name", value.get("function"))
    if not isinstance(name, str) or not name.strip():
        raise BrokenCallError("a call has no name")
    given = next((body[key] for key in ARGUMENTS if key in body), None)
    call_id = value.get("id")
    return ToolCall(
        name=name.strip(),
        arguments=_arguments(given),
        id=call_id if isinstance(call_id, str) else "",
    )


def looks_like_call(value: Any) -> bool:
    """Whether an object has nothing but what a call has."""
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return False
    return any(key in value for key in ARGUMENTS) and not set(value) - {
        "name",
        "id",
        "type",
        *ARGUMENTS,
    }


def _arguments(given: Any) -> dict[str, Any]:
    if isinstance(given, str) and given.strip():
        given = read_whole(given.strip(), read_object)
    if given is None or given == "":
        return {}
    if not isinstance(given, dict):
        raise BrokenCallError("the arguments of a call are no object")
    return given
