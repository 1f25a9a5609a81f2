"""The tests of validity fail where a part of the constraint is taken away."""

import numpy as np
import pytest

from agents.llm.structured import ConstraintError, Matcher, Vocabulary
from agents.llm.structured.follower import Text
from tests.llm.structured.decoding import decode
from tests.llm.structured.suite import CASES
from tests.llm.structured.test_validity import check, grammar_of
from tests.llm.structured.vocabularies import vocabulary

SOME = ("recursive tree", "nested models, bounded lists", "long strings", "tool arguments")


def survivors() -> int:
    """The random answers that are valid and within their budget, out of 80."""
    count = 0
    for case in (case for case in CASES if case.name in SOME):
        for seed in range(20):
            try:
                answer = decode(
                    grammar_of(case), vocabulary("llama"), spare_tokens=seed // 4, seed=seed
                )
                check(case, answer.text)
                count += 1
            except (ConstraintError, AssertionError, ValueError):
                pass
    return count


def test_without_a_mutant_all_survive() -> None:
    assert survivors() == 80


def test_without_the_budget_answers_are_not_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Matcher, "_keep_within", lambda self, found, left: None)

    assert survivors() < 60


def test_with_a_budget_that_is_one_too_large_answers_are_not_finished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = Matcher._keep_within
    monkeypatch.setattr(
        Matcher, "_keep_within", lambda self, found, left: kept(self, found, left + 1)
    )

    assert survivors() < 80


def test_where_text_is_thought_to_cost_nothing_answers_are_not_finished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Text, "within", lambda self, left: self.tokens.lengths > 0)

    assert survivors() < 80


def test_without_the_grammar_answers_are_not_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    def anything(self: Matcher) -> np.ndarray:
        return np.array([bool(token) for token in self._vocabulary.tokens])

    monkeypatch.setattr(Matcher, "allowed", anything)

    assert survivors() < 20


def test_with_costs_that_are_too_low_answers_are_not_finished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    costs = Vocabulary.costs
    monkeypatch.setattr(
        Vocabulary,
        "costs",
        lambda self, text: tuple(min(cost, 1) for cost in costs(self, text)),
    )
    for case in (case for case in CASES if case.name in SOME):
        grammar_of(case)._compiled.clear()
    try:
        assert survivors() < 60
    finally:
        for case in (case for case in CASES if case.name in SOME):
            grammar_of(case)._compiled.clear()
