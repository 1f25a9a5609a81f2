"""Training on real text: what comes out, and that it is always the same."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from agents.ml.errors import TokenizerError
from agents.ml.tokenizer.config import TokenizerConfig
from agents.ml.tokenizer.training import train_tokenizer

TYPES = ["BPE", "WordPiece", "CharLevel"]
SHAKESPEARE = Path(__file__).parents[4] / "shared" / "data" / "tinyshakespeare.txt"


def train(corpus: Path, report: Any = lambda _: None, **settings: Any) -> Tokenizer:
    config = TokenizerConfig.parse({"data_files": [str(corpus)], **settings})
    return train_tokenizer(config, root=Path(), report=report)


@pytest.fixture(scope="module")
def bpe(sources: Path) -> Tokenizer:
    return train(sources, type="BPE", vocab_size=1500)


@pytest.fixture(scope="module")
def char_level(sources: Path) -> Tokenizer:
    return train(sources, type="CharLevel", vocab_size=2000)


@given(st.text())
def test_bpe_gives_back_any_text_exactly(bpe: Tokenizer, text: str) -> None:
    assert bpe.decode(bpe.encode(text).ids, skip_special_tokens=False) == text


@given(st.text(st.sampled_from("[UNK] [PAD]é今\n"), max_size=40))
def test_bpe_gives_back_texts_that_spell_special_tokens(bpe: Tokenizer, text: str) -> None:
    assert bpe.decode(bpe.encode(text).ids, skip_special_tokens=False) == text


@given(st.text(st.sampled_from("import os\n\t ():=[]'\r"), max_size=60))
def test_characters_come_back_when_they_are_known(char_level: Tokenizer, text: str) -> None:
    encoded = char_level.encode(text)
    unknown = char_level.token_to_id("[UNK]")

    known = [char for char in text if char_level.token_to_id(char) is not None]
    assert len(encoded.ids) == len(text)
    assert encoded.ids.count(unknown) == len(text) - len(known)
    if len(known) == len(text):
        assert char_level.decode(encoded.ids) == text


def test_bpe_learns_words_and_indentation_of_the_text(bpe: Tokenizer) -> None:
    assert bpe.get_vocab_size() == 1500
    assert "Ġself" in bpe.get_vocab()
    assert "ĊĠĠĠĠĠĠĠ" in bpe.get_vocab()


def test_wordpiece_splits_words_into_known_pieces(sources: Path) -> None:
    tokenizer = train(sources, type="WordPiece", vocab_size=1500)

    tokens = tokenizer.encode("import argparse 今").tokens
    assert tokens[0] == "import"
    assert tokens[-1] == "[UNK]"
    assert tokenizer.decode(tokenizer.encode("import self").ids) == "import self"


def test_wordpiece_knows_special_tokens_and_no_others(sources: Path) -> None:
    tokenizer = train(sources, type="WordPiece", vocab_size=1500)

    assert tokenizer.encode("a [MASK] ##b").tokens[1] == "[MASK]"
    assert "##b" not in tokenizer.encode("a ##b").tokens


@pytest.mark.parametrize("kind", TYPES)
def test_special_tokens_have_the_first_ids_in_order(sources: Path, kind: str) -> None:
    tokenizer = train(sources, type=kind, vocab_size=800, special_tokens=["[UNK]", "[EOS]"])

    assert [tokenizer.token_to_id(token) for token in ("[UNK]", "[EOS]")] == [0, 1]
    assert tokenizer.decode(tokenizer.encode("[EOS]").ids) == ""


@pytest.mark.parametrize("kind", TYPES)
def test_the_vocabulary_is_never_larger_than_asked(sources: Path, kind: str) -> None:
    assert train(sources, type=kind, vocab_size=700).get_vocab_size() <= 700


def test_training_is_the_same_in_every_process(sources: Path) -> None:
    """Hash maps are seeded per process, so one process alone would prove little."""
    settings = {"vocab_size": 900, "data_files": [str(sources)]}
    code = (
        "import sys, json; from pathlib import Path\n"
        "from agents.ml.tokenizer.config import TokenizerConfig\n"
        "from agents.ml.tokenizer.training import train_tokenizer\n"
        "for kind in sys.argv[2:]:\n"
        "    config = TokenizerConfig.parse({**json.loads(sys.argv[1]), 'type': kind})\n"
        "    t = train_tokenizer(config, root=Path(), report=lambda _: None)\n"
        "    print(json.dumps(t.to_str()))\n"
    )
    command = [sys.executable, "-c", code, json.dumps(settings), *TYPES]
    ours = [train(sources, type=kind, vocab_size=900).to_str() for kind in TYPES]
    for _ in range(2):
        theirs = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert [json.loads(line) for line in theirs.splitlines()] == ours


@pytest.mark.skipif(not SHAKESPEARE.exists(), reason="development machines only")
@pytest.mark.parametrize("kind", TYPES)
def test_shakespeare(kind: str) -> None:
    tokenizer = train(SHAKESPEARE, type=kind, vocab_size=5000)
    text = SHAKESPEARE.read_text(encoding="utf-8")[:20_000]

    encoded = tokenizer.encode(text)
    assert tokenizer.token_to_id("[UNK]") not in encoded.ids
    if kind == "WordPiece":  # blanks are not kept
        assert "".join(tokenizer.decode(encoded.ids).split()) == "".join(text.split())
    else:
        assert tokenizer.decode(encoded.ids) == text


def test_a_rare_character_is_unknown_when_the_least_frequency_says_so(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text("aaab")

    strict = train(tmp_path / "corpus.txt", type="CharLevel", min_frequency=2)
    default = train(tmp_path / "corpus.txt", type="CharLevel")

    assert strict.encode("ab").tokens == ["a", "[UNK]"]
    assert default.encode("ab").tokens == ["a", "b"]


def test_line_ends_are_learned_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_bytes(b"a\r\nb\r")

    tokenizer = train(tmp_path / "corpus.txt", type="CharLevel")

    assert tokenizer.encode("\r\n").tokens == ["\r", "\n"]


def test_progress_counts_up_to_the_size_of_the_corpus(sources: Path) -> None:
    reports: list[dict[str, Any]] = []
    train(sources, report=reports.append, vocab_size=800)

    reading = [r["done_bytes"] for r in reports if r["stage"] == "reading"]
    assert reading == sorted(reading)
    assert reading[-1] == sources.stat().st_size
    assert reports[-1] == {"stage": "training"}


@pytest.mark.parametrize("kind", TYPES)
def test_a_report_that_raises_ends_the_training(sources: Path, kind: str) -> None:
    class StopError(Exception):
        pass

    def stop(_: dict[str, Any]) -> None:
        raise StopError

    with pytest.raises(StopError):
        train(sources, report=stop, type=kind)


def config_of(**settings: Any) -> dict[str, Any]:
    return {"data_files": ["x.txt"], **settings}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "data_files: is required"),
        ("BPE", "config: expected a mapping"),
        ({}, "data_files: is required"),
        (config_of(data_files=[]), "data_files: .*at least 1"),
        (config_of(data_files="x.txt"), "data_files: .*list"),
        (config_of(data_files=[1]), "data_files.0: .*string"),
        (config_of(type="Unigram"), "type: .*'BPE', 'WordPiece' or 'CharLevel', got 'Unigram'"),
        (config_of(type=["BPE"]), "type: "),
        (config_of(vocabsize=10), "vocabsize: unknown key; did you mean 'vocab_size'"),
        (config_of(vocab_size=0), "vocab_size: .*greater than or equal to 1"),
        (config_of(vocab_size=True), "vocab_size: .*integer"),
        (config_of(vocab_size="100"), "vocab_size: .*integer"),
        (config_of(min_frequency=-1), "min_frequency"),
        (config_of(min_frequency=10**30), "min_frequency: .*less than or equal"),
        (config_of(vocab_size=10**12), "vocab_size: .*less than or equal"),
        (config_of(special_tokens=["[UNK]", "[UNK]"]), "special_tokens: .*twice"),
        (config_of(special_tokens=[""]), "special_tokens"),
        (config_of(special_tokens=["é"]), "special_tokens: .*ASCII"),
        (config_of(type="WordPiece", special_tokens=["[PAD]"]), r"add '\[UNK\]'"),
        (config_of(type="CharLevel", special_tokens=[]), r"add '\[UNK\]'"),
    ],
)
def test_a_wrong_configuration_is_refused_by_its_key(
    config: dict[str, Any] | None, message: str
) -> None:
    with pytest.raises(TokenizerError, match=message):
        TokenizerConfig.parse(config)


@pytest.mark.parametrize(
    ("kind", "size", "needed"), [("BPE", 260, 261), ("CharLevel", 5, 6), ("WordPiece", 20, None)]
)
def test_a_vocabulary_that_is_too_small_says_what_is_needed(
    sources: Path, kind: str, size: int, needed: int | None
) -> None:
    with pytest.raises(TokenizerError, match=f"{size} is too small.*at least {needed or ''}"):
        train(sources, type=kind, vocab_size=size)
    if needed:
        train(sources, type=kind, vocab_size=needed)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=r"gone\.txt: the data file does not exist"):
        train(tmp_path / "gone.txt")
    with pytest.raises(TokenizerError, match="is not a file"):
        train(tmp_path)


def test_a_name_that_is_too_long_is_one_of_no_file(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="the data file does not exist"):
        train(tmp_path / ("x" * 5000), vocab_size=300)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("text", ["", " \n\t\n"])
def test_an_empty_corpus_is_named(tmp_path: Path, kind: str, text: str) -> None:
    (tmp_path / "empty.txt").write_text(text)
    with pytest.raises(TokenizerError, match=r"empty\.txt: the corpus is empty"):
        train(tmp_path / "empty.txt", type=kind)


@pytest.mark.parametrize("kind", TYPES)
def test_bytes_that_are_no_text_are_found_with_their_place(tmp_path: Path, kind: str) -> None:
    (tmp_path / "bad.txt").write_bytes(b"fine\n" * 1000 + b"not \xff fine\n")
    with pytest.raises(TokenizerError, match=r"bad\.txt: not UTF-8 text: byte 0xff at offset 5004"):
        train(tmp_path / "bad.txt", type=kind)


@pytest.mark.parametrize("kind", ["BPE", "WordPiece"])
def test_one_word_of_a_megabyte_ends_soon(tmp_path: Path, kind: str) -> None:
    letters = random.Random(0).choices("abcdefgh", k=200_000)
    (tmp_path / "word.txt").write_text("".join(letters))

    tokenizer = train(tmp_path / "word.txt", type=kind, vocab_size=600, special_tokens=["[UNK]"])

    assert tokenizer.get_vocab_size() == 600
    assert tokenizer.encode("".join(letters)).ids


@pytest.mark.parametrize("length", [101, 600])
def test_a_long_word_of_known_characters_is_not_unknown(tmp_path: Path, length: int) -> None:
    (tmp_path / "dna.txt").write_text(f"{'acgt' * 200} {'tgca' * 30}\n" * 5)
    tokenizer = train(tmp_path / "dna.txt", type="WordPiece", vocab_size=60)
    word = ("acgt" * length)[:length]

    encoded = tokenizer.encode(word)

    assert "[UNK]" not in encoded.tokens
    assert "".join(token.removeprefix("##") for token in encoded.tokens) == word


@pytest.mark.parametrize("kind", TYPES)
def test_the_mark_before_a_text_is_none_of_its_characters(tmp_path: Path, kind: str) -> None:
    for name, mark in (("plain", ""), ("marked", "\ufeff")):
        (tmp_path / name).write_text(f"{mark}hello world, hello\n" * 1 + "hello world\n" * 9)
    plain, marked = (
        train(tmp_path / name, type=kind, vocab_size=300) for name in ("plain", "marked")
    )

    assert marked.to_str() == plain.to_str()
