"""Configurations: read strictly, with every mistake named before anything runs."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from agents import _suggest
from agents.ml.errors import ConfigError


class StrictConfig(BaseModel):
    """Base of every configuration: unknown keys and coercions are refused."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, protected_namespaces=()
    )


C = TypeVar("C", bound=BaseModel)


def read_config(model: type[C], values: Mapping[str, Any], *, where: str = "") -> C:
    """Check `values` against `model`.

    Args:
        model: the configuration's pydantic model.
        values: what the user wrote.
        where: the key under which `values` stands, put before each key in the error.

    Raises:
        ConfigError: naming every wrong key at once; `.where` is the first of them.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"expected a mapping of keys, got {values!r}", where=where or "config")
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        problems = [_problem(model, details, where) for details in error.errors()]
        unique = list(dict.fromkeys(problems))
        first_key, first_text = unique[0]
        rest = "".join(f"; {key}: {text}" for key, text in unique[1:])
        raise ConfigError(first_text + rest, where=first_key) from error


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """End an error sentence with the nearest known word, or with all there are."""
    names = sorted(known)
    sentence_end = _suggest.did_you_mean(
        str(word), names, otherwise=f"known are {', '.join(names)}"
    )
    return sentence_end.removeprefix("; ")


def require_known(word: str, known: Iterable[str], *, what: str, where: str) -> None:
    """Raise ConfigError unless `word` is one of `known`."""
    names = list(known)
    if word not in names:
        raise ConfigError(f"unknown {what} {word!r}; {did_you_mean(word, names)}", where=where)


def differing_keys(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Return the dotted keys whose values differ, nested mappings entered."""
    keys: list[str] = []
    for key in sorted(ours.keys() | theirs.keys()):
        a, b = ours.get(key), theirs.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            keys += [f"{key}.{inner}" for inner in differing_keys(a, b)]
        elif a != b or (key in ours) != (key in theirs):
            keys.append(key)
    return keys


def _problem(model: type[BaseModel], details: Any, where: str) -> tuple[str, str]:
    path = [str(part) for part in details["loc"]]
    key = ".".join([where, *path] if where else path) or where or "config"
    if details["type"] == "extra_forbidden":
        return key, f"unknown key; {did_you_mean(path[-1], _owner(model, path).model_fields)}"
    if details["type"] == "missing":
        return key, "is required"
    text = str(details["msg"]).removeprefix("Value error, ")
    return key, f"{text[0].lower()}{text[1:]}, got {details['input']!r:.200}"


def _owner(model: type[BaseModel], path: list[str]) -> type[BaseModel]:
    """Return the model that holds the last key of `path`; indices of lists are passed over."""
    for part in path[:-1]:
        field = model.model_fields.get(part)
        inner = _model_in(field.annotation) if field is not None else None
        model = inner or model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for m in map(_model_in, get_args(annotation)) if m is not None), None)
