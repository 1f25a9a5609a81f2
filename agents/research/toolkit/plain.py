"""What a tool is asked for goes to other processes as JSON: it must be such from the start."""

import json
from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from agents.research.errors import WorkRefusedError

R = TypeVar("R", bound=BaseModel)

_NAMED_LEVELS = 6  # of a key that is at fault


def asked(kind: type[R], **values: Any) -> R:
    """The message of that kind.

    Raises:
        WorkRefusedError: an argument is of another type; names each.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        said = {".".join(map(str, each["loc"])): each["msg"] for each in error.errors()}
        text = "; ".join(f"{where}: {words[0].lower()}{words[1:]}" for where, words in said.items())
        raise WorkRefusedError("ArgumentError", text, where=next(iter(said))) from error


def plain(request: R) -> R:
    """The request as it is.

    Raises:
        WorkRefusedError: something in it is no JSON; names its key.
    """
    for key, value in request:
        if problem := _problem(value):
            where, problem = _culprit(key, value, problem)
            raise WorkRefusedError(
                "NotPlainError",
                f"{where} {problem}; give numbers, texts, lists and dictionaries of these",
                where=where,
            )
    return request


def _culprit(where: str, value: Any, problem: str) -> tuple[str, str]:
    """The key of the innermost value that is at fault, and its problem."""
    for _ in range(_NAMED_LEVELS):
        found = [(key, part, said) for key, part in _parts(value) if (said := _problem(part))]
        if not found:
            break
        key, value, problem = found[0]
        where = f"{where}.{key}"
    return where, problem


def _parts(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list | tuple) else ()


def _problem(value: Any) -> str:
    """What is wrong with a value, or nothing."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        return f"holds {error.object[error.start]!r}, which is no character"
    except RecursionError:
        return "is nested too deeply"
    except TypeError:
        return f"is a {type(value).__name__}, which is no JSON"
    except ValueError as error:
        is_circular = "ircular" in str(error)
        return "holds itself" if is_circular else f"is {value!r:.20}, which is no finite number"
    return ""
