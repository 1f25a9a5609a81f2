"""From what was typed to a checked spec, a message and an open bus."""

import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from guild.errors import SpecError
from guild.loader import load_file
from guild.plan import Plan
from guild.references import resolve
from guild.registry import Registry
from guild.suggest import closest
from messaging.bus import Bus, connect
from messaging.errors import InvalidMessageError, UnknownTypeError
from messaging.message import problems_of, wire_type_of
from messaging.topic import DEFAULT_TOPIC, is_pattern


def plan_of(path: Path, *, bus: str | None = None, allow: Sequence[str] = ()) -> Plan:
    """The checked spec in a file, with another bus if one is given.

    Raises:
        SpecError: everything that is wrong with it.
    """
    spec = load_file(path, allow=tuple(allow))
    if bus is not None:
        spec = spec.model_copy(update={"bus": bus}).located(spec.source)
    return Plan.of(spec, Registry(allow))


@asynccontextmanager
async def bus_of(plan: Plan) -> AsyncIterator[Bus]:
    """The bus of a guild, opened by somebody outside it."""
    url = str(resolve(plan.spec.bus))
    async with connect(url, plan.spec.id, name="guildbus", registry=plan.messages) as bus:
        yield bus


def message_of(plan: Plan, type_name: str, data: Sequence[str]) -> BaseModel:
    """The message of this type: from `key=value` words, one JSON text, `@file`, or `-` for stdin.

    `key:=json` gives a value that is not a string.

    Raises:
        UnknownTypeError: nobody in the guild knows the type.
        InvalidMessageError: the data does not fit it.
    """
    message_class = plan.messages.find(type_name)
    if message_class is None:
        names = [known.__name__ for known in plan.messages]
        near = closest(type_name, names)
        raise UnknownTypeError(type_name, 1, (near,) if near else tuple(sorted(names)))
    try:
        return message_class.model_validate_json(json.dumps(_fields(type_name, data)))
    except ValidationError as error:
        raise InvalidMessageError(str(wire_type_of(message_class)), problems_of(error)) from None


def topic_for(plan: Plan, message: BaseModel) -> str:
    """A topic on which somebody handles `message`; the default topic when nobody does."""
    for agent in plan.spec.agents:
        plain = [topic for topic in agent.topics if not is_pattern(topic)]
        if type(message) in plan.agents[agent.id].accepted() and plain:
            return plain[0]
    return DEFAULT_TOPIC


def read_specs(paths: Sequence[Path], allow: Sequence[str]) -> list[tuple[Path, Plan | SpecError]]:
    """Each file with its plan, or with everything wrong in it."""
    results: list[tuple[Path, Plan | SpecError]] = []
    for path in paths:
        try:
            results.append((path, plan_of(path, allow=allow)))
        except SpecError as error:
            results.append((path, error))
    return results


def _fields(type_name: str, data: Sequence[str]) -> Any:
    if len(data) == 1 and (data[0] == "-" or data[0][:1] in ("{", "@")):
        return _parsed(type_name, "the data", _text(type_name, data[0]))
    fields = {}
    for word in data:
        key, separator, value = word.partition("=")
        if not separator or not key.rstrip(":"):
            raise InvalidMessageError(
                type_name, (f"{word!r} is neither key=value, key:=json, JSON, @file nor -",)
            )
        if key.endswith(":"):
            fields[key[:-1]] = _parsed(type_name, key[:-1], value)
        else:
            fields[key] = value
    return fields


def _text(type_name: str, word: str) -> str:
    if word == "-":
        return sys.stdin.read()
    if not word.startswith("@"):
        return word
    try:
        return Path(word[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidMessageError(type_name, (f"cannot read {word[1:]}: {error}",)) from None


def _parsed(type_name: str, what: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidMessageError(type_name, (f"{what} is not JSON: {error}",)) from None
