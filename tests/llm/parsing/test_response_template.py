from typing import Any

import pytest

from agents.llm.parsing import Parsed, ToolCall, parse_answer
from tests.llm.tiny_phi import _tokenizer

TEMPLATE = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|assistant|>",
    "fields": {
        "thinking": {"open": "<scratch>", "close": "</scratch>", "content": "text"},
        "tool_calls": {"open": "<call>", "close": "</call>", "content": "json", "repeats": True},
        "content": {"content": "text"},
    },
}
PROMPT = "<|user|>How warm is it?<|assistant|>"
TOOL = {"type": "function", "function": {"name": "warmth", "parameters": {"type": "object"}}}


@pytest.fixture
def tokenizer() -> Any:
    tokenizer = _tokenizer(["some words"], 300)
    tokenizer.response_template = TEMPLATE
    return tokenizer


def test_the_tokenizers_own_template_reads_the_output(tokenizer: Any) -> None:
    output = '<scratch>\nhm\n</scratch>Look.<call>{"name": "warmth", "arguments": {"a": 1}}</call>'

    parsed = parse_answer(output, PROMPT, tokenizer, [TOOL])

    assert parsed == Parsed("hm", "Look.", (ToolCall("warmth", {"a": 1}),))


def test_the_prompt_may_have_begun_the_answer(tokenizer: Any) -> None:
    parsed = parse_answer("hm</scratch>Warm.", PROMPT + "<scratch>", tokenizer)

    assert (parsed.thinking, parsed.text) == ("hm", "Warm.")


def test_where_the_template_fails_the_output_is_read_all_the_same(tokenizer: Any) -> None:
    parsed = parse_answer("<think>hm</think>Warm.<call>{broken</call>", PROMPT, tokenizer)

    assert (parsed.thinking, parsed.text) == ("hm", "Warm.<call>{broken</call>")
    (problem,) = parsed.problems
    assert problem.message.startswith("the tokenizer's template for answers failed: ")


@pytest.mark.parametrize("has_tokenizer", [False, True])
def test_without_a_template_the_output_is_read_like_any_other(
    tokenizer: Any, has_tokenizer: bool
) -> None:
    tokenizer.response_template = None
    output = 'hm</think>{"name": "warmth", "arguments": {}}'

    parsed = parse_answer(output, "<think>", tokenizer if has_tokenizer else None, [TOOL])

    assert parsed == Parsed("hm", "", (ToolCall("warmth"),))
