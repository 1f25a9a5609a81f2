"""Turns what pydantic says about data into findings that name keys and suggest better ones."""

import re
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from guild.errors import Path, SpecError
from guild.spec.source import Finding, Source
from guild.suggest import closest
from messaging.wire.message import NO_SUCH_FIELD

M = TypeVar("M", bound=BaseModel)

QUOTED = re.compile(r"'([^']*)'")

_LISTS = ("list_type", "tuple_type", "set_type", "frozen_set_type")
_MAPPINGS = ("dict_type", "mapping_type", "model_type", "model_attributes_type", "dataclass_type")
_NUMBERS = ("int_type", "int_parsing", "float_type", "float_parsing")
_WITH_UNIT = re.compile(r"[\d.]+ *(ms|s|sec|secs|seconds|m|min|minutes|h|hours|d|days)")


def validated(model: type[M], data: Any) -> M:
    """`data` as a `model`.

    Raises:
        SpecError: everything that is wrong with it, without positions.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        source = Source()
        problems = [source.problem(finding) for finding in findings_of(error, model)]
        raise SpecError(problems) from None


def findings_of(
    error: ValidationError, model: type[BaseModel], path: Path = ()
) -> Iterator[Finding]:
    """Each problem with `model` below `path`. Values are repeated only where they are names."""
    problems = error.errors(include_url=False)
    meant = {
        (*path, *location[:-1], closest(str(location[-1]), keys_of(model_at(model, location[:-1]))))
        for location in (p["loc"] for p in problems if p["type"] == "extra_forbidden")
    }
    for problem in problems:
        location = problem["loc"]
        if location[-1:] == ("[key]",):
            key = location[-2]
            yield Finding(
                (*path, *location[:-1]), f"the key {key!r}: {problem['msg']}", at_key=True
            )
            continue
        place = (*path, *location)
        name = _name(place)
        kind, text = problem["type"], problem["msg"]
        if kind == "extra_forbidden":
            known = keys_of(model_at(model, location[:-1]))
            yield unknown_key(place, known)
        elif kind == "missing":
            if place not in meant:
                where = f" in {place[-2]}" if place[-2:-1] == ("properties",) else ""
                yield Finding(place[:-1], f"the key {name} is missing{where}", is_missing=True)
        elif kind in ("literal_error", "enum"):
            allowed = QUOTED.findall(problem["ctx"]["expected"])
            given = problem["input"]
            hint = closest(given, allowed) if isinstance(given, str) else ""
            yield Finding(place, f"{name} should be {problem['ctx']['expected']}", hint)
        elif told := _shape(problem, model_at(model, location)):
            yield Finding(place, f"{name} {told}")
        elif text.startswith("Input should be"):
            remedy = _remedy(kind, problem["input"], name)
            yield Finding(place, f"{name} should be{text.removeprefix('Input should be')}{remedy}")
        else:
            yield Finding(place, f"{name}: {text.removeprefix('Value error, ')}")


def _shape(problem: ErrorDetails, meant: type[BaseModel] | None) -> str:
    """What a value should be in the words of YAML, where pydantic has those of Python."""
    kind, given = problem["type"], problem["input"]
    if kind in _LISTS:
        return "should be a list" + ", also where it is just one: [...]" * isinstance(given, str)
    if kind in _MAPPINGS:
        keys = ", ".join(keys_of(meant)[:3])
        return f"should be a mapping{' of keys such as ' * bool(keys)}{keys}"
    return "must not be empty" if kind == "string_too_short" and not given else ""


def _remedy(kind: str, given: Any, name: str) -> str:
    """Where YAML takes a word for something else than was meant."""
    if kind == "string_type" and isinstance(given, bool | int | float):
        return ": write it in quotes"
    if kind == "bool_type" and given in ("yes", "no", "on", "off"):
        return ": write true or false"
    if kind in _NUMBERS and isinstance(given, str):
        if _WITH_UNIT.fullmatch(given):
            return ": write a number alone" + ", of seconds" * name.endswith("_s'")
        if given.strip().lstrip("+-").replace(".", "", 1).isdecimal():
            return ": write it without quotes"
    return ""


def _name(place: Path) -> str:
    """What a value is called: by its key, also where it is one of several under it."""
    keys = [part for part in place if isinstance(part, str)]
    if not keys:
        return "the whole"
    return repr(keys[-1]) if place[-1] == keys[-1] else f"{keys[-1]}[{place[-1]}]"


def unknown_key(place: Path, known: list[str]) -> Finding:
    key = str(place[-1])
    hint = closest(key, known)
    text = f"unknown key {key!r}"
    if not hint:
        text += f"; known are {', '.join(known)}" if known else "; there are none to set"
    return Finding(place, text, hint, at_key=True)


def with_hints(problems: Sequence[str], model: type[BaseModel]) -> tuple[str, ...]:
    """What `problems_of` tells of data for `model`, with the fields that were probably meant."""
    end = f": {NO_SUCH_FIELD}"
    return tuple(
        each + (_meant(each.removesuffix(end).split("."), model) if each.endswith(end) else "")
        for each in problems
    )


def _meant(place: Sequence[str], model: type[BaseModel]) -> str:
    hint = closest(place[-1], keys_of(model_at(model, place[:-1])))
    return f"; did you mean {hint}?" if hint else ""


def keys_of(model: type[BaseModel] | None) -> list[str]:
    """The keys that a mapping for `model` may have."""
    if model is None:
        return []
    return [field.alias or name for name, field in model.model_fields.items()]


def required_keys_of(model: type[BaseModel]) -> list[str]:
    """The keys that a mapping for `model` must have."""
    fields = model.model_fields.items()
    return [field.alias or name for name, field in fields if field.is_required()]


def model_at(
    model: type[BaseModel] | None, location: Sequence[str | int]
) -> type[BaseModel] | None:
    """The model that describes the data at `location` below `model`, if there is just one."""
    annotation: Any = model
    for part in location:
        models = [option for option in _options(annotation) if _is_model(option)]
        if isinstance(part, str) and models and part in keys_of(models[0]):
            fields = models[0].model_fields.items()
            annotation = next(f.annotation for name, f in fields if part in (name, f.alias))
        else:
            annotation = next((args[-1] for args in _arguments(annotation)), None)
    return next((option for option in _options(annotation) if _is_model(option)), None)


def _arguments(annotation: Any) -> Iterator[tuple[Any, ...]]:
    for option in _options(annotation):
        arguments = tuple(part for part in typing.get_args(option) if part is not Ellipsis)
        if typing.get_origin(option) is not None and arguments:
            yield arguments


def _options(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return list(typing.get_args(annotation))
    if typing.get_origin(annotation) is typing.Annotated:
        return [typing.get_args(annotation)[0]]
    return [annotation]


def _is_model(option: Any) -> bool:
    return isinstance(option, type) and issubclass(option, BaseModel)
