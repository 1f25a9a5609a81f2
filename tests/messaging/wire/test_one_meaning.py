"""A message means the same on every backend: what a handler gets equals what was published, or
publishing, or making the class, is refused; see `messaging.wire.fidelity`."""

import enum
import gc
import math
import weakref
from collections.abc import Callable, Generator
from dataclasses import InitVar, dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import (
    AliasChoices,
    AliasGenerator,
    AliasPath,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Json,
    PrivateAttr,
    RootModel,
    SecretBytes,
    SecretStr,
    SerializeAsAny,
    Tag,
    computed_field,
    create_model,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)
from typing_extensions import TypedDict

from messaging.bus import Bus
from messaging.errors import (
    InvalidMessageError,
    PayloadTooLargeError,
    StepError,
    UnfitClassError,
    WireError,
)
from messaging.handling.context import Context
from messaging.handling.subscription import Subscription
from messaging.testing import Recorder, eventually
from messaging.wire import unfit
from messaging.wire.envelope import seal
from messaging.wire.fidelity import fidelity_of
from messaging.wire.message import Message, MessageRegistry, WireType, decode, encode, wire_type_of
from tests.messaging.buses import QUICK, dead_letters
from tests.messaging.conftest import Site

T = TypeVar("T")
BERLIN = ZoneInfo("Europe/Berlin")


