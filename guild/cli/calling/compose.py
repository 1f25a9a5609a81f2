"""From the words of the command line to a message, and to the topic where it is handled."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from guild.agent.contracts import reader_of
from guild.checking.plan import Plan
from guild.cli.calling.exit_codes import NoSuchMessageError
from guild.suggest import closest
from messaging.errors import InvalidMessageError
from messaging.wire.json_limits import TOO_DEEP, is_too_deep
from messaging.wire.message import problems_of, wire_type_of
from messaging.wire.topic import DEFAULT_TOPIC, is_pattern


def message_class_of(plan: Plan, type_name: str) -> type[BaseModel]:
    """The class that goes by this wire name or class name in the guild.

    Raises:
        NoSuchMessageError: there is none; names the nearest, or all that somebody handles.
    """
    message_class = plan.messages.find(type_name)
    if message_class is not None:
        return message_class
    handled = {message for agent in plan.agents.values() for message in agent.accepted()}
    names = {wire_type_of(each).name for each in handled}
    near = closest(type_name, names | {each.__name__ for each in handled})
    hint = f"did you mean {near!r}?" if near else f"its agents handle {', '.join(sorted(names))}"
    raise NoSuchMessageError(f"{plan.spec.id} has no message {type_name!r}; {hint}")


def message_of(plan: Plan, type_name: str, data: Sequence[str]) -> BaseModel:
    """The message of this type: from `key=text` words, one JSON text, `@file`, or `-` for stdin.

    `key:=json` gives a value that is not a text.

    Raises:
        NoSuchMessageError: nobody in the guild knows the type.
        InvalidMessageError: the data does not fit it.
    """
    message_class = message_class_of(plan, type_name)
    try:
        return message_class.model_validate_json(json.dumps(fields_of(type_name, data)))
    except ValidationError as error:
        raise InvalidMessageError(str(wire_type_of(message_class)), problems_of(error)) from None


def to_topic(plan: Plan, message: BaseModel, typed: str | None) -> str:
    """What was typed; else where somebody handles `message`; the default topic if nobody does."""
    if typed is not None:
        return typed
    for agent in plan.spec.agents:
        plain = [topic for topic in agent.topics if not is_pattern(topic)]
        if plain and reader_of(plan.agents[agent.id].accepted(), type(message)):
            return plain[0]
    return DEFAULT_TOPIC


def conversation_of(message: BaseModel) -> str:
    """The conversation that a message names itself, "" if it names none.

    A type with a `conversation` property is asked in that one, so that whoever asks again, after
    a crash for one, sees what the first request caused.
    """
    is_named = isinstance(getattr(type(message), "conversation", None), property)
    return str(message.conversation) if is_named else ""  # type: ignore[attr-defined] # just looked


def fields_of(type_name: str, data: Sequence[str]) -> Any:
    """What these words say, as JSON.

    Raises:
        InvalidMessageError: they are not of the forms that `message_of` takes.
    """
    if len(data) == 1 and (data[0] == "-" or data[0][:1] in ("{", "@")):
        return _parsed(type_name, "the data", _text(type_name, data[0]))
    fields: dict[str, Any] = {}
    for word in data:
        key, separator, value = word.partition("=")
        name = key.removesuffix(":")
        if not separator or not name:
            problem = f"{word!r} is neither key=text, key:=json, one JSON text, @file nor -"
            raise InvalidMessageError(type_name, (problem,))
        if name in fields:
            raise InvalidMessageError(type_name, (f"{name} is given twice",))
        fields[name] = value if name == key else _parsed(type_name, name, value)
    return fields


def _text(type_name: str, word: str) -> str:
    if word != "-" and not word.startswith("@"):
        return word
    try:
        return sys.stdin.read() if word == "-" else Path(word[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        where = "stdin" if word == "-" else word[1:]
        raise InvalidMessageError(type_name, (f"cannot read {where}: {error}",)) from None


def _parsed(type_name: str, what: str, text: str) -> Any:
    payload = text.encode(errors="surrogatepass")  # the parser says best what is wrong with those
    if is_too_deep(payload):
        raise InvalidMessageError(type_name, (TOO_DEEP,))
    try:
        return from_json(payload)
    except ValueError as error:
        raise InvalidMessageError(type_name, (f"{what} is not JSON: {error}",)) from None
