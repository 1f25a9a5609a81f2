import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from agents.ml.data import load_dataset
from agents.ml.data.text import TokenBlocks
from agents.ml.errors import ConfigError, DatasetError, TokenizerError
from agents.ml.tokenizer.files import told_of_tokenizers

LINES = [f"line {i} says that {i} times {i} is {i * i}, déjà vu \U0001f600\n" for i in range(2000)]


@pytest.fixture(scope="module")
def tokenizer_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES, trainer)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    (tmp_path / "corpus.txt").write_text("".join(LINES))
    return tmp_path / "corpus.txt"


def text(corpus: Path, tokenizer_path: Path, **more: object) -> dict[str, object]:
    return {"data_path": str(corpus), "tokenizer_config": {"path": str(tokenizer_path)}, **more}


def test_targets_are_the_inputs_shifted_by_one(corpus: Path, tokenizer_path: Path) -> None:
    dataset = load_dataset("text", text(corpus, tokenizer_path, context_length=16))

    inputs, targets = dataset.split("train").batch(torch.arange(8))

    assert inputs.shape == targets.shape == (8, 16)
    assert torch.equal(inputs[:, 1:], targets[:, :-1])
    assert dataset.num_classes == 400


def test_every_byte_of_the_held_out_text_is_counted_once(
    corpus: Path, tokenizer_path: Path
) -> None:
    dataset = load_dataset("text", text(corpus, tokenizer_path, context_length=16))

    total = 0
    for name in ("train", "val", "test"):
        source = dataset.split(name).source
        assert isinstance(source, TokenBlocks)
        total += int(source.bytes_N.sum())

    assert total == corpus.stat().st_size


def word_level(path: Path, *known: str, gap: int = 0) -> Path:
    """A tokenizer of words that does not know most of them, its last id after a `gap`."""
    vocab = {token: i for i, token in enumerate(["[UNK]", *known])}
    vocab[list(vocab)[-1]] += gap
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(path / "words.json"))
    return path / "words.json"


def test_text_that_a_token_does_not_tell_is_not_counted_as_predicted(
    corpus: Path, tmp_path: Path
) -> None:
    words = word_level(tmp_path, "times", "is")

    dataset = load_dataset("text", text(corpus, words, context_length=16))

    source = dataset.split("train").source
    assert isinstance(source, TokenBlocks)
    assert set(source.bytes_N[source.tokens_N == 0].tolist()) == {0}
    assert set(source.bytes_N[source.tokens_N == 1].tolist()) == {len(" times")}


