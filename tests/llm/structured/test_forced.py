"""Where only one text is possible, the matcher says its tokens, spelt as the tokenizer does."""

import pytest
from pydantic import BaseModel

from agents.llm.structured import (
    ConstraintError,
    Matcher,
    Vocabulary,
    grammar_of_choice,
    grammar_of_type,
)
from tests.llm.structured.decoding import decode
from tests.llm.structured.vocabularies import KINDS, tokenizer, vocabulary


class Weather(BaseModel):
    location: str
    is_sunny: bool
    temperature_celsius: int


def take_forced(matcher: Matcher) -> tuple[int, ...]:
    taken: tuple[int, ...] = ()
    while forced := matcher.forced():
        taken += forced
        for token_id in forced:
            matcher.accept(token_id)
    return taken


def test_the_beginning_of_an_object_is_forced() -> None:
    matcher = grammar_of_type(Weather).compile(vocabulary("byte-level")).matcher(100)

    take_forced(matcher)

    assert matcher.text == '{"location":'  # the next token may hold the space and the quote


@pytest.mark.parametrize("kind", ["byte-level", "llama", "unigram"])
def test_forced_tokens_are_those_of_the_tokenizer_s_own_spelling(kind: str) -> None:
    text = '{"name": "get_weather", "arguments": {"location": "Paris"}}'
    matcher = grammar_of_choice([text]).compile(vocabulary(kind)).matcher(100)
    encoded = tokenizer(kind)(f"\n{text}", add_special_tokens=False).input_ids

    forced = take_forced(matcher)

    assert matcher.text == text
    assert list(forced) == encoded[-len(forced) :]
    assert matcher.is_finished


def test_a_token_that_could_reach_beyond_the_forced_text_is_left_to_the_model() -> None:
    """Else the model would see a spelling that no tokenizer makes."""
    made = Vocabulary([*(bytes([i]) for i in range(256)), b"yes", b"yesterday"], [])

    assert grammar_of_choice(["yes", "yesterday"]).compile(made).matcher(9).forced() == ()
    assert take_forced(grammar_of_choice(["yes", "yes!"]).compile(made).matcher(9)) == (256,)


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_part_of_an_object_needs_no_model(kind: str) -> None:
    answer = decode(grammar_of_type(Weather), vocabulary(kind), spare_tokens=10)

    assert answer.forced >= len(answer.token_ids) // 3


def test_forced_tokens_never_break_the_budget() -> None:
    """The tokenizer's own spelling may be longer than the shortest one."""
    for kind in KINDS:
        for spare_tokens in range(4):
            for seed in range(5):
                decode(
                    grammar_of_type(Weather),
                    vocabulary(kind),
                    spare_tokens=spare_tokens,
                    seed=seed,
                )


def test_nothing_is_forced_once_the_answer_is_complete() -> None:
    matcher = grammar_of_choice(["yes"]).compile(vocabulary("llama")).matcher(5)
    take_forced(matcher)

    assert matcher.is_finished
    assert matcher.forced() == ()


def test_a_token_that_is_not_allowed_is_refused_and_changes_nothing() -> None:
    matcher = grammar_of_choice(["yes", "no"]).compile(vocabulary("byte-level")).matcher(5)
    wrong = tokenizer("byte-level")("!").input_ids[0]

    with pytest.raises(ConstraintError, match="may not follow"):
        matcher.accept(wrong)

    assert matcher.text == ""
    assert matcher.allowed().any()
