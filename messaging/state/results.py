"""What a step made, as the journal keeps it; read back it is what every attempt sees."""

from functools import lru_cache
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from messaging.errors import InvalidMessageError, StepError, UnfitClassError
from messaging.wire.difference import differences
from messaging.wire.fidelity import has_own_names
from messaging.wire.message import decode, encode, problems_of


def written_and_read(name: str, made: Any, returns: Any) -> tuple[str, Any]:
    """What step `name` made as JSON, and that read back as `returns`.

    Without `returns` it may be any JSON, and a tuple is read back as a list. With it, what is read
    has to equal what was made.

    Raises:
        StepError: it cannot be written, or read, or would be read as another value.
    """
    if returns is Any and isinstance(made, BaseModel):
        raise StepError(
            f"step {name!r} made a {type(made).__name__}; say what to read it back as: "
            f"step(…, returns={type(made).__name__})"
        )
    made = _fitted(made, returns)
    try:
        result = _write(made, returns)
    except (PydanticSerializationError, UnicodeError, RecursionError) as error:
        raise StepError(
            f"the result of step {name!r}, a {type(made).__name__}, cannot be written as JSON, "
            f"so the step would run again: {error}"
        ) from error
    except (InvalidMessageError, UnfitClassError) as error:
        raise _not_kept(name, error.problems) from None
    read = read_result(name, result, returns)
    if returns is not Any and (problems := differences(made, read)):
        raise _not_kept(name, problems)
    return result, read


def read_result(name: str, stored: str, returns: Any) -> Any:
    """What the journal keeps as the result of step `name`.

    Raises:
        StepError: it is no `returns`.
    """
    try:
        if _is_model(returns):
            return decode(returns, stored.encode())
        adapter, by_name = _adapter_of(returns)
        if by_name:
            return adapter.validate_json(stored, by_alias=False, by_name=True)
        return adapter.validate_json(stored)
    except (ValidationError, InvalidMessageError) as error:
        problems = error.problems if isinstance(error, InvalidMessageError) else problems_of(error)
        raise StepError(
            f"the journalled result of step {name!r} does not fit: {'; '.join(problems)}"
        ) from None


def _fitted(made: Any, returns: Any) -> Any:
    """`made` as a `returns`, when pydantic can make one of it: a dict may become a model."""
    if returns is Any:
        return made
    try:
        return _adapter_of(returns)[0].validate_python(made)
    except ValidationError:
        return made  # reading it back tells what is wrong


def _write(made: Any, returns: Any) -> str:
    if returns is Any:
        return to_json(made, inf_nan_mode="constants").decode()
    if _is_model(returns) and type(made) is returns:
        return encode(made).decode()
    adapter, by_name = _adapter_of(returns)
    by_alias = False if by_name else None
    return adapter.dump_json(made, by_alias=by_alias, round_trip=True, warnings="none").decode()


def _is_model(returns: Any) -> bool:
    return isinstance(returns, type) and issubclass(returns, BaseModel)


def _adapter_of(returns: Any) -> tuple[TypeAdapter[Any], bool]:
    """What writes and reads a `returns`, and whether by the names of fields alone."""
    try:
        return _known_adapter_of(returns)
    except TypeError:  # what is annotated may not be hashable
        return _new_adapter_of(returns)


def _new_adapter_of(returns: Any) -> tuple[TypeAdapter[Any], bool]:
    adapter = TypeAdapter[Any](returns)
    return adapter, has_own_names(adapter.core_schema)


_known_adapter_of = lru_cache(maxsize=256)(_new_adapter_of)


def _not_kept(name: str, problems: tuple[str, ...]) -> StepError:
    return StepError(
        f"the result of step {name!r} would not be read back as it is, so the step would run "
        f"again: {'; '.join(problems)}"
    )