def test_blanks_at_the_end_of_a_segment_count_with_its_last_token(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text("times is\n\n\n" * 3000)
    words = word_level(tmp_path, "times", "is")

    dataset = load_dataset("text", text(tmp_path / "corpus.txt", words, context_length=16))

    counted = 0
    for name in ("train", "val", "test"):
        source = dataset.split(name).source
        assert isinstance(source, TokenBlocks)
        counted += int(source.bytes_N.sum())
    assert counted == (tmp_path / "corpus.txt").stat().st_size


def test_ids_may_leave_gaps(corpus: Path, tmp_path: Path) -> None:
    dataset = load_dataset(
        "text", text(corpus, word_level(tmp_path, "times", "is", gap=100), context_length=16)
    )

    assert dataset.num_classes == 103
    with pytest.raises(DatasetError, match="103 classes but num_classes is 3"):
        load_dataset(
            "text",
            text(corpus, tmp_path / "words.json", context_length=16),
            num_classes=3,
        )


def test_splits_share_no_line(corpus: Path, tokenizer_path: Path) -> None:
    dataset = load_dataset("text", text(corpus, tokenizer_path, context_length=16))
    tokenizer = Tokenizer.from_file(str(tokenizer_path))

    lines = []
    for name in ("train", "val", "test"):
        source = dataset.split(name).source
        assert isinstance(source, TokenBlocks)
        decoded = tokenizer.decode(source.tokens_N.tolist())
        lines.append({line for line in decoded.splitlines() if line.endswith("\U0001f600")})

    assert sum(map(len, lines)) == len(set.union(*lines)) == len(LINES)


def test_a_corpus_too_small_for_a_block_is_refused(tmp_path: Path, tokenizer_path: Path) -> None:
    (tmp_path / "small.txt").write_text("".join(LINES[:300]))

    with pytest.raises(DatasetError, match="smaller context_length"):
        load_dataset(
            "text", text(tmp_path / "small.txt", tokenizer_path, context_length=9000)
        ).split("val")


@pytest.mark.parametrize(("content", "message"), [(b"", "no text"), (b"\xff\xfe", "UTF-8")])
def test_a_file_that_is_no_text_is_named(
    tmp_path: Path, tokenizer_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "bad.txt").write_bytes(content)

    with pytest.raises(DatasetError, match=rf"bad\.txt.*{message}"):
        load_dataset("text", text(tmp_path / "bad.txt", tokenizer_path))


def test_a_file_that_is_no_tokenizer_is_named(corpus: Path) -> None:
    with pytest.raises(TokenizerError, match=r"corpus\.txt: the tokenizer is damaged"):
        load_dataset("text", text(corpus, corpus))


def test_a_registered_tokenizer_without_a_path_is_refused(corpus: Path) -> None:
    params = {
        "data_path": str(corpus),
        "tokenizer_config": {"name": "my_bpe", "type": "registered"},
    }

    with pytest.raises(ConfigError, match="'my_bpe' has no path"):
        load_dataset("text", params)


def test_rows_of_text_are_padded_to_one_length(tmp_path: Path, tokenizer_path: Path) -> None:
    rows = "\n".join(
        f'"number {i}, {"big" * (i % 7)}",{"odd" if i % 2 else "even"}' for i in range(40)
    )
    (tmp_path / "t.csv").write_text(f"text,label\n{rows}\n")
    params = text(tmp_path / "t.csv", tokenizer_path, max_length=12)

    dataset = load_dataset("text_classification", params)

    inputs, labels = dataset.split("train").batch(torch.arange(4))
    assert inputs.shape == (4, 12)
    assert dataset.class_names == ("even", "odd")
    assert labels.max() < 2
    assert int(inputs[0, -1]) == Tokenizer.from_file(str(tokenizer_path)).token_to_id("<pad>")


def test_saved_truncation_and_padding_of_a_tokenizer_change_no_data(
    corpus: Path, tokenizer_path: Path, tmp_path: Path
) -> None:
    saved = Tokenizer.from_file(str(tokenizer_path))
    saved.enable_truncation(16)
    saved.enable_padding(length=64)
    saved.save(str(tmp_path / "tokenizer.json"))

    tokens = [
        dataset.split("train").source.tokens_N.tolist()
        for dataset in (
            load_dataset("text", text(corpus, tokenizer_path)),
            load_dataset("text", text(corpus, tmp_path)),
        )
    ]

    assert tokens[0] == tokens[1]


def test_line_ends_reach_the_language_model_as_they_are(
    tmp_path: Path, tokenizer_path: Path
) -> None:
    (tmp_path / "corpus.txt").write_bytes("".join(LINES).replace("\n", "\r\n").encode())
    dataset = load_dataset("text", text(tmp_path / "corpus.txt", tokenizer_path))

    total = sum(int(dataset.split(name).source.bytes_N.sum()) for name in ("train", "val", "test"))

    assert total == (tmp_path / "corpus.txt").stat().st_size


def test_a_tokenizer_whose_regex_fails_is_told_as_such(corpus: Path, tokenizer_path: Path) -> None:
    parts = json.loads(tokenizer_path.read_text())
    hostile = {"type": "Split", "pattern": {"Regex": "(a+)+$("}, "behavior": "Isolated"}
    parts["pre_tokenizer"] = hostile | {"invert": False}
    (corpus.parent / "tokenizer.json").write_text(json.dumps(parts))

    with pytest.raises(TokenizerError, match=r"the tokenizer is damaged"):
        load_dataset("text", text(corpus, corpus.parent))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (type("PanicException", (BaseException,), {})("called unwrap on None"), TokenizerError),
        (ValueError("odd"), TokenizerError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_panic_of_the_library_is_an_error_like_any_other(
    error: BaseException, expected: type[BaseException]
) -> None:
    with pytest.raises(expected), told_of_tokenizers("the corpus"):
        raise error


def test_an_id_past_the_vocabulary_is_told_before_a_model_sees_it(
    tmp_path: Path, tokenizer_path: Path
) -> None:
    saved = json.loads(tokenizer_path.read_text())
    saved["post_processor"] = {"type": "BertProcessing", "sep": ["[SEP]", 999], "cls": ["a", 998]}
    (tmp_path / "odd.json").write_text(json.dumps(saved))
    rows = "\n".join(f"number {i},{'odd' if i % 2 else 'even'}" for i in range(40))
    (tmp_path / "t.csv").write_text(f"text,label\n{rows}\n")

    with pytest.raises(TokenizerError, match="gives the id 999, but its vocabulary ends before"):
        load_dataset("text_classification", text(tmp_path / "t.csv", tmp_path / "odd.json"))
