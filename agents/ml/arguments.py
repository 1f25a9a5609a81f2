"""Values that Python takes without a word for what they are not: "false" is true, and true is 1."""

import re
from inspect import Parameter
from typing import Any

_WORD = re.compile(r"\w+")
_NUMBERS = {"int", "float"}


def misread(parameter: Parameter, value: Any) -> str:
    """Say what is wrong with `value` for a parameter that is a flag or a number; "" if nothing is.

    By its annotation, or else its default, it is known what a parameter is.
    """
    kinds = _kinds(parameter)
    if kinds & {"bool", *_NUMBERS, "str"} == {"bool"}:
        is_flag = value in (True, False) or (value is None and "None" in kinds)
        return "" if is_flag else f"must be true or false, not {value!r:.80}"
    if isinstance(value, bool) and kinds & _NUMBERS and "bool" not in kinds:
        return f"must be a number, not {value!r}"
    return ""


def _kinds(parameter: Parameter) -> set[str]:
    """The names of types in an annotation, which may be a text; else of the default's."""
    if parameter.annotation is Parameter.empty:
        return {type(parameter.default).__name__} - {"type"}
    words = set(_WORD.findall(str(parameter.annotation)))
    return {"None" if word == "NoneType" else word for word in words}
