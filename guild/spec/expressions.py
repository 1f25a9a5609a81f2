"""JMESPath expressions of routes: checked when a spec is read, evaluated for each message.

Text and numbers are in no order: comparing them with <, <=, > or >= gives null, which is false, as
JMESPath's specification says of what cannot be compared. `jmespath` itself raises a TypeError.
"""

import re
from collections.abc import Mapping
from typing import Any

import jmespath
from jmespath.exceptions import IncompleteExpressionError, JMESPathError, JMESPathTypeError
from jmespath.functions import Functions
from jmespath.visitor import TreeInterpreter

from guild.suggest import closest

EQUALITY = ("eq", "ne")
MAX_DEPTH = 200  # far from where Python gives up, also below the calls of whoever evaluates it

_TOO_DEEP = f"the expression is nested more than {MAX_DEPTH} deep"


class ExpressionError(Exception):
    """An expression that failed on a message; says with which types, never with which values."""


class Expression:
    """A compiled expression.

    Raises:
        ValueError: it is none; says why.
    """

    def __init__(self, text: str) -> None:
        try:
            self.tree: Mapping[str, Any] = jmespath.compile(text).parsed
        except JMESPathError as error:
            raise ValueError(f"not a JMESPath expression: {_slip(error)}") from None
        except RecursionError:
            raise ValueError(_TOO_DEEP) from None
        _check_functions(self.tree)
        self.text = text
        self._interpreter = _Interpreter()

    def search(self, document: Any) -> Any:
        """What it makes of `document`.

        Raises:
            ExpressionError: a function does not take what the document has there.
        """
        try:
            return self._interpreter.visit(self.tree, document)
        except Exception as error:  # noqa: BLE001 - on anybody's data any class may come
            raise ExpressionError(_reason(error)) from None


_HINTS = {
    "Unknown token '='": "; equality is ==",
    "Unknown token '-'": '; a name with - stands in double quotes, as "a-b"',
}


def _slip(error: JMESPathError) -> str:
    """What is wrong with an expression and at which character, without repeating it."""
    if isinstance(error, IncompleteExpressionError):
        return "it is not complete; is a bracket or an operand missing at its end?"
    told = re.sub(r"^(Bad|Invalid) jmespath expression: ", "", str(error), flags=re.IGNORECASE)
    text = told.splitlines()[0].partition(": Parse error")[0].rstrip(":.")
    at = getattr(error, "lex_position", None)
    hint = next((remedy for token, remedy in _HINTS.items() if token in text), "")
    return text + (f", at character {at + 1}" if at is not None else "") + hint


def is_true(result: Any) -> bool:
    """As JMESPath sees it: 0 is true."""
    return result is not None and result is not False and result not in ("", [], {})


class _Interpreter(TreeInterpreter):  # type: ignore[misc] # it has no types
    def visit_comparator(self, node: Mapping[str, Any], value: Any) -> Any:
        left, right = (self.visit(child, value) for child in node["children"])
        if node["value"] not in EQUALITY and not (_both(str, left, right) or _numbers(left, right)):
            return None
        return self.COMPARATOR_FUNC[node["value"]](left, right)


def _both(kind: type, left: Any, right: Any) -> bool:
    return isinstance(left, kind) and isinstance(right, kind)


def _numbers(left: Any, right: Any) -> bool:
    is_number = _both((int, float), left, right)  # type: ignore[arg-type] # isinstance takes both
    return is_number and not (isinstance(left, bool) or isinstance(right, bool))


def _reason(error: Exception) -> str:
    if isinstance(error, JMESPathTypeError):
        expected = " or ".join(error.expected_types)
        return f"{error.function_name}() takes {expected}, not {error.actual_type}"
    # The text of a TypeError names types; that of another error may repeat a value.
    return f"TypeError: {error}" if isinstance(error, TypeError) else type(error).__name__


def _check_functions(node: Mapping[str, Any], depth: int = 0) -> None:
    """Functions are looked up only when they are called; here a slip is told before."""
    if depth > MAX_DEPTH:
        raise ValueError(_TOO_DEEP)
    if node.get("type") == "function_expression":
        _check_call(str(node["value"]), len(node["children"]))
    for child in node["children"]:
        if isinstance(child, dict):
            _check_functions(child, depth + 1)


def _check_call(name: str, count: int) -> None:
    if name not in Functions.FUNCTION_TABLE:
        hint = closest(name, Functions.FUNCTION_TABLE)
        but = f", but {hint}()" if hint else ""
        raise ValueError(f"not a JMESPath expression: no function {name}(){but}")
    signature = Functions.FUNCTION_TABLE[name]["signature"]
    takes, many = len(signature), bool(signature[-1].get("variadic"))
    if count < takes or (count > takes and not many):
        least = "at least " if many else ""
        arguments = f"{takes} argument{'s' * (takes != 1)}"
        raise ValueError(
            f"not a JMESPath expression: {name}() takes {least}{arguments}, not {count}"
        )
