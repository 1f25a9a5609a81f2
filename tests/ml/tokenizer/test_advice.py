"""Which tokenizer arithmetic recommends, and why."""

from pathlib import Path
from random import Random

import pytest

from agents.ml.errors import TokenizerError
from agents.ml.tokenizer.advice import SAMPLE_BYTES, advise, corpus_facts, sizes
from agents.ml.tokenizer.config import TokenizerConfig
from agents.ml.tokenizer.training import train_tokenizer

SPECIAL = 5


def prose(words: int, different: int) -> str:
    random = Random(0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    known = ["".join(random.choices(letters, k=random.randint(2, 9))) for _ in range(different)]
    weights = [1 / rank for rank in range(1, different + 1)]  # as in languages
    return " ".join(random.choices(known, weights, k=words))


def genome(letters: int) -> str:
    return "".join(Random(0).choices("ACGT", k=letters))


def written(folder: Path, text: str) -> Path:
    file = folder / "corpus.txt"
    file.write_text(text)
    return file


def test_facts_are_counted(tmp_path: Path) -> None:
    facts = corpus_facts([written(tmp_path, "low lower low\nhöchst")])

    assert (facts.size_bytes, facts.sample_bytes) == (21, 21)
    assert (facts.words, facts.distinct_words, facts.seen_once) == (4, 3, 2)
    assert facts.mean_word_chars == pytest.approx((3 + 5 + 3 + 6) / 4)
    assert facts.longest_word_chars == 6
    assert facts.characters == len(set("low lower low\nhöchst"))
    assert facts.diversity == 0.75
    assert facts.is_whole


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        (prose(20_000, 2_000), "BPE", "no text unknown"),
        (genome(100_000), "CharLevel", "no words"),
        ("a short text", "CharLevel", "too few"),
        (f"{prose(20_000, 2_000)} {genome(500)}", "BPE", "different"),
    ],
)
def test_the_type_follows_from_lengths_and_diversity(
    tmp_path: Path, text: str, kind: str, reason: str
) -> None:
    advice = advise(corpus_facts([written(tmp_path, text)]), SPECIAL)

    assert advice.type == kind
    assert reason in advice.reasons[0]


def test_more_text_and_more_different_words_allow_a_larger_vocabulary(tmp_path: Path) -> None:
    def size(words: int, different: int) -> int:
        facts = corpus_facts([written(tmp_path, prose(words, different))])
        return advise(facts, SPECIAL).vocab_size

    assert size(100_000, 5_000) < size(400_000, 5_000)
    assert size(400_000, 300) < size(400_000, 5_000)


@pytest.mark.parametrize("text", [prose(20_000, 2_000), genome(30_000), "äöüß " * 9_000, "a b"])
@pytest.mark.parametrize("kind", ["BPE", "WordPiece", "CharLevel", None])
def test_what_is_recommended_can_be_trained(tmp_path: Path, text: str, kind: str | None) -> None:
    file = written(tmp_path, text)
    facts = corpus_facts([file])
    advice = advise(facts, SPECIAL, kind)  # type: ignore[arg-type]

    for size in (advice.vocab_size, sizes(facts, SPECIAL)[0]):
        config = TokenizerConfig(type=advice.type, vocab_size=size, data_files=["corpus.txt"])
        tokenizer = train_tokenizer(config, root=tmp_path, report=lambda _: None)
        assert tokenizer.get_vocab_size() <= size


def test_a_sample_of_a_large_file_is_from_all_over_it_and_keeps_characters_whole(
    tmp_path: Path,
) -> None:
    half = "ä" * (2 * SAMPLE_BYTES)
    file = written(tmp_path, f"{half} {half.replace('ä', '漢')}")

    facts = corpus_facts([file])

    assert facts.sample_bytes <= SAMPLE_BYTES
    assert facts.characters == 2
    assert not facts.is_whole


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"", "empty"), (b" \n", "empty"), (b"abc \xff\xfe def " * 10, "UTF-8"), (None, "not exist")],
)
def test_a_file_that_is_no_corpus_is_named(
    tmp_path: Path, content: bytes | None, text: str
) -> None:
    file = tmp_path / "corpus.txt"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(TokenizerError, match=f"corpus.txt: .*{text}"):
        corpus_facts([file])
