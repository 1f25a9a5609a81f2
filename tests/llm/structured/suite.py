"""The types and schemas that people ask language models for."""

import enum
import ipaddress
import uuid
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import annotated_types
from pydantic import (
    AnyUrl,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    NonNegativeInt,
    RootModel,
    StringConstraints,
)
from typing_extensions import TypedDict

T = TypeVar("T")


class Person(BaseModel):
    name: str
    age: int


class Address(BaseModel):
    street: str
    city: str
    zip_code: Annotated[str, StringConstraints(pattern=r"^\d{5}$")]


class Customer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=40)
    addresses: list[Address] = Field(min_length=1, max_length=3)
    vip: bool = False
    notes: str | None = None


class Color(enum.StrEnum):
    RED = "red"
    GREEN = "green"
    LIGHT = "light"


class Priority(enum.IntEnum):
    LOW = 1
    HIGH = 12


class Ticket(BaseModel):
    title: str
    priority: Priority
    color: Color
    status: Literal["open", "closed"] | None
    tags: list[str] = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(ge=1, le=9)


class Dog(BaseModel):
    kind: Literal["dog"]
    barks: bool


class Fish(BaseModel):
    kind: Literal["fish"]
    depth_m: float = Field(gt=0, lt=11_000)


class Owner(BaseModel):
    pet: Annotated[Cat | Dog | Fish, Field(discriminator="kind")]


class Tree(BaseModel):
    value: int
    children: list["Tree"] = []


class Chain(BaseModel):
    word: str
    next: "Chain | None"


class Plus(BaseModel):
    op: Literal["plus"]
    left: "Plus | Number"
    right: "Plus | Number"


class Number(BaseModel):
    value: float


class Reading(BaseModel):
    sensor: uuid.UUID
    at: AwareDatetime
    temperature: Annotated[float, Field(ge=-273.15, le=1000)]
    humidity: Annotated[float, Field(gt=0, le=1)]
    count: Annotated[int, Field(multiple_of=5, ge=0)]


class Schedule(BaseModel):
    day: date
    start: time
    created: datetime
    length: timedelta


class Invoice(BaseModel):
    total: Decimal
    rate: Annotated[Decimal, Field(ge=0, le=1, max_digits=5, decimal_places=2)]
    quantity: NonNegativeInt


class Page(BaseModel, Generic[T]):
    items: list[T]
    next_page: int | None = None


class Point(NamedTuple):
    x: float
    y: float


class Movie(TypedDict, total=False):
    title: str
    year: Annotated[int, annotated_types.Interval(ge=1888, le=2100)]


@dataclass
class Version:
    major: NonNegativeInt
    minor: NonNegativeInt
    tag: Literal["alpha", "beta"] | None = None


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    first: str = Field(alias="firstName")
    umlaut: Literal["größe", "naïve café", "今日は", 'say "hi"\n\\'] = Field(alias="größe")


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: int


class Limits(BaseModel):
    code: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2,4}-\d+$", max_length=9)]
    password: Annotated[str, StringConstraints(min_length=8, max_length=64)]
    bio: Annotated[str, StringConstraints(max_length=5_000)]
    small: Annotated[int, Field(gt=-3, lt=3)]
    exact: Annotated[float, Field(gt=0, lt=0.001)]


class Network(BaseModel):
    address: ipaddress.IPv4Address
    homepage: HttpUrl
    docs: AnyUrl | None = None


class Team(BaseModel):
    roles: set[Literal["dev", "ops", "qa"]]
    labels: set[str]
    members: dict[str, Person]


class Layer(BaseModel):
    kind: Literal["conv", "linear", "norm"]
    size: Annotated[int, Field(ge=1, le=4096)]
    activation: Literal["relu", "gelu"] | None = None


class Network2(BaseModel):
    layers: Annotated[list[Layer], Field(min_length=1, max_length=16)]
    learning_rate: Annotated[float, Field(gt=0, lt=1)]


class Step(BaseModel):
    explanation: str
    output: str


