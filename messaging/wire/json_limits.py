"""What JSON of ours may hold, where pydantic lets more through.

No nesting past 64 levels, no integer past 64 bits, no NaN or Infinity: pydantic reads `1e999` as
infinity and writes infinity as `null`, so that what it wrote may no longer fit its own class.
Lone surrogates and integers of thousands of digits it refuses by itself. A NUL in a string is
JSON like any other; of duplicate keys the last one counts, as for every reader of JSON.

What a class can never hold costs nothing here: that is found out once, from its schema.
"""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

from pydantic import BaseModel

MOST_LEVELS = 64
LARGEST_INT = 2**63
MOST_PROBLEMS = 20
MOST_OF_A_PATH = 100
TOO_DEEP = f"message: it is nested deeper than {MOST_LEVELS} levels"
LONG_NUMBER = b"0" * len(str(LARGEST_INT))
DIGITS_TO_ZERO = bytes.maketrans(b"123456789", b"000000000")

_SHORTEST_TOO_DEEP = 2 * (MOST_LEVELS + 1)
_TOO_DEEP = b"[" * (MOST_LEVELS + 1)
_TO_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKET_OR_QUOTE = bytes(set(range(256)) - set(b'{}[]"'))

# Kinds of core schema that allow no more than their parts do.
_CLOSED = frozenset(
    {
        "str",
        "bool",
        "none",
        "literal",
        "enum",
        "bytes",
        "date",
        "time",
        "datetime",
        "timedelta",
        "uuid",
        "url",
        "multi-host-url",
        "list",
        "set",
        "frozenset",
        "tuple",
        "dict",
        "nullable",
        "union",
        "tagged-union",
        "default",
        "chain",
        "definitions",
        "model",
        "model-fields",
        "model-field",
        "dataclass",
        "dataclass-args",
        "dataclass-field",
        "typed-dict",
        "typed-dict-field",
        "computed-field",
        "lax-or-strict",
        "json-or-python",
        "function-after",
        "function-before",
        "function-wrap",
        "int",
        "float",
    }
)
_DATA = frozenset({"metadata", "default", "config", "cls", "ref", "expected", "members"})
_ITEMS_OF = {"list": "items_schema", "set": "items_schema", "frozenset": "items_schema"}


class Leeway(NamedTuple):
    """What a message class leaves open: each has to be looked at in every message.

    Most classes leave only integers open. Then the one thing to look for is `LONG_NUMBER` in the
    JSON, its digits turned by `DIGITS_TO_ZERO`.
    """

    depth: bool
    integers: bool
    floats: bool


@lru_cache(maxsize=4096)
def leeway_of(message_class: type[BaseModel]) -> Leeway | None:
    """What has to be looked at in messages of this class; None when there is nothing."""
    if not message_class.__pydantic_complete__:
        message_class.model_rebuild()
    found = set(_open_parts(message_class.__pydantic_core_schema__, allows_inf=True))
    leeway = Leeway(
        "any" in found, "int" in found or "any" in found, bool(found & {"any", "float"})
    )
    return leeway if any(leeway) else None


def is_too_deep(payload: bytes) -> bool:
    """Whether JSON is nested past 64 levels, found without parsing it."""
    if len(payload) < _SHORTEST_TOO_DEEP or _brackets(payload) <= MOST_LEVELS:
        return False
    if b"\\" in payload:
        payload = payload.replace(rb"\\", b"").replace(rb"\"", b"")
    # Every second part between quotes is a string. Of the rest each pass takes the innermost level.
    bare = payload.translate(_TO_SQUARE, _NO_BRACKET_OR_QUOTE)
    skeleton = b"".join(bare.split(b'"')[::2])
    for _ in range(MOST_LEVELS):
        if _TOO_DEEP in skeleton:
            return True
        peeled = skeleton.replace(b"[]", b"")
        if len(peeled) == len(skeleton):  # all gone, or unbalanced: the parser will say so
            return False
        skeleton = peeled
    return bool(skeleton)


def problems_in(message: BaseModel, payload: bytes, leeway: Leeway) -> tuple[str, ...]:
    """What no message may hold, as `field: sentence`; `payload` is `message` as JSON."""
    has_long = leeway.integers and LONG_NUMBER in payload.translate(DIGITS_TO_ZERO)
    if not has_long and not leeway.floats:
        return ()
    write = message.__pydantic_serializer__.to_python
    return problems_in_value(write(message, round_trip=True, warnings="none"))


def problems_in_value(value: Any) -> tuple[str, ...]:
    """As `problems_in`, of what JSON without a class was parsed to."""
    return tuple(islice(_problems(value, ()), MOST_PROBLEMS))


def path_to(location: Sequence[int | str]) -> str:
    """Where something lies in a message; shortened, for names may come from a stranger."""
    path = ".".join(map(str, location)) or "message"
    return path if len(path) <= MOST_OF_A_PATH else f"{path[:MOST_OF_A_PATH]}..."


def _problems(value: Any, location: tuple[Any, ...]) -> Iterator[str]:
    if isinstance(value, float):
        if not math.isfinite(value):
            yield f"{path_to(location)}: a number must be finite"
    elif isinstance(value, int):
        if not -LARGEST_INT <= value < LARGEST_INT:
            yield f"{path_to(location)}: an integer must fit 64 bits"
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _problems(each, (*location, key))
    elif isinstance(value, list | tuple | set | frozenset):
        for index, each in enumerate(value):
            yield from _problems(each, (*location, index))


def _brackets(payload: bytes) -> int:
    return payload.count(b"[") + payload.count(b"{")


def _open_parts(node: Any, *, allows_inf: bool) -> Iterator[str]:
    """The kinds of what a core schema leaves open: int, float, or any."""
    if isinstance(node, list | tuple):
        for each in node:
            yield from _open_parts(each, allows_inf=allows_inf)
    if not isinstance(node, dict):
        return
    kind = node.get("type")
    if isinstance(kind, str):
        if "config" in node:  # a model of its own, with rules of its own
            allows_inf = node["config"].get("allow_inf_nan", True)
        yield from _open_kind(kind, node, allows_inf=allows_inf)
    for name, each in node.items():
        if name not in _DATA:
            yield from _open_parts(each, allows_inf=allows_inf)


def _open_kind(kind: str, node: dict[str, Any], *, allows_inf: bool) -> Iterator[str]:
    is_untyped = kind in _ITEMS_OF and _ITEMS_OF[kind] not in node
    is_untyped |= kind == "dict" and "values_schema" not in node
    has_more = "allow" in (node.get("extra_behavior"), _extra_of(node))
    if kind not in _CLOSED or is_untyped or has_more:
        yield "any"
    elif kind == "float" and node.get("allow_inf_nan", allows_inf):
        yield "float"
    elif kind == "int" and not ("le" in node and "ge" in node):
        yield "int"


def _extra_of(node: dict[str, Any]) -> Any:
    return node.get("config", {}).get("extra_fields_behavior")
