"""Tool calls: names that exist, arguments that fit, whatever the model would rather say."""

from typing import Any

import pytest
from pydantic import BaseModel, Field

from agents.llm.structured import GrammarSyntaxError, ResultError, SchemaError
from agents.llm.structured.tools import Tool, ToolCall, grammar_of_tools
from tests.llm.structured.decoding import TEMPERATURES, decode
from tests.llm.structured.vocabularies import KINDS, vocabulary


class Search(BaseModel):
    query: str = Field(min_length=1, max_length=30)
    limit: int = Field(default=10, ge=1, le=50)


WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "location": {"type": "string"},
        "unit": {"enum": ["celsius", "fahrenheit"]},
    },
    "required": ["location"],
    "additionalProperties": False,
}

TOOLS = [
    Tool("search", Search),
    Tool("get_weather", WEATHER),
    Tool("get_weather_2", {}),
    Tool('say "hi"', {"properties": {"n": {"type": "integer"}}, "required": ["n"]}),
]


def fits(call: ToolCall) -> bool:
    if call.name == "search":
        return isinstance(call.arguments, Search)
    if call.name == "get_weather":
        return "location" in call.arguments and set(call.arguments) <= {"location", "unit"}
    return call.name in ("get_weather_2", 'say "hi"') and isinstance(call.arguments, dict)


@pytest.mark.parametrize("kind", ["byte-level", "llama"])
def test_a_required_call_is_always_one_of_the_tools(kind: str) -> None:
    grammar = grammar_of_tools(TOOLS)
    called = set()

    for spare_tokens in (0, 1, 5, 40):
        for temperature in TEMPERATURES:
            for seed in range(5):
                answer = decode(
                    grammar,
                    vocabulary(kind),
                    spare_tokens=spare_tokens,
                    temperature=temperature,
                    seed=seed,
                )
                call = grammar.parse(answer.text)
                assert isinstance(call, ToolCall)
                assert fits(call)
                called.add(call.name)

    assert called == {tool.name for tool in TOOLS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_given_tool_leaves_only_its_arguments_to_the_model(kind: str) -> None:
    grammar = grammar_of_tools(TOOLS[:3], "get_weather")
    matcher = grammar.compile(vocabulary(kind)).matcher(100)
    while forced := matcher.forced():
        for token_id in forced:
            matcher.accept(token_id)

    assert matcher.text.replace(" ", "").startswith('{"name":"get_weather","arguments":{"locat')
    for seed in range(10):
        call = grammar.parse(decode(grammar, vocabulary(kind), seed=seed).text)
        assert call.name == "get_weather"
        assert fits(call)


@pytest.mark.parametrize(
    ("tools", "choice", "named"),
    [
        ([], "required", "names"),
        ([Tool("", {})], "required", "names"),
        ([Tool("a", {}), Tool("a", {})], "required", "names"),
        ([Tool("a", {})], "b", "no tool 'b'"),
        ([Tool("a", {"type": "string"})], "a", "'a' are no object"),
    ],
)
def test_tools_that_cannot_be_told_apart_or_called_are_refused(
    tools: list[Tool], choice: str, named: str
) -> None:
    with pytest.raises(SchemaError, match=named):
        grammar_of_tools(tools, choice)


def test_a_refused_schema_says_whose_it_is() -> None:
    with pytest.raises(SchemaError) as refused:
        grammar_of_tools([Tool("find", {"properties": {"a": {"contains": {}}}})])

    assert refused.value.__notes__ == ["in the arguments of the tool 'find'"]
    assert not isinstance(refused.value, GrammarSyntaxError)


@pytest.mark.parametrize(
    "text", ["{", "[]", "null", '{"name": "other", "arguments": {}}', '{"name": "search"}']
)
def test_what_is_no_call_is_not_parsed(text: str) -> None:
    with pytest.raises(ResultError, match="search"):
        grammar_of_tools(TOOLS).parse(text)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
    ],
)
def test_a_tool_without_parameters_is_called_without_arguments(arguments: Any) -> None:
    grammar = grammar_of_tools([Tool("now", arguments)])
    for seed in range(20):
        answer = decode(
            grammar, vocabulary("byte-level"), spare_tokens=40, temperature=2.0, seed=seed
        )
        assert grammar.parse(answer.text) == ToolCall("now", {})


@pytest.mark.parametrize(
    "arguments",
    [
        {"type": "object"},
        {"type": "object", "properties": {}, "additionalProperties": {"type": "integer"}},
        {"properties": {}, "allOf": [{"properties": {"n": {"type": "null"}}, "required": ["n"]}]},
        {"properties": {}, "patternProperties": {"^n$": {"type": "null"}}, "minProperties": 1},
    ],
)
def test_a_tool_that_takes_what_it_does_not_name_may_get_it(arguments: Any) -> None:
    grammar = grammar_of_tools([Tool("note", arguments)])
    answers = [
        decode(grammar, vocabulary("byte-level"), spare_tokens=40, temperature=2.0, seed=seed)
        for seed in range(20)
    ]
    assert any(grammar.parse(answer.text).arguments for answer in answers)
