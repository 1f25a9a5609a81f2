"""What a message would become on its way, as sentences that name fields and repeat no values."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from pydantic import BaseModel

from messaging.wire.json_limits import MOST_PROBLEMS, path_to

Location = tuple[Any, ...]


def differences(sent: Any, read: Any) -> tuple[str, ...]:
    """How `read`, which came of writing and reading `sent`, is another message; the first ways.

    Equal is what Python calls so. Only of times in the hour that a zone has twice it says that they
    never equal those of another zone: there the instant counts.
    """
    return tuple(islice(_differences(sent, read, ()), MOST_PROBLEMS))


def _differences(sent: Any, read: Any, at: Location) -> Iterator[str]:
    if sent is read or sent == read or _are_one_instant(sent, read):
        return
    parts = _parts_of(sent) if type(sent) is type(read) else None
    if parts is None:
        yield f"{path_to(at)}: {_change(sent, read)}"
        return
    problems = list(_between(parts, _parts_of(read) or {}, at))
    if isinstance(sent, BaseModel):
        problems += _between(sent.__pydantic_extra__ or {}, read.__pydantic_extra__ or {}, at)
        problems += _excluded_in(sent, read, at) or _private_in(sent, read, at)
    yield from problems or _unexplained(sent, read, at)


def _parts_of(value: Any) -> Mapping[Any, Any] | None:
    if isinstance(value, BaseModel):
        kept = [name for name, field in type(value).model_fields.items() if not field.exclude]
        return {name: value.__dict__[name] for name in kept if name in value.__dict__}
    if is_dataclass(value):
        return {field.name: getattr(value, field.name, None) for field in fields(value)}
    if isinstance(value, dict):
        return value
    return dict(enumerate(value)) if isinstance(value, list | tuple) else None


def _between(sent: Mapping[Any, Any], read: Mapping[Any, Any], at: Location) -> Iterator[str]:
    for key, value in sent.items():
        if key in read:
            yield from _differences(value, read[key], (*at, key))
        else:
            yield f"{path_to((*at, key))}: it would be lost"
    yield from (f"{path_to((*at, key))}: it would be added" for key in read if key not in sent)


def _excluded_in(sent: BaseModel, read: BaseModel, at: Location) -> list[str]:
    return [
        f"{path_to((*at, name))}: it is excluded from JSON, and would arrive as its default"
        for name, field in type(sent).model_fields.items()
        if field.exclude and sent.__dict__.get(name) != read.__dict__.get(name)
    ]


def _private_in(sent: BaseModel, read: BaseModel, at: Location) -> list[str]:
    mine, others = sent.__pydantic_private__ or {}, read.__pydantic_private__ or {}
    return [
        f"{path_to((*at, name))}: a private attribute does not travel; make it a field, or compute "
        "it from the fields"
        for name in mine
        if name not in others or mine[name] != others[name]
    ]


def _unexplained(sent: Any, read: Any, at: Location) -> Iterator[str]:
    # Equal in all parts, or standing for equal instants; but its class may compare by itself.
    equals: object = type(sent).__eq__
    if not isinstance(sent, list | tuple | dict) and equals is not BaseModel.__eq__:
        yield f"{path_to(at)}: {_change(sent, read)}"


def _change(sent: Any, read: Any) -> str:
    one, other = type(sent).__name__, type(read).__name__
    if one == other:
        return f"this {one} would arrive as another value"
    if isinstance(sent, BaseModel) and isinstance(sent, type(read)):
        return (
            f"this {one} would arrive as a {other}; declare a union of the classes, with a "
            "discriminator"
        )
    return f"this {one} would arrive as a {other}"


def _are_one_instant(sent: Any, read: Any) -> bool:
    if not (isinstance(sent, datetime) and isinstance(read, datetime)):
        return False
    offset = sent.utcoffset()
    if offset is None or offset != read.utcoffset():
        return False
    return sent.replace(tzinfo=None, fold=0) == read.replace(tzinfo=None, fold=0)
