"""However an output is cut: the same parts, little held back, work in proportion."""

import gc
import itertools
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.llm.parsing import OutputParser, Part, Reclassified, Text, Thinking, collect, parse
from agents.llm.parsing.parts import merged
from agents.llm.parsing.source import Reading, Source

FRAGMENTS = [
    *("<think>", "</think>", "<THINKING >", "</ thinking>", "<reasoning id='1'>", "</reasoning>"),
    *("<think/>", "<thin", "<", ">", "<<think>", "</", "<b>", "`", "``", "```", "````", "~~~"),
    *("```json\n", "```python\n", "\n```\n", "\n```", "'<think>'", '"</think>"', "`</think>`"),
    *('{"tool_calls": [', '{"name": "f", "arguments": {"a": 1}}', "]}", "{", "}", "[", "]", ", "),
    *('{"tool_calls": [{"name": "g", "arguments": "{\\"b\\": [1]}"}]}', '{"role": ', '"x"', ":"),
    *("TOOL_CALL: ", "f(a=1, b='x, y')", "f(", "q=a b, c", ")", "g(x=h(1), y=None)", "TOOL_", "T"),
    *("<tool_call>", "</tool_call>", "<function=f>", "</function>", "<parameter=a>", "1\n"),
    *("</parameter>", "[TOOL_CALLS]", "f[ARGS]", "<|python_tag|>", ";", "f.call(a=1)"),
    *('{"data": [', '{"x": "', '[{"name": "g", "args": {}}]', "<tool_calls>", "</tool_calls>"),
    *("<|tool_call_start|>", "[f(a=1)]", "<|tool_call_end|>", '"', "\\", "\\u00e9", "\\ud83d"),
    *(" ", "\n", "\n\n", "\t", "word", "é今🎉", "'''", '"""', "\u2028"),
]
OUTPUT = st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join)
TOOLS = {"f": {"properties": {"q": {"type": "string"}}}, "g": {}}


def parts_of(pieces: list[str], *, is_thinking: bool, max_held: int) -> list[Part]:
    parser = OutputParser(is_thinking=is_thinking, tools=TOOLS, max_held=max_held)
    parts = [part for piece in pieces for part in parser.push(piece)]
    return parts + parser.finish()


@settings(max_examples=250, deadline=None)
@given(OUTPUT, st.booleans(), st.sampled_from([1, 5, 40, 10_000]), st.data())
def test_any_cut_gives_the_same_parts(
    output: str, is_thinking: bool, max_held: int, data: st.DataObject
) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(output)), max_size=6).map(sorted))
    bounds = [0, *cuts, len(output)]
    some = [output[a:b] for a, b in itertools.pairwise(bounds)]

    whole = merged(parts_of([output], is_thinking=is_thinking, max_held=max_held))
    assert merged(parts_of(some, is_thinking=is_thinking, max_held=max_held)) == whole
    assert merged(parts_of(list(output), is_thinking=is_thinking, max_held=max_held)) == whole


def test_the_check_of_cuts_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a parser that does not wait for the rest of an opening."""

    def impatient(source: Source, literals: Sequence[str]) -> Reading[str]:
        yield from ()
        return next((literal for literal in literals if source.here(99).startswith(literal)), "")

    monkeypatch.setattr(Source, "next_of", impatient)
    output = '<tool_call>{"name": "f"}'
    whole = parts_of([output], is_thinking=False, max_held=100)
    assert merged(parts_of(list(output), is_thinking=False, max_held=100)) != merged(whole)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 6000), st.integers(0, 6000), st.data())
def test_long_white_space_is_the_same_however_it_is_cut(
    before: int, after: int, data: st.DataObject
) -> None:
    middle = data.draw(st.sampled_from(["<think>x</think>", "<tool_call>{}", "", "y"]))
    output = "a" + " " * before + middle + "\n" * after + data.draw(st.sampled_from(["", "b"]))
    cut = data.draw(st.integers(0, len(output)))

    whole = merged(parts_of([output], is_thinking=False, max_held=100))
    assert merged(parts_of([output[:cut], output[cut:]], is_thinking=False, max_held=100)) == whole
    assert merged(parts_of(list(output), is_thinking=False, max_held=100)) == whole


@given(st.text(st.characters(exclude_characters="<`~{[T"), max_size=80))
def test_what_is_only_text_comes_out_as_it_is(output: str) -> None:
    assert parse(output).text == output


@settings(deadline=None)
@given(OUTPUT)
def test_no_character_of_a_broken_call_is_lost(output: str) -> None:
    """With nothing taken out, all of it is text, white space too."""
    parsed = collect(parts_of([output], is_thinking=False, max_held=10_000))

    if not parsed.tool_calls and not parsed.thinking and "think" not in output.lower():
        assert parsed.text == output or "reasoning" in output


HOSTILE = {
    "open objects": '{"tool_calls":',
    "open lists": "[TOOL_CALLS][[[",
    "half tags": "<think a='",
    "open tags": "<think>",
    "tags": "<think>a</think>",
    "nested tags": "<think><think></think>",
    "closing tags": "</think>",
    "backticks": "`",
    "fences": "```json\n",
    "fenced calls": '```json\n{"tool_calls": []}\n',
    "quotes": '{"tool_calls": "\\"',
    "bare arguments": "TOOL_CALL: f(a=((",
    "many arguments": "a=1, ",
    "calls": '<tool_call>{"name":"f"}',
    "parameters": "<function=f><parameter=a>x",
    "white space": " ",
    "space and tags": " \n<think>\n ",
    "angles": "<",
    "data": '{"a":',
    "lists of data": '[{"a":[',
    "texts of data": '{"a":"',
    "lists of calls": '[{"name":"f","args":{}},',
    "digits": '{"name": 1',
}


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("piece_chars", [7, 10_000_000])
def test_work_grows_with_the_output_and_no_faster(unit: str, piece_chars: int) -> None:
    """Four times the text is 4 times the work; 16 times if anything is done again and again.

    Other processes may stretch a measurement, so it may be repeated.
    """

    def seconds(chars: int) -> float:
        output = ("TOOL_CALL: f(" if unit == "a=1, " else "") + unit * (chars // len(unit))
        pieces = [output[at : at + piece_chars] for at in range(0, len(output), piece_chars)]
        gc.disable()  # it would look through all that other tests have left, too
        try:
            start = time.thread_time()
            parts_of(pieces, is_thinking=False, max_held=10_000_000)
            return time.thread_time() - start
        finally:
            gc.enable()

    assert any(seconds(40_000) < 9 * max(seconds(10_000), 0.01) for _ in range(3))


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE)
def test_no_more_is_held_back_than_allowed(unit: str) -> None:
    parser = OutputParser(max_held=1000)
    given = taken = 0
    most = 0
    for _ in range(30_000 // len(unit)):
        given += len(unit)
        for part in parser.push(unit):
            taken += len(part.text) if isinstance(part, Text | Thinking) else 0
            if isinstance(part, Reclassified):
                taken = given
        source = parser._source
        most = max(most, source._held_chars + len(source._text) + len(parser._text._space))
    assert most < 6500
