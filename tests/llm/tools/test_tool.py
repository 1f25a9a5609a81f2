import functools
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from pydantic import BaseModel, Field

from agents.llm.tools import Tool, ToolArgumentsError, ToolDefinitionError, as_tools


class Unit(Enum):
    C = "celsius"
    F = "fahrenheit"


class Node(BaseModel):
    children: list["Node"] = []


class Place(BaseModel):
    city: str
    country: str = "FR"


def weather(
    place: Place,
    unit: Unit = Unit.C,
    days: Annotated[int, Field(ge=1, le=7)] = 1,
    *,
    schema: str = "x",
) -> str:
    """Tell the weather.

    It is mostly right.

    Args:
        place: where
            it is asked for,
            for example: Paris.
        unit (Unit): of the temperature.
        days: how many.

    Returns:
        The weather.
    """
    return f"{place.city} {unit.value} {days} {schema}"


def search(query: str, limit: int = 10, tags: list[str] | None = None) -> str:
    """Search for information."""
    return f"{query!r} {limit!r} {tags!r}"


def test_a_function_tells_its_name_description_and_schema() -> None:
    assert Tool(search).schema == {
        "type": "function",
        "function": {
            "name": "search",
            "description": "Search for information.",
            "parameters": {
                "type": "object",
                "properties": {
                    "query": {"type": "string"},
                    "limit": {"type": "integer", "default": 10},
                    "tags": {
                        "anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}],
                        "default": None,
                    },
                },
                "required": ["query"],
                "additionalProperties": False,
            },
        },
    }


def test_arguments_are_described_by_the_docstring() -> None:
    tool = Tool(weather)
    properties = tool.parameters["properties"]

    assert tool.description == "Tell the weather.\n\nIt is mostly right."
    assert properties["place"]["description"] == "where it is asked for, for example: Paris."
    assert properties["unit"]["description"] == "of the temperature."
    assert properties["days"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 7,
        "default": 1,
        "description": "how many.",
    }
    assert "schema" in properties


def test_a_description_beside_the_type_is_kept() -> None:
    def run(a: Annotated[int, Field(description="how often")]) -> None: ...

    assert Tool(run).parameters["properties"]["a"]["description"] == "how often"


def test_a_default_that_is_no_json_is_not_told() -> None:
    def run(a: Any = object()) -> None: ...  # noqa: B008

    assert Tool(run).parameters["properties"] == {"a": {}}
    assert Tool(run).validate({}) == {}


def test_a_default_that_is_no_number_is_not_told() -> None:
    def run(low: float = float("-inf"), high: float = float("nan")) -> None: ...

    json.dumps(Tool(run).schema, allow_nan=False)
    assert Tool(run).parameters["properties"] == {
        "low": {"type": "number"},
        "high": {"type": "number"},
    }


def test_a_tag_is_asked_for_although_it_has_a_default() -> None:
    class Cat(BaseModel):
        kind: Literal["cat"] = "cat"

    class Dog(BaseModel):
        kind: Literal["dog"] = "dog"

    def run(pet: Annotated[Cat | Dog, Field(discriminator="kind")]) -> None: ...

    tool = Tool(run)
    with pytest.raises(ToolArgumentsError, match="Unable to extract tag"):
        tool.validate({"pet": {}})
    assert not jsonschema.Draft202012Validator(tool.parameters).is_valid({"pet": {}})
    jsonschema.validate({"pet": {"kind": "dog"}}, tool.parameters)


def test_a_number_of_too_many_digits_is_told_by_its_type() -> None:
    def run(word: Literal["a"]) -> None: ...

    with pytest.raises(ToolArgumentsError, match=r"'word': .* \(got int\)"):
        Tool(run).validate({"word": 10**5000})


def test_types_of_many_kinds_have_schemas() -> None:
    def run(
        when: datetime, where: Path, node: Node, sizes: dict[str, list[int]] | None = None
    ) -> None: ...

    given = {
        "when": "2024-01-01",
        "where": "a/b",
        "node": {"children": [{}]},
        "sizes": {"a": ["1"]},
    }
    assert Tool(run).validate(given) == {
        "when": datetime(2024, 1, 1),  # noqa: DTZ001
        "where": Path("a/b"),
        "node": Node(children=[Node()]),
        "sizes": {"a": [1]},
    }


def test_arguments_become_what_the_function_wants() -> None:
    arguments = Tool(weather).validate({"place": {"city": "Paris"}, "unit": "celsius", "days": "3"})

    assert arguments == {"place": Place(city="Paris"), "unit": Unit.C, "days": 3}
    assert weather(**arguments) == "Paris celsius 3 x"


