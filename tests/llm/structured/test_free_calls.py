"""Text that may end in calls: whatever the model would rather say, a call is one and fits."""

import json
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import pytest

from agents.llm.parsing import Parsed, ToolCall, parse
from agents.llm.structured import ConstraintError, Grammar, Matcher, ResultError, SchemaError
from agents.llm.structured.free_calls import grammar_of_free_calls
from agents.llm.structured.notations import HERMES, JSON, NOTATIONS, can_think, notation_of
from agents.llm.structured.tools import Tool
from agents.llm.structured.vocabulary import vocabulary_of
from tests.llm.structured.decoding import TEMPERATURES, RandomModel, run
from tests.llm.structured.vocabularies import KINDS, tokenizer, vocabulary

WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city"],
    "additionalProperties": False,
}
PARAMETERS = {"weather": WEATHER, "now": {"additionalProperties": False}}
TOOLS = [Tool(name, schema) for name, schema in PARAMETERS.items()]
free = cache(partial(grammar_of_free_calls, tuple(TOOLS)))
CALL = '{"name": "weather", "arguments": {"city": "a <tool_call> b"}}'


def write(matcher: Matcher, text: str, kind: str = "byte-level") -> None:
    """Choose these signs, one after the other."""
    spelling = vocabulary(kind).spelling
    for data in (sign.encode() for sign in text):
        for part in [data] if spelling(data) else [bytes([byte]) for byte in data]:
            matcher.accept(spelling(part)[0])


def may_write(grammar: Grammar, text: str) -> bool:
    """Whether `text` may be an answer."""
    matcher = grammar.compile(vocabulary("byte-level")).matcher(1000)
    try:
        write(matcher, text)
    except ConstraintError:
        return False
    ends = [*vocabulary("byte-level").end_token_ids]
    return matcher.is_finished or bool(matcher.allowed()[ends].all())


def check(text: str, parsed: Parsed, *, is_thinking: bool = False) -> None:
    """Any reader sees the same calls, none of them broken, and their arguments fit."""
    by_any = parse(text, tools=PARAMETERS, is_thinking=is_thinking)
    assert by_any.tool_calls == parsed.tool_calls
    assert not any(problem.is_call for problem in by_any.problems)
    for call in parsed.tool_calls:
        Tool(call.name, PARAMETERS[call.name]).grammar.parse(json.dumps(call.arguments))


@pytest.mark.parametrize("is_tempted", [False, True])
@pytest.mark.parametrize(
    "seeds",
    [range(60), pytest.param(range(60, 200), marks=pytest.mark.long)],
    ids=["some", "others"],
)
def test_a_random_model_writes_text_or_valid_calls(seeds: range, *, is_tempted: bool) -> None:
    """In 200 runs each. One that is tempted begins to begin a call."""
    grammar = free(HERMES)
    compiled, calls = grammar.compile(vocabulary("byte-level")), 0
    for seed in seeds:
        matcher = compiled.matcher((12, 60, 90, 120)[seed % 4])
        if is_tempted:
            write(matcher, HERMES.opening[: seed % 12])
        model = RandomModel(vocabulary("byte-level"), seed, TEMPERATURES[seed % 3])
        run(matcher, model, vocabulary("byte-level"))
        parsed = grammar.parse(matcher.text)
        check(matcher.text, parsed)
        calls += len(parsed.tool_calls)
    assert bool(calls) == is_tempted


@pytest.mark.parametrize(
    ("notation", "kind"),
    [(n, k) for n in (HERMES, JSON) for k in KINDS] + [(n, "byte-level") for n in NOTATIONS[1:]],
)
def test_once_a_call_has_begun_it_is_valid_to_its_end(kind: str, notation: Any) -> None:
    grammar = free(notation)
    for seed in range(6):
        matcher = grammar.compile(vocabulary(kind)).matcher(90)
        write(matcher, "So:" + notation.opening, kind)
        run(matcher, RandomModel(vocabulary(kind), seed, TEMPERATURES[seed % 3]), vocabulary(kind))
        parsed = grammar.parse(matcher.text)
        assert parsed.text == "So:"
        assert parsed.tool_calls
        check(matcher.text, parsed)


LOOKS_LIKE_A_CALL = [
    "<tool_call>", "<tool_call>{}", f"<tool_call>{CALL}", "so <tool_call> is a tag",
    "`<tool_call>`", f"```\n<tool_call>\n{CALL}\n</tool_call>\n```",
    "<tool_calls>[]", "<function=weather>", "[TOOL_CALLS] []", "TOOL_CALL: weather()",
    "<|python_tag|>x", "<|tool_call_start|>[]", '{"tool_calls": []}', "{ 'tool_calls' : 1",
    CALL, f"[{CALL}]", '{"arguments": {}, "name": "now"}', '{"parameters" :',
    "<think>Hm.", "<THINK>Hm.", "a</think>b", "</ reasoning>", "<chain_of_thought>",
    f"<tool_call>\n{CALL}\n</tool_call> and more", f"<tool_call>\n{CALL}\n</tool_call>\n<tool",
]  # fmt: skip
IS_TEXT = [
    "", "Hi!", "a < b, <b>bold</b> <<tool", '{"name": "Ada", "age": 36}', "TOOL_CALL", "[1, {}]",
    "`{x}` <tool_cal", "tool_calls", '"arguments": 1', "naïve 今日は 🎉", "\tx\r\n", "[TOOL_[TOOL_",
]  # fmt: skip


