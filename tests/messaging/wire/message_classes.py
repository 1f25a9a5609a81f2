"""Message classes put together from what pydantic offers, and messages of them."""

import itertools
from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    PrivateAttr,
    SecretStr,
    SerializeAsAny,
    ValidationError,
    computed_field,
    field_serializer,
    field_validator,
)

from messaging.errors import UnfitClassError
from messaging.wire.message import Message

_numbers = itertools.count()


class Fruit(StrEnum):
    PEAR = "pear"


class Grade(IntEnum):
    BEST = 1


class Odd(Enum):
    PAIR = (1, 2)
    TEXT = "1"


class Point(NamedTuple):
    x: int
    name: str


class Base(Message):
    a: int = 0


class Derived(Base):
    b: int = 0


class Loose(BaseModel):
    """Plain: neither frozen nor strict about what it does not know."""

    n: float = 0.0
    items: list[Any] = []


class Left(Message):
    side: Literal["left"] = "left"
    value: int = 0


class Right(Message):
    side: Literal["right"] = "right"
    value: str = ""


ZONES = st.sampled_from(
    [
        None,
        ZoneInfo("Europe/Berlin"),
        ZoneInfo("Europe/Amsterdam"),
        timezone(timedelta(hours=-9, minutes=-30)),
        timezone(timedelta(seconds=17)),
    ]
)
TEXTS = st.text(st.characters(), max_size=4)
INTEGERS = st.integers() | st.sampled_from([2**63 - 1, 2**63, -(2**63) - 1])


def _is_plain(moment: datetime) -> bool:
    """Whether Python can call it equal to a time of another zone: not where the clock was set."""
    return moment.utcoffset() == moment.replace(fold=1 - moment.fold).utcoffset()


DATETIMES = st.datetimes(timezones=ZONES).filter(_is_plain)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | INTEGERS
    | st.floats()
    | TEXTS
    | st.binary(max_size=2)
    | DATETIMES
    | st.sampled_from(
        [Fruit.PEAR, Grade.BEST, Odd.PAIR, Base(), Derived(), Decimal(1), Point(1, "")]
    ),
    lambda kid: (
        st.lists(kid, max_size=2)
        | st.tuples(kid)
        | st.dictionaries(TEXTS | st.integers() | st.none(), kid, max_size=2)
    ),
    max_leaves=4,
)

