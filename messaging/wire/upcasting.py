"""Versions of a message type: an older one is brought up step by step, a newer one is refused.

    class OrderPlaced(Message, wire_name="order.placed", version=2):
        first_name: str
        last_name: str

    @OrderPlaced.upcast(from_version=1)
    def _split_the_name(data: dict[str, Any]) -> dict[str, Any]:
        first, _, last = data.pop("name").partition(" ")
        return {**data, "first_name": first, "last_name": last}

An upcaster gets the JSON of one version, which it may change, and returns that of the next.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, from_json, to_json

from messaging.errors import InvalidMessageError, MissingUpcasterError, TooNewError
from messaging.wire.json_limits import TOO_DEEP, is_too_deep

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


def upcasters_of(message_class: type[BaseModel]) -> Mapping[int, Upcaster]:
    """By the version that each starts from; none for a plain model."""
    declared: Mapping[int, Upcaster] = message_class.__dict__.get("__upcasters__", {})
    return declared


def oldest_readable(message_class: type[BaseModel], version: int) -> int:
    """The oldest version from which steps lead to `version`, that of the class, without a gap."""
    upcasters = upcasters_of(message_class)
    while version - 1 in upcasters:
        version -= 1
    return version


def check_step(name: str, version: int, upcasters: Mapping[int, Upcaster], start: int) -> None:
    """Pass when `start` is a version from which a step may still be added.

    Raises:
        ValueError: the class is not that new, or has that step.
    """
    if not 1 <= start < version:
        raise ValueError(
            f"{name} is version {version}: an upcaster starts from 1 to {version - 1}, not {start}"
        )
    if start in upcasters:
        raise ValueError(f"{name} has an upcaster from version {start} already")


def upcast(
    payload: bytes, upcasters: Mapping[int, Upcaster], *, name: str, start: int, end: int
) -> bytes:
    """`payload`, of version `start`, as JSON of version `end`.

    Raises:
        TooNewError: `start` is the later one.
        MissingUpcasterError: a step is missing; nothing was tried.
        InvalidMessageError: it is not a JSON object, or a step failed on it.
    """
    if start > end:
        raise TooNewError(name, start, end)
    missing = next((step for step in range(start, end) if step not in upcasters), None)
    if missing is not None:
        raise MissingUpcasterError(name, start, missing, end)
    data = _object_in(payload, name)
    for step in range(start, end):
        data = _stepped(upcasters[step], data, name, step)
    try:
        return to_json(data, inf_nan_mode="constants")
    except (PydanticSerializationError, ValueError) as error:
        problem = f"its upcasters returned what is not JSON ({type(error).__name__})"
        raise InvalidMessageError(f"{name}@{end}", (problem,)) from None


def _object_in(payload: bytes, name: str) -> dict[str, Any]:
    if is_too_deep(payload):
        raise InvalidMessageError(name, (TOO_DEEP,))
    try:
        data = from_json(payload)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise InvalidMessageError(name, ("message: it is not a JSON object",))
    return data


def _stepped(upcaster: Upcaster, data: dict[str, Any], name: str, step: int) -> dict[str, Any]:
    try:
        stepped = upcaster(data)
    except Exception as error:
        # The text of the error may repeat values of the message, its class does not.
        problem = f"the upcaster from version {step} raised {type(error).__name__}"
        raise InvalidMessageError(f"{name}@{step}", (problem,)) from error
    if not isinstance(stepped, dict):
        problem = f"the upcaster from version {step} returned {type(stepped).__name__}, not a dict"
        raise InvalidMessageError(f"{name}@{step}", (problem,))
    return stepped
