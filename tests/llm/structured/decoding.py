"""A model that knows nothing: it chooses at random, and only the constraint keeps it valid."""

from dataclasses import dataclass

import numpy as np

from agents.llm.structured import Grammar, Matcher, Vocabulary

TEMPERATURES = (0.0, 0.7, 100.0)


@dataclass(frozen=True)
class Answer:
    text: str
    token_ids: tuple[int, ...]
    forced: int
    max_new_tokens: int


class RandomModel:
    """Random logits at each step; a temperature of 0 takes the likeliest, 100 is nearly uniform."""

    def __init__(self, vocabulary: Vocabulary, seed: int, temperature: float) -> None:
        self._random = np.random.default_rng(seed)
        self._size = vocabulary.size
        self._temperature = temperature

    def choose(self, allowed: np.ndarray) -> int:
        logits = np.where(allowed, self._random.normal(0, 3, self._size), -np.inf)
        if self._temperature == 0:
            return int(logits.argmax())
        noise = self._random.gumbel(size=self._size)
        return int((logits / self._temperature + noise).argmax())


def decode(
    grammar: Grammar,
    vocabulary: Vocabulary,
    *,
    spare_tokens: int = 20,
    seed: int = 0,
    temperature: float = 1.0,
) -> Answer:
    """Decode as an engine does, with so many tokens more than the shortest answer takes."""
    compiled = grammar.compile(vocabulary)
    budget = compiled.needed_tokens + spare_tokens
    matcher = compiled.matcher(budget)
    model = RandomModel(vocabulary, seed, temperature)
    token_ids, forced = run(matcher, model, vocabulary)
    assert len(token_ids) <= budget, "the budget is exceeded"
    return Answer(matcher.text, tuple(token_ids), forced, budget)


def run(matcher: Matcher, model: RandomModel, vocabulary: Vocabulary) -> tuple[list[int], int]:
    """The tokens of an answer, without an end token, and how many of them were forced."""
    token_ids: list[int] = []
    forced = 0
    while not matcher.is_finished:
        tokens = matcher.forced() or (model.choose(matcher.allowed()),)
        forced += len(tokens) if len(tokens) > 1 else 0
        for token_id in tokens:
            matcher.accept(token_id)
            if token_id not in vocabulary.end_token_ids:
                token_ids.append(token_id)
    return token_ids, forced
