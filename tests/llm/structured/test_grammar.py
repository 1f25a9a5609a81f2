"""A grammar is read and compiled once, and followed by many at a time."""

import threading

import pytest
from pydantic import BaseModel, field_validator

from agents.llm.structured import (
    ResultError,
    grammar_of_choice,
    grammar_of_regex,
    grammar_of_schema,
    grammar_of_type,
)
from tests.llm.structured.decoding import RandomModel, decode, run
from tests.llm.structured.vocabularies import vocabulary


class Even(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def is_even(cls, number: int) -> int:
        if number % 2:
            raise ValueError("odd")
        return number


def test_the_same_structure_is_read_and_compiled_once() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}

    assert grammar_of_schema(schema) is grammar_of_schema(dict(schema))
    assert grammar_of_type(Even) is grammar_of_type(Even)
    assert grammar_of_regex("a+") is grammar_of_regex("a+")
    assert grammar_of_choice(["a", "b"]) is grammar_of_choice(["a", "b", "a"])
    grammar = grammar_of_type(Even)
    assert grammar.compile(vocabulary("llama")) is grammar.compile(vocabulary("llama"))
    assert grammar.compile(vocabulary("llama")) is not grammar.compile(vocabulary("unigram"))


def test_the_order_of_properties_is_part_of_a_structure() -> None:
    """Models that reason before they answer need the reasons to come first."""
    a, b = {"a": {"const": 1}}, {"b": {"const": 2}}
    required = ["a", "b"]
    one = grammar_of_schema({"type": "object", "properties": a | b, "required": required})
    other = grammar_of_schema({"type": "object", "properties": b | a, "required": required})

    assert decode(one, vocabulary("llama")).text == '{"a": 1, "b": 2}'
    assert decode(other, vocabulary("llama")).text == '{"b": 2, "a": 1}'


def test_threads_compile_and_follow_the_same_grammar() -> None:
    grammar = grammar_of_schema({"type": "array", "items": {"type": "string"}, "title": "threads"})
    failures = []

    def follow(seed: int) -> None:
        try:
            grammar.parse(decode(grammar, vocabulary("byte-level"), seed=seed).text)
        except Exception as error:  # noqa: BLE001  told below
            failures.append(error)

    threads = [threading.Thread(target=follow, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []


def test_matchers_of_one_grammar_do_not_disturb_each_other() -> None:
    compiled = grammar_of_type(list[int]).compile(vocabulary("llama"))
    first, second = compiled.matcher(30), compiled.matcher(30)

    run(first, RandomModel(vocabulary("llama"), 1, 1.0), vocabulary("llama"))

    assert first.is_finished
    assert second.text == ""
    assert not second.is_finished


def test_a_validator_written_in_python_is_told_by_a_typed_error() -> None:
    with pytest.raises(ResultError, match="odd") as refused:
        grammar_of_type(Even).parse('{"number": 3}')

    assert refused.value.text == '{"number": 3}'


@pytest.mark.parametrize("text", ["", "{", '{"number": "x"}', "[]"])
def test_a_text_that_is_no_instance_is_told_by_a_typed_error(text: str) -> None:
    with pytest.raises(ResultError):
        grammar_of_type(Even).parse(text)
    with pytest.raises(ResultError):
        grammar_of_schema(
            {
                "type": "object",
                "required": ["number"],
                "properties": {"number": {"type": "integer"}},
            }
        ).parse(text)


def test_an_answer_that_may_go_on_ends_when_its_budget_is_spent() -> None:
    compiled = grammar_of_regex("a+").compile(vocabulary("byte-level"))
    matcher = compiled.matcher(3)
    for _ in range(3):
        matcher.accept(vocabulary("byte-level").spelling(b"a")[0])

    assert matcher.left == 0
    assert matcher.is_finished
    assert matcher.text == "aaa"
