"""From the words of the command line to a message, and to a time."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import from_json

from guild.checking.plan import Plan
from guild.cli.calling.exit_codes import UsageError
from guild.operations.composing import compose
from guild.operations.schemas import message_class_of
from messaging.errors import InvalidMessageError
from messaging.wire.json_limits import TOO_DEEP, is_too_deep


def message_of(plan: Plan, type_name: str, data: Sequence[str]) -> BaseModel:
    """The message of this type: from `key=text` words, one JSON text, `@file`, or `-` for stdin.

    `key:=json` gives a value that is not a text.

    Raises:
        NoSuchMessageError: the guild has no message of that name.
        InvalidMessageError: the data does not fit it.
    """
    message_class_of(plan, type_name)  # a wrong name is told before stdin is read
    return compose(plan, type_name, fields_of(type_name, data))


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


def time_of(text: str | None, option: str) -> datetime | None:
    """The time that an option says; one without a zone is meant in UTC.

    Raises:
        UsageError: it is not a time.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text}: write a time such as 2030-01-31T12:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(type_name: str, word: str) -> str:
    if word != "-" and not word.startswith("@"):
        return word
    try:
        return sys.stdin.read() if word == "-" else Path(word[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        where = "stdin" if word == "-" else word[1:]
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InvalidMessageError(type_name, (f"cannot read {where}: {reason}",)) from None


def _parsed(type_name: str, what: str, text: str) -> Any:
    payload = text.encode(errors="surrogatepass")  # the parser says best what is wrong with those
    if is_too_deep(payload):
        raise InvalidMessageError(type_name, (TOO_DEEP,))
    try:
        return from_json(payload)
    except ValueError as error:
        raise InvalidMessageError(type_name, (f"{what} is not JSON: {error}",)) from None
