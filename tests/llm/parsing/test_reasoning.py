import pytest

from agents.llm.parsing import OutputParser, Reclassified, Text, Thinking, opens_reasoning, parse

# output, reasoning, answer
CASES = {
    "no tags": ("just text", "", "just text"),
    "nothing": ("", "", ""),
    "think": ("<think>a</think>b", "a", "b"),
    "thinking": ("<thinking>a</thinking>b", "a", "b"),
    "reasoning": ("<reasoning>a</reasoning>b", "a", "b"),
    "chain of thought": ("<chain_of_thought>a</chain_of_thought>b", "a", "b"),
    "any case": ("<THINK>a</Think>b", "a", "b"),
    "a word that begins like a tag": ("<thinker>a</thinker>b", "", "<thinker>a</thinker>b"),
    "white space around": ("\n<think>\n\na\n\n</think>\n\nb", "a", "b"),
    "white space in the tags": ("<think >a</ think\n>b", "a", "b"),
    "attributes": ("""<think time="3 s" kind='x' n=1>a</think>b""", "a", "b"),
    "an inequality is no tag": ("1 <think and b> 2", "", "1 <think and b> 2"),
    "empty": ("<think></think>b", "", "b"),
    "empty with white space": ("<think>\n\n</think>\n\nb", "", "b"),
    "an empty tag": ("<think/>b", "", "b"),
    "several": ("<think>a</think>b <reasoning>c</reasoning> d", "a\n\nc", "b d"),
    "several before the answer": ("<think>a</think>\n<think>b</think>\nc", "a\n\nb", "c"),
    "after text": ("Hello <think>a</think> you", "a", "Hello you"),
    "between words that touch": ("ab<think>x</think>cd", "x", "abcd"),
    "only reasoning": ("<think>a</think>", "a", ""),
    "nested": ("<think>a<think>b</think>c</think>d", "abc", "d"),
    "nested of another kind": ("<think>a<reasoning>b</reasoning>c</think>d", "abc", "d"),
    "nested and only the outer closed": ("<think>a<reasoning>b</think>c", "ab", "c"),
    "nested twice": ("<think>a<think>b<think>c</think>d</think>e</think>f", "abcde", "f"),
    "closed by another name": ("<think>a</thinking>b", "a", "b"),
    "unterminated": ("<think>a", "a", ""),
    "unterminated after text": ("a <think>b", "b", "a"),
    "half a tag at the end": ("a <thin", "", "a <thin"),
    "half a closing tag at the end": ("<think>a</thi", "a</thi", ""),
    "pre-opened": ("a</think>b", "a", "b"),
    "pre-opened, with white space": ("\na\n</think>\n\nb", "a", "b"),
    "pre-opened and empty": ("</think>b", "", "b"),
    "pre-opened, with code in it": ("a\n```\nx\n```\n</think>b", "a\n```\nx\n```", "b"),
    "pre-opened, then another": ("a</think><think>b</think>c", "a\n\nb", "c"),
    "quoted in inline code": ("Use `<think>` and `</think>`.", "", "Use `<think>` and `</think>`."),
    "a whole quoted": ("`<think>draft</think>` is one", "", "`<think>draft</think>` is one"),
    "quoted in two backticks": ("``<think>`` x", "", "``<think>`` x"),
    "quoted in quotation marks": ('Say "<think>" now', "", 'Say "<think>" now'),
    "after a quotation mark": ('"Hi"<think>a</think>b', "a", '"Hi"b'),
    "two after a space": ("a <think>x</think><think>y</think>b", "x\n\ny", "a b"),
    "much white space after": ("<think>a</think>" + " " * 5000 + "b", "a", "b"),
    "after an empty block": ("```\n```\n<think>a</think>b", "a", "```\n```\nb"),
    "a tag that never ends": ("<think a='" + "x" * 300, "", "<think a='" + "x" * 300),
    "quoted in a block": (
        "```xml\n<think>a</think>\n```\nb",
        "",
        "```xml\n<think>a</think>\n```\nb",
    ),
    "quoted in a block of tildes": ("~~~\n<think>\n~~~\nb", "", "~~~\n<think>\n~~~\nb"),
    "in a block in a block": ("````\n```\n<think>\n````\nb", "", "````\n```\n<think>\n````\nb"),
    "after a block": ("```\nx\n```\n<think>a</think>b", "a", "```\nx\n```\nb"),
    "after code without an end": ("it's a ` here\n<think>a</think>b", "a", "it's a ` here\nb"),
    "in a block of tildes that names a backtick": (
        "~~~a`b\n<think>\n~~~\nc",
        "",
        "~~~a`b\n<think>\n~~~\nc",
    ),
    "after three tildes twice in a line": (
        "~~~x~~~ <think>\n~~~\nb",
        "",
        "~~~x~~~ <think>\n~~~\nb",
    ),
    "after three backticks in a line": ("```x``` <think>a</think>b", "a", "```x``` b"),
    "quoted in the reasoning": (
        "<think>write `</think>` here</think>b",
        "write `</think>` here",
        "b",
    ),
    "named in the reasoning": ("<think>a <think> tag</think>\nb", "a  tag", "b"),
    "both named in the reasoning": ("<think>a <think> and </think>.</think>b", "a  and .", "b"),
    "code without an end in the reasoning": ("<think>```\nx</think>b", "```\nx", "b"),
    "the end before the beginning": ("<think></think>a</think>b", "a", "b"),
    "the end again": ("<think>a</think>b</think>c", "a", "b</think>c"),
    "other markup": ("<b>x</b> <thi>", "", "<b>x</b> <thi>"),
    "a tag begun twice": ("<<think>a</think>b", "a", "<b"),
    "a comparison": ("a < think > b", "", "a < think > b"),
}