# How a field is declared, and what it is made from.
FIELDS: Mapping[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "text": (str, TEXTS),
    "integer": (int, INTEGERS),
    "bounded": (Annotated[int, Field(ge=0, le=9)], st.integers(0, 9)),
    "float": (float, st.floats(allow_nan=False, allow_infinity=False)),
    "optional": (float | None, st.none() | st.floats()),
    "tuple": (tuple[str, ...], st.tuples(TEXTS)),
    "pair": (Point, st.builds(Point, INTEGERS, TEXTS)),
    "list": (list[int], st.lists(INTEGERS, max_size=2)),
    "set": (frozenset[int | str], st.frozensets(INTEGERS | TEXTS, max_size=3)),
    "any": (Any, ANYTHING),
    "object": (object, ANYTHING),
    "dict of any": (dict[str, Any], st.dictionaries(TEXTS, ANYTHING, max_size=2)),
    "int keys": (dict[int, str], st.dictionaries(INTEGERS, TEXTS, max_size=2)),
    "mixed keys": (
        dict[int | str | None, int],
        st.dictionaries(st.integers(0, 2) | st.sampled_from(["1", "None"]) | st.none(), INTEGERS),
    ),
    "tuple keys": (
        dict[tuple[int, int], int],
        st.dictionaries(st.tuples(st.integers(), st.integers()), st.integers(), max_size=1),
    ),
    "uuid keys": (dict[UUID, int], st.dictionaries(st.uuids(), st.integers(), max_size=2)),
    "datetime keys": (dict[datetime, int], st.dictionaries(DATETIMES, st.integers(), max_size=2)),
    "enum keys": (dict[Odd, int], st.dictionaries(st.sampled_from(Odd), st.integers())),
    "enum": (Odd, st.sampled_from(Odd)),
    "str enum": (Fruit, st.just(Fruit.PEAR)),
    "int enum": (Grade, st.just(Grade.BEST)),
    "literal": (Literal[1, "a"] | None, st.sampled_from([1, "a", None])),
    "bytes": (bytes, st.binary(max_size=3)),
    "datetime": (datetime, DATETIMES),
    "time": (time, st.times(timezones=ZONES)),
    "timedelta": (timedelta, st.timedeltas()),
    "decimal": (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    "uuid": (UUID, st.uuids()),
    "path": (PurePosixPath, st.builds(PurePosixPath, st.sampled_from(["a", "/b/c"]))),
    "json": (Json[list[int]], st.just("[1, 2]")),
    "json of anything": (Json[Any], st.sampled_from(['"a"', "1", "null", '{"a":1}'])),
    "distinct union": (int | float | str, INTEGERS | TEXTS | st.floats()),
    "like union": (datetime | UUID | str, DATETIMES | st.uuids() | TEXTS | st.just("2020-01-01")),
    "bytes or text": (bytes | str, st.binary(max_size=2) | TEXTS),
    "first of": (
        Annotated[float | int | str, Field(union_mode="left_to_right")],
        st.integers() | TEXTS,
    ),
    "base": (Base, st.builds(Base) | st.builds(Derived, b=st.integers(0, 3))),
    "as any": (SerializeAsAny[Base], st.builds(Base) | st.builds(Derived)),
    "either": (Base | Derived, st.builds(Base) | st.builds(Derived)),
    "loose": (Loose, st.builds(Loose, n=st.floats(), items=st.lists(ANYTHING, max_size=1))),
    "tagged": (
        Annotated[Left | Right, Field(discriminator="side")],
        st.builds(Left) | st.builds(Right),
    ),
    "secret": (SecretStr, st.just("s3cret")),
}

# What a field may have beside its type.
OPTIONS: Mapping[str, Callable[[str], Mapping[str, Any]]] = {
    "nothing": lambda _: {},
    "alias": lambda name: {"alias": f"{name}_alias"},
    "alias of a neighbour": lambda name: {"alias": "b" if name == "a" else "a"},
    "alias to read": lambda name: {"validation_alias": name.upper()},
    "alias to write": lambda name: {"serialization_alias": name.upper()},
    "aliases to choose from": lambda name: {
        "validation_alias": AliasChoices(f"{name}1", AliasPath(f"{name}2", 0))
    },
    "path": lambda name: {"validation_alias": AliasPath(f"{name}s", 1)},
    "excluded": lambda _: {"exclude": True},
    "excluded sometimes": lambda _: {"exclude_if": lambda value: not value},
}

CONFIGS = (
    {},
    {"populate_by_name": True},
    {"serialize_by_alias": True},
    {"serialize_by_alias": True, "populate_by_name": True},
    {"alias_generator": str.swapcase},
    {"extra": "allow"},
    {"extra": "ignore"},
    {"frozen": False},
    {"strict": True},
    {"ser_json_bytes": "base64"},
    {"ser_json_bytes": "base64", "val_json_bytes": "base64"},
    {"ser_json_timedelta": "float"},
    {"ser_json_inf_nan": "strings", "allow_inf_nan": True},
    {"use_enum_values": True},
    {"coerce_numbers_to_str": True, "str_strip_whitespace": True},
)
EXTRAS = ("b", "A", "B", "a_alias", "a1", "as", "total", "more")


def _computed() -> dict[str, Any]:
    def total(self: Any) -> int:
        return len(self.__dict__)

    return {"total": computed_field(property(total), return_type=int)}


def _private() -> dict[str, Any]:
    return {"_seen": PrivateAttr(default_factory=lambda: next(_numbers))}


def _private_and_constant() -> dict[str, Any]:
    return {"_seen": PrivateAttr(0)}


def _validator_that_changes() -> dict[str, Any]:
    def change(cls: Any, value: Any) -> Any:
        return f"{value}!" if isinstance(value, str) else value

    return {"change": field_validator("a", mode="before")(classmethod(change))}


def _validator_that_passes() -> dict[str, Any]:
    def look(cls: Any, value: Any) -> Any:
        return value

    return {"look": field_validator("a")(classmethod(look))}


def _serializer() -> dict[str, Any]:
    def write(self: Any, value: Any) -> str:
        return "written"

    return {"write": field_serializer("a", when_used="json")(write)}


BODIES: tuple[Callable[[], dict[str, Any]], ...] = (
    dict,
    _computed,
    _private,
    _private_and_constant,
    _validator_that_changes,
    _validator_that_passes,
    _serializer,
)


@st.composite
def messages(draw: st.DrawFn) -> BaseModel | UnfitClassError | None:
    """A message of a new class; why there can be no such class; or None for values of no use."""
    names = ["a", "b"][: draw(st.integers(1, 2))]
    body = draw(st.just(dict) | st.sampled_from(BODIES))()
    body |= {"__module__": __name__, "__annotations__": {}}
    config = draw(st.just({}) | st.sampled_from(CONFIGS))
    body["model_config"] = ConfigDict(**config)  # type: ignore[typeddict-item]
    values = {}
    for name in names:
        annotation, made_from = FIELDS[draw(st.sampled_from(sorted(FIELDS)))]
        option = OPTIONS[draw(st.just("nothing") | st.sampled_from(sorted(OPTIONS)))](name)
        values[name] = draw(made_from)
        body["__annotations__"][name] = annotation
        if option:
            body[name] = Field(**option)
        if draw(st.booleans()) and "exclude" in option:
            body[name] = Field(default=None, **option)
    if config.get("extra") == "allow":  # also under names that mean something else
        values |= draw(st.dictionaries(st.sampled_from(EXTRAS), st.integers(0, 2), max_size=2))
    parent = draw(st.sampled_from([Message, Message, BaseModel]))
    try:
        message_class = type(parent)(f"Made{next(_numbers)}", (parent,), body)
    except UnfitClassError as error:
        return error
    try:
        made = message_class.model_validate(values, by_alias=False, by_name=True)
    except (ValidationError, ValueError):
        return None
    if draw(st.integers(0, 9)) == 0:
        return made.model_copy(update={"a": draw(ANYTHING)})
    return made
