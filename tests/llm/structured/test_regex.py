"""Regular expressions mean what Python's `re` says, for ASCII classes."""

import re

import pytest

from agents.llm.structured import GrammarSyntaxError, UnsupportedKeywordError, grammar_of_regex
from tests.llm.structured.decoding import decode
from tests.llm.structured.vocabularies import vocabulary

PATTERNS = [
    "abc",
    "a|bc|",
    "(ab)+",
    "a{2,4}b*",
    "[a-f0-9]{8}",
    r"\d{4}-\d\d-\d\d",
    r"\w+@\w+\.(com|org)",
    r"[^a-y]z",
    r"(?i)hello",
    r"(?s).{3}",
    r"(?:x|y(?:z)?)*?",
    r"^anchored$",
    r"(^a|b$)",
    r"(?=.*\d)(?=.*[a-z])(?!.*\s).{4,9}",
    r"\+?[1-9]\d{1,14}",
    "größe|今日は|🎉",
    r"[\u4e00-\u4fff]{2}",
    r"a\.b\*c\\d\"e",
    r"(GET|POST) /[a-z]{0,9} HTTP/1\.[01]",
    "(a?){30}",
    r"(0|[1-9]\d{0,2})(\.\d{1,2})?",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_answer_matches_the_whole_expression(pattern: str) -> None:
    grammar = grammar_of_regex(pattern)

    for seed in range(12):
        answer = decode(grammar, vocabulary("llama"), spare_tokens=seed, seed=seed)

        assert re.fullmatch(pattern, answer.text)
        assert grammar.parse(answer.text) == answer.text


@pytest.mark.parametrize(
    "pattern",
    [r"(a)\1", r"\bword\b", r"a(?=b)c", r"(?<=a)b", r"(?>a+)b", r"a++b", r"x(?i:y)", r"a^b"],
)
def test_what_is_not_regular_is_refused(pattern: str) -> None:
    with pytest.raises(UnsupportedKeywordError, match="which is not regular here"):
        grammar_of_regex(pattern)


@pytest.mark.parametrize("pattern", ["(", "[a", "*", r"\p{L}", "a{2,1}"])
def test_what_is_no_expression_is_refused(pattern: str) -> None:
    with pytest.raises(GrammarSyntaxError, match="no regular expression"):
        grammar_of_regex(pattern)


@pytest.mark.parametrize("character", "aiksßµĀдK")
def test_all_but_a_character_in_any_case_is_no_more_than_python_takes(character: str) -> None:
    matches = re.compile(f"(?i)[^{character}]").fullmatch
    for pattern in (f"(?i)[^{character}]", f"(?i)(?!{character}).*"):
        grammar = grammar_of_regex(pattern)
        taken = [chr(code) for code in range(0x100, 0x2200) if grammar.describes(chr(code))]

        assert taken
        assert all(map(matches, taken))
