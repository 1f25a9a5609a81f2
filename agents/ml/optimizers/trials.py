"""Which value of a call's arguments is at fault, found by trying."""

from collections.abc import Callable, Mapping
from typing import Any

from agents.ml.errors import ConfigError


def require_works(
    call: Callable[..., object], values: Mapping[str, Any], *, what: str, where: str
) -> None:
    """Try `call(**values)`.

    Raises:
        ConfigError: it raises; names the value without which it would not, or else all of them.
    """
    error = _failure(call, values)
    if error is None:
        return
    culprits = [
        key
        for key in values
        if _failure(call, {name: value for name, value in values.items() if name != key}) is None
    ]
    if not culprits and len(values) == 1:
        culprits = list(values)
    given = ", ".join(f"{key}={values[key]!r:.80}" for key in culprits or values)
    text = f"{what} refuses {given or 'to work'}: {str(error) or type(error).__name__}"
    raise ConfigError(text, where=f"{where}.{culprits[0]}" if culprits else where) from error


def _failure(call: Callable[..., object], values: Mapping[str, Any]) -> Exception | None:
    try:
        call(**values)
    except Exception as error:  # noqa: BLE001  a wrong value may raise anything
        return error
    return None
