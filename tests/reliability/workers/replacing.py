"""Puts another thing in the place of one of the product, if the product still has that place."""

import inspect
from collections.abc import Callable
from typing import Any

Replace = Callable[[Any, str, Any], None]


def replace(owner: Any, name: str, instead: Any) -> None:
    """Let `owner` have `instead` under this name.

    A mutant would break nothing if the name had changed, and break everything if the product now
    called it otherwise: its row would see a failure, but not the one that it is about.

    Raises:
        AttributeError: `owner` has nothing of this name.
        TypeError: what it has is of another kind or takes other parameters.
    """
    there = getattr(owner, name)
    if not _fits(there, instead):
        raise TypeError(f"{name} of {owner} is {there}, which {instead} does not fit any more")
    setattr(owner, name, instead)


def _fits(there: Any, instead: Any) -> bool:
    if not (callable(there) and callable(instead)):
        return type(there) is type(instead)
    if inspect.iscoroutinefunction(there) and not inspect.iscoroutinefunction(instead):
        return False
    parameters = _parameters(instead)
    takes_any = inspect.Parameter.VAR_POSITIONAL in parameters.values()
    return takes_any or parameters == _parameters(there)


def _parameters(of: Callable[..., object]) -> dict[str, object]:
    return {name: each.kind for name, each in inspect.signature(of).parameters.items()}
