"""The two readers of a grammar, llguidance and the follower, allow the same tokens."""

import numpy as np
import pytest

from agents.llm.structured import Grammar, Matcher, Vocabulary, grammar_of_lark
from agents.llm.structured.vocabulary import INFINITE
from tests.llm.structured.decoding import RandomModel
from tests.llm.structured.suite import CASES, Case
from tests.llm.structured.test_validity import grammar_of
from tests.llm.structured.vocabularies import vocabulary

STEPS = 25

ARITHMETIC = r"""
start: expr
expr: expr ("+" | "-") term | term
term: term "*" factor | factor
factor: NUMBER | NAME | "(" expr ")" | "-" factor
NAME: /[a-z_]\w*/
%import common.NUMBER
%ignore " "
"""


def disagreements(matcher: Matcher, vocabulary: Vocabulary) -> list[bytes]:
    """Tokens that only one of the two allows here; forced text has one spelling in a mask."""
    if matcher._masks.compute_ff_bytes():
        return []
    matcher._masks.unsafe_compute_mask_ptr(matcher._words.ctypes.data, matcher._words.nbytes)
    bits = np.unpackbits(matcher._words.view(np.uint8), bitorder="little")
    return [
        token
        for i, token in enumerate(vocabulary.tokens)
        if token
        and bool(bits[i]) != (matcher._follower.cost_after(matcher._state, i, token) < INFINITE)
    ]


def walk(grammar: Grammar, kind: str, seed: int) -> None:
    matcher = grammar.compile(vocabulary(kind)).matcher(10_000)
    model = RandomModel(vocabulary(kind), seed, temperature=1.0)
    for _ in range(STEPS):
        if matcher.is_finished:
            return
        assert not disagreements(matcher, vocabulary(kind)), f"after {matcher.text!r}"
        token_id = model.choose(matcher.allowed())
        if token_id in vocabulary(kind).end_token_ids:
            return
        matcher.accept(token_id)


@pytest.mark.parametrize("case", [c for c in CASES if c.refusal is None], ids=lambda c: c.name)
def test_both_allow_the_same_tokens_of_a_schema(case: Case) -> None:
    for seed in range(3):
        walk(grammar_of(case), "llama", seed)


def test_both_allow_the_same_tokens_of_a_recursive_grammar() -> None:
    for seed in range(10):
        walk(grammar_of_lark(ARITHMETIC), "byte-level", seed)