@pytest.mark.parametrize("text", LOOKS_LIKE_A_CALL)
def test_what_looks_like_a_call_and_is_none_cannot_be_written(text: str) -> None:
    assert not may_write(free(HERMES), text)


@pytest.mark.parametrize("text", IS_TEXT)
def test_other_text_is_free(text: str) -> None:
    assert may_write(free(HERMES), text)
    assert may_write(free(JSON), text)


def test_several_calls_follow_each_other_unless_one_is_wanted() -> None:
    call = f"<tool_call>\n{CALL}\n</tool_call>"
    several = f"First both.\n{call}\n{call}"

    assert may_write(free(HERMES), several)
    assert free(HERMES).parse(several) == Parsed(
        text="First both.", tool_calls=(ToolCall("weather", {"city": "a <tool_call> b"}),) * 2
    )
    alone = free(HERMES, is_parallel=False)
    assert may_write(alone, f"First.\n{call}")
    assert not may_write(alone, several)


def test_in_reasoning_there_are_no_calls_and_behind_it_there_may_be() -> None:
    call = f"<tool_call>\n{CALL}\n</tool_call>"
    able = free(HERMES, can_think=True)
    inside = free(HERMES, is_thinking=True)

    for text in (f"<think>a < b</think>{call}", "<think>Hm", f"Hm.\n{call}", "", "<think></think>"):
        assert may_write(able, text), text
    for text in (f"Hm.</think>\n\n{call}", "Hm", "Hm.</reasoning>Yes.", ""):
        assert may_write(inside, text), text
    for text in (f"<think>{call}", f"<think>a</think>{call[:-1]}", "<think><think>", "a<think>"):
        assert not may_write(able, text), text
    for text in (call, "a<think>", "a</think>b</think>"):
        assert not may_write(inside, text), text
    for seed in range(20):
        matcher = inside.compile(vocabulary("byte-level")).matcher(60)
        write(matcher, "Hm.</think><tool_call>" if seed % 2 else "Hm")
        run(matcher, RandomModel(vocabulary("byte-level"), seed, 1.0), vocabulary("byte-level"))
        check(matcher.text, inside.parse(matcher.text), is_thinking=True)


def test_a_call_begins_only_where_there_are_tokens_for_its_end() -> None:
    grammar = free(HERMES)
    needed = 1
    while True:
        matcher = grammar.compile(vocabulary("byte-level")).matcher(needed)
        try:
            write(matcher, "<tool_call>")
            break
        except ConstraintError:
            needed += 1
    run(matcher, RandomModel(vocabulary("byte-level"), 1, 100.0), vocabulary("byte-level"))

    assert grammar.parse(matcher.text).tool_calls
    assert len("<tool_call>") < needed < 60


def test_the_notation_is_the_one_that_the_template_teaches() -> None:
    def model(template: Any) -> Any:
        return SimpleNamespace(chat_template=template)

    assert notation_of(model("{{ tools }} in <tool_call></tool_call>")) is HERMES
    assert notation_of(model({"default": "", "tool_use": "[TOOL_CALLS]"})).opening == "[TOOL_CALLS]"
    assert notation_of(model("{{ messages }}")) is notation_of(model(None)) is JSON
    assert can_think(model("<think>"))
    assert not can_think(model(None))


def test_a_token_for_a_marker_is_used() -> None:
    own = tokenizer.__wrapped__("byte-level")
    own.add_tokens(["<tool_call>", "<other>"])
    spelt = vocabulary_of(own).tokens

    assert b"<tool_call>" in spelt
    assert b"<other>" not in spelt
    own.add_special_tokens({"additional_special_tokens": ["</tool_call>"]})
    assert b"</tool_call>" not in vocabulary_of(own).tokens


@pytest.mark.parametrize("text", ["<tool_call>", f"<tool_call>{CALL[:-9]}", "<tool_call>{}"])
def test_a_call_that_was_cut_is_not_parsed(text: str) -> None:
    with pytest.raises(ResultError, match="cut"):
        free(HERMES).parse(text)


def test_tools_that_cannot_be_enforced_are_refused_by_name() -> None:
    with pytest.raises(SchemaError) as refused:
        grammar_of_free_calls([Tool("find", {"properties": {"a": {"contains": {}}}})], HERMES)

    assert refused.value.__notes__ == ["in the arguments of the tool 'find'"]