@pytest.mark.parametrize(("output", "thinking", "text"), CASES.values(), ids=CASES)
def test_reasoning_and_answer(output: str, thinking: str, text: str) -> None:
    parsed = parse(output)

    assert (parsed.thinking, parsed.text) == (thinking, text)
    assert parsed.tool_calls == ()


OPENED = {
    "closed": ("a</think>b", "a", "b"),
    "repeated by the model": ("<think>\na</think>b", "a", "b"),
    "repeated by the model after a line": ("\n<think>a</think>b", "a", "b"),
    "nested": ("a<think>b</think>c</think>d", "abc", "d"),
    "named": ("a <think> tag</think>b", "a  tag", "b"),
    "never closed": ("a", "a", ""),
    "with another name": ("a</reasoning>b", "a", "b"),
    "closed at once": ("\n</think>\nb", "", "b"),
    "with a block that never ends": ("```\na</think>b", "```\na", "b"),
}


@pytest.mark.parametrize(("output", "thinking", "text"), OPENED.values(), ids=OPENED)
def test_reasoning_that_the_prompt_has_opened(output: str, thinking: str, text: str) -> None:
    parser = OutputParser(is_thinking=True)
    parts = [*parser.push(output), *parser.finish()]

    assert Reclassified() not in parts
    parsed = parse(output, is_thinking=True)
    assert (parsed.thinking, parsed.text) == (thinking, text)


@pytest.mark.parametrize(
    ("prompt", "is_open"),
    [
        ("<|assistant|><think>\n", True),
        ("<|assistant|><Thinking>", True),
        ("<|assistant|><think>\n\n</think>\n\n", False),
        ("<|assistant|>", False),
        ("Say <think> twice\n<|assistant|>\n", False),
        ("", False),
        ("<think", False),
        ("<think>So far", False),
        ("<think/>", False),
    ],
)
def test_a_prompt_tells_whether_it_opens_reasoning(prompt: str, is_open: bool) -> None:
    assert opens_reasoning(prompt) == is_open


def test_an_end_before_the_reasoning_leaks_none_of_it() -> None:
    parsed = parse("\n</think>planning</think>answer", is_thinking=True)

    assert (parsed.thinking, parsed.text, parsed.problems) == ("planning", "answer", ())


def test_what_is_certain_is_given_at_once() -> None:
    parser = OutputParser()

    assert parser.push("Hello") == [Text("Hello")]
    assert parser.push(" you <") == [Text(" you")]
    assert parser.push("b") == [Text(" <b")]
    assert parser.push(" <thi") == []
    assert parser.push("nk>why") == [Thinking("why")]
    assert parser.push(" so</thin") == [Thinking(" so")]
    assert parser.push("k>\n") == []
    assert parser.push("yes") == [Text("\nyes")]
    assert parser.push("\n") == []
    assert parser.finish() == [Text("\n")]


def test_an_answer_after_a_repeated_tag_is_given_at_once() -> None:
    parser = OutputParser(is_thinking=True)

    assert parser.push("<think>a</think>b") == [Thinking("a"), Text("b")]


def test_an_answer_after_a_tag_that_was_a_word_is_given_at_the_end() -> None:
    parser = OutputParser()

    assert parser.push("<think>a <think> tag</think>b") == [Thinking("a  tag")]
    assert parser.finish() == [Text("b")]


def test_reasoning_that_is_nested_is_given_as_soon_as_that_is_certain() -> None:
    parser = OutputParser(max_held=3)

    assert parser.push("<think>a<think>b</think>c") == [Thinking("ab")]
    assert parser.push("</think>d") == [Thinking("c"), Text("d")]
    longer = OutputParser(max_held=3)
    assert longer.push("<think>a<think>b</think>cdefg") == [Thinking("ab"), Text("cdefg")]


def test_a_tag_that_never_ends_is_not_waited_for() -> None:
    output = "<think a='" + "x" * 300

    assert OutputParser().push(output) == [Text(output)]


def test_text_that_turns_out_to_be_reasoning_is_reclassified() -> None:
    parser = OutputParser()

    assert parser.push("I could TOOL_CALL: f(a=1) but")[0] == Text("I could")
    assert parser.push(" no</think>Answer") == [Text(" no"), Reclassified(), Text("Answer")]
    assert parse("I could TOOL_CALL: f(a=1) but no</think>Answer").tool_calls == ()


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("<think>a", "the output ends inside the reasoning"),
        ("<think>a</think>b</think>", "</think> ends reasoning that never began"),
    ],
)
def test_a_tag_without_its_other_is_told(output: str, told: str) -> None:
    (problem,) = parse(output).problems

    assert problem.message == told
    assert not problem.is_call


def test_other_names_may_be_given() -> None:
    assert parse("<Thought>a</thought>b", tags=["thought"]).thinking == "a"
    assert parse("<think>a</think>b", tags=["thought"]).text == "<think>a</think>b"