class Color(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Corner(enum.Enum):
    TOP = (0, 1)


class Pair(NamedTuple):
    left: int
    right: str = ""


class Row(TypedDict, total=False):
    name: str
    at: Annotated[int, Field(alias="position")]


@dataclass
class Spot:
    x: int
    y: int = 0


@dataclass
class Seeded:
    seed: InitVar[int]
    x: int = 0


class Shape(Message):
    name: str = ""


class Circle(Shape):
    radius: int = 0


class Cat(Message):
    kind: Literal["cat"] = "cat"


class Dog(Message):
    kind: Literal["dog"] = "dog"


class Box(Message, Generic[T], wire_name="tests.box", version=2):
    item: T


class Tree(Message):
    kids: "tuple[Tree, ...]" = ()


def one(annotation: Any, default: Any = ..., **config: Any) -> type[Message]:
    """A message class with one field, `value`, of this kind."""
    namespace: dict[str, Any] = {"__annotations__": {"value": annotation}, "__module__": __name__}
    if default is not ...:
        namespace["value"] = default
    if config:
        namespace["model_config"] = ConfigDict(**config)  # type: ignore[typeddict-item]
    return type(Message)("One", (Message,), namespace)


def holding(value: Any, annotation: Any, **config: Any) -> Message:
    return one(annotation, **config)(value=value)


class Echo:
    """A handler that answers with what it got."""

    def __init__(self) -> None:
        self.got: list[BaseModel] = []

    async def __call__(self, message: BaseModel, context: Context) -> BaseModel:
        self.got.append(message)
        return message


async def travelled(bus: Bus, message: BaseModel) -> list[BaseModel]:
    """What a handler got, and its answer to whoever asked."""
    message_class, echo = type(message), Echo()
    bus.registry.add(message_class)
    running = await bus.subscribe(Subscription("echo", ("asks",), {message_class: echo}, QUICK))
    try:
        answer = await bus.request("asks", message, timeout_s=20)
    finally:
        await running.drain()
    return [*echo.got, answer]


@pytest.fixture
async def bus(site: Site) -> Any:
    async with Bus(await site.open(), name="tests", owns_backend=False) as bus:
        yield bus


# -- what travels as it is -----------------------------------------------------------------------


class Aliased(Message):
    first: int = Field(alias="FIRST")
    second: int = Field(validation_alias="zweites")
    third: int = Field(serialization_alias="drittes")
    choice: int = Field(validation_alias=AliasChoices("x", AliasPath("y", 0)))
    path: int = Field(validation_alias=AliasPath("deep", "down"))


class Swapped(Message):
    model_config = ConfigDict(populate_by_name=True)

    a: int = Field(alias="b")
    b: int = Field(alias="a")


class Generated(Message):
    model_config = ConfigDict(
        alias_generator=AliasGenerator(alias=str.upper), serialize_by_alias=True
    )

    name: str
    row: Row = Field(default_factory=Row)


class Area(Message):
    width: int
    height: int

    @computed_field  # type: ignore[prop-decorator]  # as pydantic documents it
    @property
    def area(self) -> int:
        return self.width * self.height


class Areas(Message):
    areas: tuple[Area, ...]


class Lazy(Message):
    text: str

    @cached_property
    def words(self) -> list[str]:
        return self.text.split()


class Told(Message):
    """A secret that its author wants to be written."""

    token: SecretStr

    @field_serializer("token", when_used="json")
    def _write(self, token: SecretStr) -> str:
        return token.get_secret_value()


class Derived(Message):
    text: str
    _length: int = PrivateAttr(0)

    def model_post_init(self, _context: Any) -> None:
        self._length = len(self.text)


class Packed(Message):
    x: int

    @model_serializer
    def _write(self) -> list[int]:
        return [self.x]

    @model_validator(mode="before")
    @classmethod
    def _read(cls, data: Any) -> Any:
        return {"x": data[0]} if isinstance(data, list) else data


class Names(RootModel[list[str]]):
    pass


class Extra(Message):
    model_config = ConfigDict(extra="allow")


def lazy() -> Message:
    message = Lazy(text="a b")
    assert message.words == ["a", "b"]
    return message


TRAVELS: dict[str, Callable[[], BaseModel]] = {
    "text": lambda: holding("ü \0 😀", str),
    "long text": lambda: holding("x" * 50_000, str),
    "numbers": lambda: holding((1, 2.5, True, None), tuple[int, float, bool, None]),
    "largest integer": lambda: holding(2**63 - 1, int),
    "aliases": lambda: Aliased.model_validate(
        {"FIRST": 1, "zweites": 2, "third": 3, "y": [4], "deep": {"down": 5}}
    ),
    "aliases swapped": lambda: Swapped.model_validate({"a": 1, "b": 2}),
    "aliases generated": lambda: Generated.model_validate(
        {"NAME": "n", "ROW": {"NAME": "r", "position": 3}}
    ),
    "alias within": lambda: holding(
        Aliased.model_validate({"FIRST": 1, "zweites": 2, "third": 3, "x": 4, "deep": {"down": 5}}),
        Aliased,
    ),
    "computed field": lambda: Area(width=2, height=3),
    "computed fields within": lambda: Areas(areas=(Area(width=2, height=3),)),
    "cached property": lazy,
    "secret that is written": lambda: Told(token=SecretStr("s3cret")),
    "private attribute made of fields": lambda: Derived(text="abc"),
    "excluded at its default": one(int, Field(3, exclude=True)),
    "json of a type": lambda: one(Json[list[int]])(value="[1, 2]"),
    "json of anything": lambda: one(Json[Any])(value='{"a": [1]}'),
    "same class in a field": lambda: holding(Shape(name="s"), Shape),
    "serialised as any": lambda: holding(Shape(name="s"), SerializeAsAny[Shape]),
    "tagged union": lambda: holding(Dog(), Annotated[Cat | Dog, Field(discriminator="kind")]),
    "tagged by a function": lambda: holding(
        Dog(),
        Annotated[
            Annotated[Cat, Tag("cat")] | Annotated[Dog, Tag("dog")],
            Discriminator(lambda v: v["kind"] if isinstance(v, dict) else v.kind),
        ],
    ),
    "integer keys": lambda: holding({1: "a"}, dict[int, str]),
    "uuid keys": lambda: holding({UUID(int=1): 1}, dict[UUID, int]),
    "datetime keys": lambda: holding({datetime(2020, 1, 1): 1}, dict[datetime, int]),  # noqa: DTZ001
    "enum keys": lambda: holding({Color.RED: 1}, dict[Color, int]),
    "naive datetime": lambda: holding(datetime(2020, 1, 1, 1, 2, 3, 4), datetime),  # noqa: DTZ001
    "aware datetime": lambda: holding(datetime(2020, 1, 1, tzinfo=UTC), datetime),
    "offset": lambda: holding(
        datetime(2020, 1, 1, tzinfo=timezone(timedelta(hours=-3, minutes=-30))), datetime
    ),
    "zone": lambda: holding(datetime(2020, 7, 1, tzinfo=BERLIN), datetime),
    "date": lambda: holding(date(1, 1, 1), date),
    "time": lambda: holding(time(1, 2, 3, 4, tzinfo=UTC), time),
    "duration": lambda: holding(timedelta(days=-1, microseconds=1), timedelta),
    "decimal": lambda: holding(Decimal("1.10"), Decimal),
    "utf-8 bytes": lambda: holding("ü".encode(), bytes),
    "any bytes as base64": lambda: holding(
        b"\xff\0", bytes, ser_json_bytes="base64", val_json_bytes="base64"
    ),
    "path": lambda: holding(Path("/a/b"), Path),
    "enums": lambda: holding((Color.RED, Level.LOW), tuple[Color, Level]),
    "sets": lambda: holding(frozenset({"a", "b", "c"}), frozenset[str]),
    "mutable containers": lambda: holding({"a": [{1, 2}]}, dict[str, list[set[int]]]),
    "named tuple": lambda: holding(Pair(1, "r"), Pair),
    "typed dict": lambda: one(Row)(value={"name": "n", "position": 2}),
    "dataclass": lambda: holding(Spot(1, 2), Spot),
    "extras": lambda: Extra(more=[1, {"a": None}]),  # type: ignore[call-arg]
    "model serialiser": lambda: Packed(x=4),
    "root model": lambda: Names(["a"]),
    "generic": lambda: Box[int](item=1),
    "generic of a generic": lambda: Box[Box[str]](item=Box[str](item="1")),
    "generic without parameters": lambda: Box(item=[1, "a"]),
    "json as any": lambda: holding({"a": [1, 2.5, None, "x", True]}, Any),
    "json as object": lambda: holding([1, "a"], object),
    "distinct union": lambda: holding("1", int | str),
    "recursive": lambda: Tree(kids=(Tree(), Tree(kids=(Tree(),)))),
    "reused model": lambda: holding((Shape(), Shape(name="b")), tuple[Shape, Shape]),
    "copy with a good update": lambda: Shape(name="a").model_copy(update={"name": "b"}),
}


@pytest.mark.parametrize("name", TRAVELS)
async def test_it_arrives_as_it_was_sent(bus: Bus, name: str) -> None:
    message = TRAVELS[name]()

    got, answer = await travelled(bus, message)

    for arrived in (got, answer):
        assert type(arrived) is type(message)
        assert arrived == message


async def test_a_time_in_the_hour_that_comes_twice_keeps_its_instant(bus: Bus) -> None:
    # Python calls it unequal to any time of another zone, whatever its instant.
    message = holding(datetime(2020, 10, 25, 2, 30, tzinfo=BERLIN, fold=1), datetime)

    got, _ = await travelled(bus, message)

    assert got.value.timestamp() == message.value.timestamp()  # type: ignore[attr-defined]
    assert got.value.utcoffset() == timedelta(hours=1)  # type: ignore[attr-defined]


# -- what is refused when it is published --------------------------------------------------------


class Doubling(Message):
    value: int

    @field_validator("value")
    @classmethod
    def _double(cls, value: int) -> int:
        return value * 2


class Wrapped(Message):
    value: str

    @field_validator("value", mode="before")
    @classmethod
    def _wrap(cls, value: str) -> str:
        return f"<{value}>"


class Guarded(Message):
    value: int
    _guard: object = PrivateAttr(default_factory=object)


class Late(BaseModel):
    """Plain, so that anything may be assigned."""

    value: Annotated[int, Field(le=10)] = 0


class Nicknamed(Message):
    model_config = ConfigDict(extra="allow")

    name: int = Field(alias="nick")


def late() -> Late:
    message = Late()
    message.value = 11
    return message


def grown() -> Message:
    message = holding(["a"], list[str])
    message.value.append(5)  # type: ignore[attr-defined]
    return message


def shared_secret() -> BaseModel:
    class Plain(BaseModel):
        token: SecretStr

    return Plain(token=SecretStr("s3cret"))


REFUSED: dict[str, tuple[Callable[[], BaseModel], str]] = {
    "a subclass in a field": (lambda: holding(Circle(radius=3), Shape), "value: .*Circle.*Shape"),
    "a subclass serialised as any": (
        lambda: holding(Circle(radius=3), SerializeAsAny[Shape]),
        "value.*radius",
    ),
    "a subclass within": (
        lambda: holding({"a": [Circle()]}, dict[str, list[Shape]]),
        r"value\.a\.0: .*Circle.*Shape",
    ),
    "excluded": (
        lambda: one(int, Field(3, exclude=True))(value=4),
        "value: it is excluded",
    ),
    "excluded made anew": (
        one(object, Field(default_factory=object, exclude=True)),
        "value: it is excluded",
    ),
    "a private attribute": (lambda: Guarded(value=1), "_guard: a private attribute"),
    "a tuple as any": (lambda: holding((1,), Any), "value: this tuple would arrive as a list"),
    "a set as any": (lambda: holding({"a": {1}}, Any), r"value\.a: this set .* list"),
    "an integer key as any": (lambda: holding({1: 2}, Any), "value"),
    "a model as any": (lambda: holding(Shape(name="a"), Any), "value: this Shape .* dict"),
    "a datetime as any": (lambda: holding(datetime.now(UTC), Any), "value: this datetime .* str"),
    "an object": (lambda: holding(object(), object), "value|serialize"),
    "tuple keys": (lambda: holding({(1, 2): 3}, dict[tuple[int, int], int]), "value"),
    "none keys": (lambda: holding({None: 3}, dict[None, int]), "value"),
    "keys that fall together": (lambda: holding({1: 1, "1": 2}, dict[int | str, int]), "value"),
    "an enum of a tuple": (lambda: holding(Corner.TOP, Corner), "value"),
    "seconds of an offset": (
        lambda: holding(datetime(1900, 1, 1, tzinfo=ZoneInfo("Europe/Amsterdam")), datetime),
        "value: this datetime would arrive as another",
    ),
    "a text that looks like a date": (
        lambda: holding("2020-01-01T00:00:00", datetime | str),
        "value: this str would arrive as a datetime",
    ),
    "a text that looks like an id": (
        lambda: holding(str(UUID(int=1)), UUID | str),
        "value: this str would arrive as a UUID",
    ),
    "bytes that are no text": (lambda: holding(b"\xff", bytes), "utf-8"),
    "a lone surrogate": (lambda: holding("\ud800", str), "surrogate"),
    "a lone surrogate within": (lambda: holding(("\ud800",), tuple[str, ...]), "surrogate"),
    "infinity": (lambda: holding(math.inf, float, allow_inf_nan=True), "value: .*finite"),
    "not a number": (lambda: holding(math.nan, float, allow_inf_nan=True), "value: .*finite"),
    "an integer past 64 bits": (lambda: holding(2**63, int), "value: .*64 bits"),
    "such an integer within": (lambda: holding((2**63,), tuple[int, ...]), "value.0: .*64 bits"),
    "a validator that changes again": (lambda: Doubling(value=2), "value: this int .* another"),
    "a validator that wraps again": (lambda: Wrapped(value="a"), "value: this str .* another"),
    "what was assigned": (late, "value: .*less than or equal to 10"),
    "what was appended": (grown, "str"),
    "what was constructed": (lambda: Shape.model_construct(name=3), "name"),
    "what lacks a field": (lambda: Area.model_construct(width=3), "height: .*required"),
    "what was copied with a bad update": (
        lambda: Shape(name="a").model_copy(update={"name": 3}),
        "name",
    ),
    "a plain model's secret": (shared_secret, "token: a secret"),
    "an extra under the name of a field": (
        lambda: Nicknamed.model_validate({"nick": 1, "name": 2}),
        "name: this int would arrive as another",
    ),
    "a milliseconds' guess": (
        lambda: holding(
            datetime(1970, 1, 2),  # noqa: DTZ001
            datetime,
            ser_json_temporal="milliseconds",
        ),
        "value",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_it_is_refused_when_it_is_published(bus: Bus, name: str) -> None:
    make, says = REFUSED[name]
    message = make()

    with pytest.raises(WireError, match=says) as refusal:
        await travelled(bus, message)

    assert isinstance(refusal.value, InvalidMessageError | UnfitClassError)
    assert "s3cret" not in str(refusal.value)


# -- what is refused when the class is made ------------------------------------------------------


def test_a_secret_is_refused_when_its_class_is_made() -> None:
    for secret in (SecretStr, SecretBytes, SecretStr | None, list[SecretStr]):
        with pytest.raises(UnfitClassError, match=r"One cannot be a message: value: a secret"):
            one(secret)


def test_a_required_field_that_is_excluded_is_refused_when_its_class_is_made() -> None:
    with pytest.raises(UnfitClassError, match="value: it is required and excluded"):
        one(int, Field(exclude=True))


def test_a_required_init_var_is_refused_when_its_class_is_made() -> None:
    with pytest.raises(UnfitClassError, match=r"value\.seed: a required InitVar"):
        one(Seeded)


@pytest.mark.parametrize("config", [{"ser_json_bytes": "base64"}, {"val_json_bytes": "hex"}])
def test_bytes_written_and_read_in_two_ways_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(UnfitClassError, match=r"value: its bytes are written as .* and read as"):
        one(bytes, **config)


def test_a_class_of_somebody_elses_is_refused() -> None:
    class Alien:
        pass

    with pytest.raises(UnfitClassError, match="value: no JSON can be read as Alien"):
        one(Alien, arbitrary_types_allowed=True)


def test_what_can_be_read_only_once_is_refused() -> None:
    with pytest.raises(UnfitClassError, match="value: an iterator can be read only once"):
        one(Generator[int, None, None])


def test_what_a_model_within_may_not_have_is_told_with_its_path() -> None:
    class Inner(BaseModel):
        token: SecretStr

    with pytest.raises(UnfitClassError, match=r"value\.token: a secret"):
        one(tuple[Inner, ...])


def test_a_class_that_passed_is_looked_at_again_only_when_it_was_built_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Open(Message):
        value: Any

    looked_at: list[object] = []
    monkeypatch.setattr(unfit, "_problems", lambda schema, *_: looked_at.append(schema) or ())

    for _ in range(3):
        encode(Open(value=[1]))
    assert looked_at == []
    Open.model_rebuild(force=True)
    for _ in range(3):
        encode(Open(value=[1]))

    assert len(looked_at) == 1


def test_classes_that_are_made_by_the_thousand_are_not_kept_for_good() -> None:
    made = [create_model(f"Made{number}", value=(int, 0)) for number in range(20)]
    for each in made:
        unfit.check_class(each)
    remembered = [weakref.ref(each) for each in made]
    del made, each

    unfit._look_at.cache_clear()  # as it does with those that were asked about long ago
    gc.collect()

    assert unfit._look_at.cache_parameters()["maxsize"] == unfit.MOST_REMEMBERED
    assert [each for each in remembered if each() is not None] == []


def test_a_class_with_forward_references_is_looked_at_when_its_message_is_published() -> None:
    class Outer(Message):
        later: "Later"  # type: ignore[name-defined]

    class Later(BaseModel):
        token: SecretStr

    Outer.model_rebuild(_types_namespace={"Later": Later})

    with pytest.raises(UnfitClassError, match=r"later\.token"):
        encode(Outer(later=Later(token=SecretStr("a"))))


# -- isolation -----------------------------------------------------------------------------------


async def test_what_one_agent_does_to_a_message_no_other_sees(bus: Bus) -> None:
    message = holding(["as sent"], list[str])
    bus.registry.add(type(message))

    class Spoiler(Recorder):
        async def __call__(self, message: Any, context: Context) -> None:
            message.value.append("spoiled")
            await super().__call__(message, context)

    spoiler, witness = Spoiler(), Recorder()
    for name, recorder in (("spoiler", spoiler), ("witness", witness)):
        await bus.subscribe(recorder.subscription(name, type(message), topic="asks"))

    await bus.publish("asks", message)
    message.value.append("changed by its publisher")  # type: ignore[attr-defined]

    assert [m.value for m in await spoiler.messages(1)] == [["as sent", "spoiled"]]  # type: ignore[attr-defined]
    assert [m.value for m in await witness.messages(1)] == [["as sent"]]  # type: ignore[attr-defined]


async def test_nor_what_it_does_to_a_cached_property(bus: Bus) -> None:
    bus.registry.add(Lazy)
    seen: dict[str, list[str]] = {}

    async def spoil(message: Lazy, context: Context) -> None:
        message.words.append("spoiled by " + context.group)
        seen[context.group] = message.words

    for name in ("a", "b"):
        await bus.subscribe(Subscription(name, ("asks",), {Lazy: spoil}, QUICK))
    await bus.publish("asks", Lazy(text="x"))
    await eventually(lambda: len(seen) == 2)

    assert seen == {name: ["x", f"spoiled by {name}"] for name in ("a", "b")}


async def test_a_subclass_of_one_wire_name_does_not_pass_as_its_base(bus: Bus) -> None:
    class Finer(Shape, wire_name="Shape"):
        digits: int = 3

    recorder = Recorder()
    await bus.subscribe(recorder.subscription("r", Shape, topic="asks"))

    await bus.publish("asks", Finer(name="a"))

    (letter,) = await dead_letters(bus)
    assert b"digits" in letter.reason


# -- generics ------------------------------------------------------------------------------------


def test_each_parametrised_class_has_a_name_of_its_own_and_the_version_of_its_origin() -> None:
    assert wire_type_of(Box) == WireType("tests.box", 2)
    assert wire_type_of(Box[int]) == WireType("tests.box[int]", 2)
    assert wire_type_of(Box[str]) == WireType("tests.box[str]", 2)


def test_parametrised_classes_of_two_namesakes_conflict() -> None:
    def shape() -> type[Message]:
        class Item(Message):
            value: int

        return Item

    here, there = shape(), shape()
    there.__module__ = "elsewhere"

    with pytest.raises(WireError, match=r"both called tests\.box\[Item\]@2"):
        MessageRegistry(Box[here], Box[there])  # type: ignore[valid-type]


def test_an_upcaster_of_a_generic_class_serves_all_its_parameters() -> None:
    class Crate(Message, Generic[T], wire_name="tests.crate", version=2):
        item: T

    filled = Crate[int]

    @Crate.upcast(from_version=1)
    def _rename(data: dict[str, Any]) -> dict[str, Any]:
        return {"item": data["content"]}

    assert decode(filled, b'{"content": 3}', version=1) == filled(item=3)


# -- state, steps, items, dead letters -----------------------------------------------------------


class Kept(BaseModel):
    at: datetime
    shape: Shape = Shape()


class Go(Message):
    pass


LOSSY = Kept(at=datetime(1900, 1, 1, tzinfo=ZoneInfo("Europe/Amsterdam")))


async def gone_wrong(bus: Bus, handler: Any) -> bytes:
    bus.registry.add(Go)
    await bus.subscribe(Subscription("worker", ("asks",), {Go: handler}, QUICK))
    await bus.publish("asks", Go())
    (letter,) = await dead_letters(bus)
    return letter.reason


@pytest.mark.parametrize("way", ["state", "send", "answer", "emit", "timer", "list"])
async def test_what_a_handler_gives_goes_by_the_same_rule(bus: Bus, way: str) -> None:
    async def handler(message: Go, context: Context) -> Any:
        if way == "state":
            await context.state.save("k", LOSSY)
        elif way == "send":
            context.send(LOSSY, "out")
        elif way == "emit":
            context.emit(LOSSY)
        elif way == "timer":
            context.send(LOSSY, "out", timer="t", delay_s=1)
        elif way == "list":
            return [Go(), LOSSY]
        return LOSSY

    assert b"this datetime would arrive as another" in await gone_wrong(bus, handler)


async def test_a_step_keeps_what_it_made(bus: Bus) -> None:
    made: list[Any] = []
    kept = Area(width=1, height=2)

    async def handler(message: Go, context: Context) -> None:
        made.append(await context.step("area", lambda: kept, returns=Area))
        made.append(await context.step("pair", lambda: Pair(1, "a"), returns=Pair))
        made.append(await context.step("of a dict", lambda: {"name": "a"}, returns=Shape))
        if context.attempt == 1:
            raise ValueError("once more")

    running = await bus.subscribe(Subscription("worker", ("asks",), {Go: handler}, QUICK))
    recorder = Recorder()
    await bus.subscribe(recorder.subscription("after", Go, topic="asks"))
    await bus.publish("asks", Go())
    await eventually(lambda: len(made) == 6)
    await running.drain()

    assert made == [kept, Pair(1, "a"), Shape(name="a")] * 2


@pytest.mark.parametrize(
    ("made", "returns"),
    [(LOSSY, Kept), (SecretStr("s3cret"), SecretStr), (Circle(radius=1), Shape)],
    ids=["datetime", "secret", "subclass"],
)
async def test_a_step_that_would_be_read_as_another_is_refused(
    bus: Bus, made: Any, returns: Any
) -> None:
    async def handler(message: Go, context: Context) -> None:
        with pytest.raises(StepError) as refusal:
            await context.step("s", lambda: made, returns=returns)
        raise refusal.value

    reason = await gone_wrong(bus, handler)
    assert b"would not be read back" in reason
    assert b"s3cret" not in reason


async def test_a_dead_letter_is_requeued_as_it_was(bus: Bus) -> None:
    message = Aliased.model_validate(
        {"FIRST": 1, "zweites": 2, "third": 3, "y": [4], "deep": {"down": 5}}
    )
    bus.registry.add(Aliased)
    failing = Recorder(ValueError("no"))
    running = await bus.subscribe(failing.subscription("worker", Aliased, topic="asks"))
    await bus.publish("asks", message)
    (letter,) = await dead_letters(bus)
    await running.drain()

    await bus.dead_letters.requeue(letter.id, edit={"first": 7})
    working = Recorder()
    await bus.subscribe(working.subscription("worker", Aliased, topic="asks"))

    assert await working.messages(1) == [message.model_copy(update={"first": 7})]


# -- what it costs -------------------------------------------------------------------------------


def test_a_message_of_plain_fields_is_neither_tried_nor_copied_in_memory() -> None:
    class Note(BaseModel):
        model_config = ConfigDict(frozen=True)

        number: int
        text: str = ""

    for message in (
        Note(number=1),
        holding(Note(number=2), Note),
        holding(("a", 1), tuple[str, int]),
    ):
        assert fidelity_of(type(message)).is_sure_of(message)
        assert seal(message, "t", by_reference=True).message is message


async def test_a_message_past_the_cap_is_refused_also_where_it_would_be_handed_over(
    site: Site,
) -> None:
    async with Bus(await site.open(max_envelope_bytes=1_000), owns_backend=False) as bus:
        with pytest.raises(PayloadTooLargeError):
            await travelled(bus, Shape(name="x" * 1_000))


async def test_so_is_one_of_megabytes(bus: Bus) -> None:
    with pytest.raises(PayloadTooLargeError):
        await travelled(bus, holding(("x" * 500_000,) * 10, tuple[str, ...]))


def test_a_message_with_lists_is_not_tried_but_written() -> None:
    message = holding(["a"], list[str])

    assert fidelity_of(type(message)).is_sure_of(message)
    assert seal(message, "t", by_reference=True).message is None


SCHEMAS_OWN_WORDS = (
    *("fields", "type", "config", "metadata", "default", "definitions", "choices"),
    *("items_schema", "values_schema", "serialization", "expected"),
)


@pytest.mark.parametrize("name", SCHEMAS_OWN_WORDS)
async def test_a_field_may_be_called_like_a_word_of_schemas(bus: Bus, name: str) -> None:
    inner = create_model("Inner", **{name: (dict[str, Any], ...)})
    outer = create_model("Outer", __base__=Message, **{name: (inner, ...)})
    message = outer(**{name: inner(**{name: {"a": 1}})})

    assert await travelled(bus, message) == [message, message]