class MathReasoning(BaseModel):
    steps: list[Step]
    final_answer: str


class Matrix(RootModel[list[list[float]]]):
    pass


@dataclass(frozen=True)
class Case:
    """A type of pydantic's or a JSON schema; `refusal` says why it is refused, if it is.

    `meaning` is the same schema in words that the reference implementation knows.
    """

    name: str
    what: Any
    refusal: str | None = None
    meaning: dict[str, Any] | None = None

    @property
    def is_schema(self) -> bool:
        return isinstance(self.what, dict | bool)


TYPES = [
    Case("flat model", Person),
    Case("nested models, bounded lists", Customer),
    Case("enums and literals", Ticket),
    Case("discriminated union", Owner),
    Case("recursive tree", Tree),
    Case("linked list", Chain),
    Case("mutually recursive expression", Plus),
    Case("uuid, time zone, ranges, multiples", Reading),
    Case("dates, times, durations", Schedule),
    Case("decimals", Invoice),
    Case("generic model", Page[Person]),
    Case("named tuple", Point),
    Case("typed dict", Movie),
    Case("dataclass", Version),
    Case("aliases, unicode, escapes", Aliased),
    Case("extra fields", Open),
    Case("patterns, lengths, tight numbers", Limits),
    Case("addresses", Network),
    Case("sets and dictionaries", Team),
    Case("neural network", Network2),
    Case("chain of thought", MathReasoning),
    Case("matrix", Matrix),
    Case("list", list[int]),
    Case("tuple", tuple[int, str, bool]),
    Case("open tuple", tuple[float, ...]),
    Case("dictionary", dict[str, list[int]]),
    Case("dictionary with literal keys", dict[Literal["a", "b"], int]),
    Case("dictionary with number keys", dict[int, str]),
    Case("plain union", int | str | list[bool] | None),
    Case("anything", Any),
    Case("bytes", bytes),
    Case("string", str),
]

