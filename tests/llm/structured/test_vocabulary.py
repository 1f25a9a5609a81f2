"""What tokens spell, for each kind of tokenizer; special tokens are never part of an answer."""

import gc
import re
import weakref
from typing import ClassVar

import numpy as np
import pytest

from agents.llm.structured import Vocabulary, VocabularyError, grammar_of_regex, grammar_of_schema
from agents.llm.structured.notations import notation_of, special_markers
from agents.llm.structured.vocabulary import vocabulary_for, vocabulary_of
from tests.llm.structured.decoding import decode
from tests.llm.structured.vocabularies import END, KINDS, SPECIAL, tokenizer, vocabulary

TEXT = 'naïve café: {"a": [1, -2.5]} 今日は'


@pytest.mark.parametrize("kind", ["byte-level", "llama"])
def test_the_spelling_of_an_encoded_text_is_the_text(kind: str) -> None:
    ids = tokenizer(kind)(TEXT, add_special_tokens=False).input_ids

    assert vocabulary(kind).spelt_by(ids).decode().strip() == TEXT


def test_llama_s_bytes_and_spaces_are_what_they_stand_for() -> None:
    tokens = {i: token for token, i in tokenizer("llama").get_vocab().items()}
    spelt = {tokens[i]: token for i, token in enumerate(vocabulary("llama").tokens)}

    assert spelt["<0x0A>"] == b"\n"
    assert spelt["<0xF0>"] == b"\xf0"
    assert spelt["▁"] == b" "


@pytest.mark.parametrize("kind", KINDS)
def test_special_and_added_tokens_are_never_allowed_in_an_answer(kind: str) -> None:
    ids = tokenizer(kind).convert_tokens_to_ids(SPECIAL)
    matcher = grammar_of_regex(r"[\s\S]{1,20}").compile(vocabulary(kind)).matcher(20)

    allowed = matcher.allowed()

    assert allowed.any()
    assert not allowed[ids].any()


@pytest.mark.parametrize("kind", KINDS)
def test_the_end_token_is_allowed_exactly_where_an_answer_may_end(kind: str) -> None:
    end = tokenizer(kind).convert_tokens_to_ids(END)
    matcher = grammar_of_regex("ab?").compile(vocabulary(kind)).matcher(5)

    assert not matcher.allowed()[end]
    matcher.accept(vocabulary(kind).spelling(b"a")[0])
    assert matcher.allowed()[end]
    assert not matcher.is_finished
    matcher.accept(end)
    assert matcher.is_finished
    assert matcher.text == "a"


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_tokenizer_can_write_what_another_one_does(kind: str) -> None:
    """WordPiece has no spaces: its JSON is written without them."""
    schema = {"type": "array", "items": {"enum": ["red", 12, None]}, "minItems": 3, "maxItems": 3}
    matcher = grammar_of_schema(schema).compile(vocabulary(kind)).matcher(40)
    text = '["red", 12, null]' if kind != "wordpiece" else '["red",12,null]'

    for sign in text:
        matcher.accept(vocabulary(kind).spelling(sign.encode())[0])

    assert matcher.is_finished


def _of(*tokens: str | bytes) -> Vocabulary:
    spelt = [token if isinstance(token, bytes) else token.encode() for token in tokens]
    return Vocabulary([*spelt, b""], [len(spelt)])


PAIRS = _of("a", "x", "xä", "ä", "ö", "öü", "ü", "今", "仏")
HALVES = _of("a", b"x\xc3", b"\xc3\xa4\xc3", b"\xb6", b"\xa4", *"xäöü仏", b"\xe4\xbb", b"\x8a")


