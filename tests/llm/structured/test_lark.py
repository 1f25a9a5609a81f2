"""Grammars in Lark's notation are read as context-free grammars of characters."""

import ast
import json
import re

import pytest

from agents.llm.structured import (
    GrammarSyntaxError,
    SchemaError,
    UnsatisfiableError,
    UnsupportedKeywordError,
    grammar_of_lark,
)
from tests.llm.structured.decoding import TEMPERATURES, decode
from tests.llm.structured.vocabularies import KINDS, vocabulary

ARITHMETIC = r"""
// What a calculator takes.
start: sum
?sum: sum "+" product | sum "-" product -> minus
    | product
product: product "*" atom
       | atom
atom: NUMBER | "(" sum ")"
%import common.INT -> NUMBER
"""

LISTS = r"""
start: value
value: "[" [value ("," value)*] "]" | STRING | INT
STRING: "\"" /[^"\\]/~0..5 "\""
%import common (INT, WS_INLINE)
%ignore WS_INLINE
"""

QUERY = r"""
start: "SELECT " COLUMN ("," COLUMN){0,2} " FROM " ("a".."f")+ [" LIMIT " /[1-9][0-9]{0,2}/]
COLUMN: "name" | "age"i   # either
"""

# The shorter of two texts may be followed by what the longer one goes on with.
PREFIXES = 'start: ("a" | "abq" | "c") ["bQ"]'
GREEDY = "start: A B\nA: /a+/\nB: /ab/"


def evaluates(text: str) -> bool:
    tree = ast.parse(re.sub(r"\b0+(?=\d)", "", text), mode="eval")
    return isinstance(tree, ast.Expression)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("grammar", "is_valid"),
    [
        (ARITHMETIC, evaluates),
        (LISTS, lambda text: isinstance(ast.literal_eval(f"[{text}]".replace("0", "1")), list)),
        (PREFIXES, re.compile("(a|abq|c)(bQ)?").fullmatch),
        (GREEDY, re.compile("a+ab").fullmatch),
    ],
    ids=["arithmetic", "lists", "prefixes", "greedy"],
)
def test_every_answer_belongs_to_the_grammar(grammar: str, is_valid: object, kind: str) -> None:
    for spare_tokens in (0, 1, 5, 30):
        for temperature in TEMPERATURES:
            for seed in range(3):
                answer = decode(
                    grammar_of_lark(grammar),
                    vocabulary(kind),
                    spare_tokens=spare_tokens,
                    temperature=temperature,
                    seed=seed,
                )
                assert is_valid(answer.text), answer.text  # type: ignore[operator]


def test_repetitions_ranges_and_letters_of_either_case_are_read() -> None:
    pattern = re.compile(
        r"SELECT (name|[aA][gG][eE])(,(name|[aA][gG][eE])){0,2} FROM [a-f]+( LIMIT [1-9]\d{0,2})?"
    )
    for seed in range(30):
        answer = decode(grammar_of_lark(QUERY), vocabulary("llama"), seed=seed)
        assert pattern.fullmatch(answer.text)


def test_a_json_schema_may_stand_inside() -> None:
    schema = {
        "type": "object",
        "properties": {"x": {"type": "integer", "minimum": 3}, "y": {"$ref": "#"}},
        "required": ["x"],
    }
    grammar = grammar_of_lark(f'start: "<call>" %json {json.dumps(schema)} "</call>"')

    for seed in range(10):
        text = decode(grammar, vocabulary("byte-level"), seed=seed).text
        called = json.loads(text.removeprefix("<call>").removesuffix("</call>"))
        assert called["x"] >= 3


@pytest.mark.parametrize(
    ("grammar", "error", "named"),
    [
        ('x: "a"', GrammarSyntaxError, "start"),
        ("start: foo", GrammarSyntaxError, "foo"),
        ('start: "a', GrammarSyntaxError, "line 1"),
        ('start: "a"\nstart: "b"', GrammarSyntaxError, "twice"),
        ('start: ("a"', GrammarSyntaxError, "line 1"),
        ("start: /(/", GrammarSyntaxError, "no regular expression"),
        ("start: <|im_end|>", UnsupportedKeywordError, "special tokens"),
        ("start: @other", UnsupportedKeywordError, "other grammars"),
        ('start: "a"\n%declare X', UnsupportedKeywordError, "%declare"),
        ("start: X\n%import python.NAME -> X", UnsupportedKeywordError, "python.NAME"),
        ("start: /a/m", UnsupportedKeywordError, "flags"),
        ('start: a\na: b "x"\nb: a "y" | "z"', UnsupportedKeywordError, "begins with itself"),
        ('start[lazy]: "a"', UnsupportedKeywordError, "attributes"),
    ],
)
def test_what_is_not_read_is_refused(grammar: str, error: type[Exception], named: str) -> None:
    with pytest.raises(error, match=re.escape(named)):
        grammar_of_lark(grammar)


def test_a_grammar_that_never_ends_is_refused() -> None:
    with pytest.raises(UnsatisfiableError):
        grammar_of_lark('start: "a" start').compile(vocabulary("llama"))


def test_half_a_character_in_a_grammar_is_refused() -> None:
    with pytest.raises(SchemaError, match="no text"):
        grammar_of_lark('start: "\ud800"')


def test_a_letter_that_is_two_in_another_case_has_only_its_own() -> None:
    grammar = grammar_of_lark('start: "ﬁ"i')

    assert grammar.describes("ﬁ")
    assert not any(map(grammar.describes, ("F", "G", "I", "FI")))
