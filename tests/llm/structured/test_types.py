"""Types that people have whose schema, as pydantic writes it, says more or less than they read."""

import enum
from collections import Counter, OrderedDict
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from pydantic import AliasPath, BaseModel, Field, TypeAdapter, condecimal

from agents.llm.structured import (
    GrammarSyntaxError,
    ResultError,
    UnsupportedKeywordError,
    grammar_of_type,
)
from agents.llm.structured.sources import grammar_of_schema
from tests.llm.structured.decoding import TEMPERATURES, decode
from tests.llm.structured.vocabularies import KINDS, vocabulary


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    barks: bool


class Fish(BaseModel):
    kind: Literal["fish"] = "fish"
    friends: "list[Annotated[Cat | Fish, Field(discriminator='kind')]]" = []


class Named(BaseModel):
    kind: Literal["named"] = Field(default="named", alias="@kind")


class Numbered(BaseModel):
    kind: Literal["numbered"] = Field(default="numbered", alias="@kind")


class Measured(BaseModel):
    low: float = float("-inf")
    what: object = object()


class Pair(enum.Enum):
    FIRST = (1, 2)
    SECOND = "second"


class Level(enum.Enum):
    HIGH = 3


class Deep(BaseModel):
    name: str = Field(validation_alias=AliasPath("person", "names", 0))


TAGGED = Annotated[Cat | Fish, Field(discriminator="kind")]


@pytest.mark.parametrize(
    "type_",
    [
        TAGGED,
        Annotated[Cat | Dog, Field(discriminator="kind")],
        dict[str, TAGGED],
        Annotated[Named | Numbered, Field(discriminator="kind")],
        Measured,
        condecimal(max_digits=2, decimal_places=2),
        Annotated[float, Field(multiple_of=0.1)],
        OrderedDict[int, str],
        Counter[int],
        dict[int | str, bool],
    ],
    ids=str,
)
def test_each_answer_of_a_random_model_is_an_instance(type_: Any) -> None:
    grammar = grammar_of_type(type_)
    adapter: TypeAdapter[Any] = TypeAdapter(type_)
    for seed in range(24):
        answer = decode(
            grammar,
            vocabulary(KINDS[seed % len(KINDS)]),
            seed=seed,
            temperature=TEMPERATURES[seed % len(TEMPERATURES)],
        )

        assert grammar.parse(answer.text) == adapter.validate_json(answer.text)


def test_the_check_of_instances_can_fail() -> None:
    tagged = Annotated[Cat | Dog, Field(discriminator="kind")]
    as_pydantic_says = grammar_of_schema(TypeAdapter(tagged).json_schema())
    texts = [decode(as_pydantic_says, vocabulary("llama"), seed=seed).text for seed in range(24)]

    with pytest.raises(ResultError, match="Unable to extract tag"):
        [grammar_of_type(tagged).parse(text) for text in texts]


@pytest.mark.parametrize(
    ("type_", "named"),
    [
        (Pair, r"\(1, 2\) cannot be read from JSON"),
        (Literal[b"x"], "b'x' cannot be read from JSON"),
        (Literal[Level.HIGH], "Level.HIGH: 3> cannot be read from JSON"),
        (Deep, "a schema has no path such as"),
        (type[int], "JSON has no classes"),
        (dict[tuple[int, int], int], "keys of the type tuple are no texts"),
        (dict[int | None, int], "keys of the type nullable are no texts"),
        (dict[Literal[1, 2], int], "keys of the type literal are no texts"),
        (OrderedDict[Decimal | bool, int], "keys of the type union are no texts"),
    ],
    ids=str,
)
def test_what_json_cannot_say_is_refused(type_: Any, named: str) -> None:
    with pytest.raises(UnsupportedKeywordError, match=named):
        grammar_of_type(type_)


def test_a_pattern_that_pydantic_cannot_read_is_refused() -> None:
    with pytest.raises(GrammarSyntaxError, match="look-around"):
        grammar_of_type(Annotated[str, Field(pattern="^(?=a)b")])