@pytest.mark.parametrize(
    "spells",
    [vocabulary("unigram"), vocabulary("wordpiece"), PAIRS, HALVES],
    ids=["unigram", "wordpiece", "pairs", "halves"],
)
@pytest.mark.parametrize("pattern", ["[äöü]{2}", "x?[äöü]+", "öö|öüß?|xü|仏|仏a"])
def test_characters_that_begin_alike_need_no_token_for_their_first_bytes(
    pattern: str, spells: Vocabulary
) -> None:
    """llguidance stopped in the middle of an answer, since it could not spell what was forced."""
    grammar = grammar_of_regex(pattern)

    texts = {decode(grammar, spells, spare_tokens=seed % 3, seed=seed).text for seed in range(12)}

    assert all(re.fullmatch(pattern, text) for text in texts)
    assert len(texts) > 1


def test_the_mask_covers_a_model_s_padded_vocabulary() -> None:
    """Models have more scores than their tokenizer has tokens; those are never allowed."""
    size = vocabulary("byte-level").size
    matcher = grammar_of_regex("a+").compile(vocabulary("byte-level")).matcher(9)
    words = np.full(size // 32 + 9, -1, dtype=np.int32)

    matcher.fill(words)

    bits = np.unpackbits(words.view(np.uint8), bitorder="little")
    assert bits[:size].astype(bool).tolist() == matcher.allowed().tolist()
    assert not bits[size:].any()


def test_very_long_tokens_are_never_allowed() -> None:
    """llguidance fails on tokens of more than about a thousand bytes."""
    tokens = [*(bytes([i]) for i in range(256)), b"a" * 5_000, b""]
    made = Vocabulary(tokens, [257])
    matcher = grammar_of_regex("a*").compile(made).matcher(10_000)

    allowed = matcher.allowed()

    assert allowed[ord("a")]
    assert not allowed[256]


def test_a_vocabulary_goes_with_its_model_and_takes_what_was_compiled_for_it_along() -> None:
    grammar = grammar_of_regex("kept [a-z]+")
    made = Vocabulary([bytes([i]) for i in range(256)], [])
    matcher = grammar.compile(made).matcher(20)
    matcher.accept(matcher.forced()[0])
    gone = weakref.ref(made)
    assert len(grammar._compiled) == 1

    del made, matcher
    gc.collect()

    assert gone() is None
    assert len(grammar._compiled) == 0


def test_a_vocabulary_without_text_is_refused() -> None:
    with pytest.raises(VocabularyError, match="no token"):
        Vocabulary([b"", b""], [1])


def test_answers_need_no_end_token() -> None:
    made = Vocabulary([bytes([i]) for i in range(256)], [])
    matcher = grammar_of_regex("[ab]{2}").compile(made).matcher(2)

    for _ in range(2):
        matcher.accept(int(np.flatnonzero(matcher.allowed())[0]))

    assert matcher.is_finished
    assert matcher.text == "aa"


class GgufTokens:
    """The tokens of a GGUF file: one of plain text, a special one, one that was added by hand."""

    token_bytes: ClassVar = [b"a", b"", b""]
    special_texts: ClassVar = {1: "[TOOL_CALLS]"}
    added_texts: ClassVar = {2: "<tool_call>"}
    chat_template = "[TOOL_CALLS]"

    def plain_encoder(self) -> None: ...


def test_markers_of_a_gguf_file_are_text_where_they_are_written() -> None:
    tokenizer = GgufTokens()
    shown = special_markers(tokenizer, notation_of(tokenizer))

    assert shown == ("[TOOL_CALLS]",)
    assert vocabulary_of(tokenizer, [], shown).tokens == [b"a", b"[TOOL_CALLS]", b"<tool_call>"]
    assert vocabulary_of(tokenizer, []).tokens == [b"a", b"", b"<tool_call>"]


def test_a_vocabulary_is_kept_for_the_tokens_that_end_its_answers() -> None:
    same = tokenizer("llama")
    first, again, other = (vocabulary_for(same, ends) for ends in ([5], (5,), [6]))

    assert first is again
    assert (first.end_token_ids, other.end_token_ids) == ({5}, {6})