SCHEMAS = [
    Case(
        "OpenAI response_format",
        {
            "type": "object",
            "properties": {
                "steps": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "explanation": {"type": "string"},
                            "output": {"type": "string"},
                        },
                        "required": ["explanation", "output"],
                        "additionalProperties": False,
                    },
                },
                "final_answer": {"type": "string"},
            },
            "required": ["steps", "final_answer"],
            "additionalProperties": False,
            "$schema": "http://json-schema.org/draft-07/schema#",
        },
    ),
    Case(
        "tool arguments",
        {
            "type": "object",
            "properties": {
                "location": {"type": "string", "description": "City and state, e.g. Paris, FR"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "minimum": 1, "maximum": 14, "default": 3},
            },
            "required": ["location"],
        },
    ),
    Case(
        "allOf of references",
        {
            "$defs": {
                "named": {"properties": {"name": {"type": "string"}}, "required": ["name"]},
                "aged": {"properties": {"age": {"type": "integer"}}, "required": ["age"]},
            },
            "type": "object",
            "allOf": [{"$ref": "#/$defs/named"}, {"$ref": "#/$defs/aged"}],
        },
    ),
    Case(
        "allOf that narrows",
        {
            "allOf": [
                {"type": ["integer", "string", "null"], "minimum": 3},
                {"type": ["number", "null"], "maximum": 7.5},
                {"not": {"const": 5}},
            ]
        },
    ),
    Case(
        "anyOf beside siblings",
        {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "string"}},
            "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
        },
    ),
    Case(
        "oneOf by const",
        {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {"type": {"const": "circle"}, "r": {"exclusiveMinimum": 0}},
                    "required": ["type", "r"],
                },
                {
                    "type": "object",
                    "properties": {"type": {"const": "square"}, "side": {"type": "number"}},
                    "required": ["type", "side"],
                },
            ]
        },
    ),
    Case(
        "oneOf by what is required",
        {
            "type": "object",
            "properties": {
                "mail": {"type": "string", "format": "email"},
                "phone": {"type": "string"},
            },
            "oneOf": [{"required": ["mail"]}, {"required": ["phone"]}],
        },
    ),
    Case(
        "if, then, else",
        {
            "type": "object",
            "properties": {
                "country": {"enum": ["US", "CA", "DE"]},
                "code": {"type": "string"},
            },
            "required": ["country", "code"],
            "if": {"properties": {"country": {"const": "US"}}},
            "then": {"properties": {"code": {"pattern": "^[0-9]{5}(-[0-9]{4})?$"}}},
            "else": {"properties": {"code": {"maxLength": 6}}},
        },
    ),
    Case(
        "dependentRequired",
        {
            "type": "object",
            "properties": {"card": {"type": "integer"}, "address": {"type": "string"}},
            "dependentRequired": {"card": ["address"]},
        },
    ),
    Case(
        "patternProperties",
        {
            "type": "object",
            "properties": {"id": {"type": "integer"}},
            "patternProperties": {"^x_[a-z]+$": {"type": "string"}},
            "additionalProperties": False,
        },
    ),
    Case(
        "propertyNames",
        {
            "type": "object",
            "propertyNames": {"pattern": "^[a-z]{1,8}$"},
            "additionalProperties": {"type": "number"},
            "maxProperties": 3,
        },
    ),
    Case(
        "minProperties over named ones",
        {
            "type": "object",
            "properties": {"a": {"type": "null"}, "b": {"type": "null"}, "c": {"type": "null"}},
            "additionalProperties": False,
            "minProperties": 2,
        },
    ),
    Case(
        "tuple with items",
        {
            "type": "array",
            "prefixItems": [{"type": "string"}, {"type": "integer"}],
            "items": {"type": "boolean"},
            "minItems": 1,
            "maxItems": 5,
        },
    ),
    Case(
        "unique items",
        {
            "type": "array",
            "items": {"enum": [1, "1", None, True, 2]},
            "uniqueItems": True,
            "minItems": 2,
            "maxItems": 4,
        },
    ),
    Case(
        "nullable of OpenAPI 3.0",
        {"type": "string", "nullable": True, "maxLength": 3},
        meaning={"type": ["string", "null"], "maxLength": 3},
    ),
    Case("multiples of a cent", {"type": "number", "multipleOf": 0.01, "minimum": 0}),
    Case(
        "exclusive bounds",
        {
            "type": "array",
            "items": {"exclusiveMinimum": 0, "exclusiveMaximum": 1e-3},
            "minItems": 2,
        },
    ),
    Case("date-time", {"type": "string", "format": "date-time"}),
    Case(
        "formats",
        {
            "type": "object",
            "properties": {
                name: {"type": "string", "format": name}
                for name in ("email", "hostname", "ipv6", "uri", "duration", "time", "uuid")
            },
            "minProperties": 2,
        },
    ),
    Case(
        "lookaheads",
        {"type": "string", "pattern": r"^(?=.*[A-Z])(?=.*\d)(?!.*\s).{8,20}$"},
    ),
    Case("unanchored pattern", {"type": "string", "pattern": "ab+c", "maxLength": 30}),
    Case("long strings", {"type": "array", "items": {"type": "string", "minLength": 20}}),
    Case("const document", {"const": {"a": [1, 2.5, None, {"b": 'c"d'}], "größe": True}}),
    Case(
        "recursive by #",
        {
            "type": "object",
            "properties": {
                "tag": {"enum": ["div", "p"]},
                "children": {"type": "array", "items": {"$ref": "#"}},
            },
            "required": ["tag"],
            "additionalProperties": False,
        },
    ),
    Case(
        "Json of any shape in a field",
        {"type": "object", "properties": {"data": {}}, "required": ["data"]},
    ),
    Case(
        "items of a list that differ",
        {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        refusal="uniqueItems",
    ),
    Case(
        "an array that contains something",
        {"type": "array", "contains": {"const": 1}},
        refusal="contains",
    ),
]

CASES = [*TYPES, *SCHEMAS]