def test_a_number_does_for_a_text_and_the_other_way_round() -> None:
    assert Tool(search).validate({"query": 10, "limit": "3"}) == {"query": "10", "limit": 3}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "search: 'query' is missing"),
        ({"query": "a", "limt": 3}, "search: 'limt' is no argument (did you mean 'limit'?)"),
        ({"query": "a", "xyz": 3}, "search: 'xyz' is no argument (known: query, limit, tags)"),
        ({"query": "a", "limit": "many"}, "search: 'limit': Input should be a valid integer"),
        ({"query": "a", "tags": ["b", None]}, "'tags.1': Input should be a valid string"),
        (
            {"limit": [], "x" * 20: 1},
            "'query' is missing; 'limit': Input should be a valid integer",
        ),
        ({"query": "a", "limit": "9" * 5000}, "..."),
        ({"query": "a", "x" * 100_000: 1}, "is no argument"),
        ({"query": "a"} | {f"x{n}": n for n in range(100)}, "; and 90 more"),
    ],
)
def test_arguments_that_do_not_fit_are_named(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ToolArgumentsError) as caught:
        Tool(search).validate(arguments)

    assert told in str(caught.value)
    assert len(str(caught.value)) < 1000


def takes_all(*args: int) -> None: ...
def takes_any(**options: int) -> None: ...
def takes_by_place(a: int, /) -> None: ...
def takes_field(a: int = Field(3)) -> None: ...
def takes_unknown(a: "NoSuchThing") -> None: ...  # type: ignore[name-defined] # noqa: F821


def yields(n: int) -> Iterator[int]:
    yield n


async def yields_later(n: int) -> AsyncIterator[int]:
    yield n


class Opaque:
    def open(self, n: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (takes_all, r"takes \*args: int, which a model cannot give by name"),
        (takes_any, r"takes \*\*options: int"),
        (takes_by_place, "takes a: int"),
        (takes_field, r"the default of a in takes_field is a Field; write a: Annotated"),
        (takes_unknown, "the signature of takes_unknown is unknown"),
        (lambda x: x, "'<lambda>' cannot be the name of a tool"),
        (functools.partial(search), "'' cannot be the name"),
        (yields, "yields yields; a tool returns what it has to tell"),
        (yields_later, "yields_later yields"),
        (Opaque.open, "open takes self; give the method of an object"),
    ],
)
def test_what_cannot_be_a_tool_is_refused(function: Any, told: str) -> None:
    with pytest.raises(ToolDefinitionError, match=told):
        Tool(function)


def test_a_type_without_a_schema_is_refused() -> None:
    def run(lock: Opaque) -> None: ...

    with pytest.raises(ToolDefinitionError, match="no schema says what run takes"):
        Tool(run)


def test_methods_objects_and_partials_are_tools() -> None:
    class Counter:
        def add(self, n: int) -> int:
            return n + 1

        def __call__(self, n: int) -> int:
            return n

    assert Tool(Counter().add).validate({"n": "1"}) == {"n": 1}
    assert Tool(Counter(), name="count").validate({"n": "1"}) == {"n": 1}
    limited = Tool(functools.partial(search, limit=3), name="few")
    assert limited.validate({"query": 1}) == {"query": "1"}


def test_what_a_class_is_made_of_has_types() -> None:
    @dataclass
    class Point:
        x: int

    class Person(BaseModel):
        age: int

    class Plain:
        def __init__(self, n: int) -> None:
            self.n = n

    for made in (Point, Person, Plain):
        (schema,) = Tool(made).parameters["properties"].values()
        assert schema == {"type": "integer"}


def test_a_decorated_function_keeps_its_signature() -> None:
    def decorated(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **named: Any) -> Any:
            return function(*args, **named)

        return wrapper

    assert Tool(decorated(search)).schema == Tool(search).schema


def test_awkward_names_of_arguments_are_fine() -> None:
    def run(model_config: str, json: int, copy: Literal["a", "b"], _x: int = 0) -> None: ...

    tool = Tool(run)
    assert list(tool.parameters["properties"]) == ["model_config", "json", "copy", "_x"]
    given = {"model_config": "m", "json": 1, "copy": "b", "_x": 2}
    assert tool.validate(given) == given


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ToolDefinitionError, match="two tools are called 'search'"):
        as_tools([search, Tool(search)])
    assert list(as_tools([search, Tool(search, name="other")])) == ["search", "other"]
    with pytest.raises(ToolDefinitionError, match="the timeout of search is 0 s"):
        Tool(search, timeout_s=0)
