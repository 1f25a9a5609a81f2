"""The tool as its document describes it, and the registry behind it."""

import json
import multiprocessing
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from agents.ml.errors import TokenizerError
from agents.ml.tokenizer.registry import TokenizerRegistry
from tests.ml.tokenizer.conftest import Manage
from tests.ml.tokenizer.registering import train_in_a_process

TYPES = ["BPE", "WordPiece", "CharLevel"]
TEXT = "def main():\n    return [1, 2]\n"


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    (tmp_path / "corpus.txt").write_text((TEXT + "low lower lowest\n") * 20)
    return "corpus.txt"


@pytest.fixture
def trained(manage: Manage, corpus: str) -> dict[str, Any]:
    return manage("train", config={"data_files": [corpus], "vocab_size": 300})


def test_train_returns_what_the_document_says(manage: Manage, corpus: str, tmp_path: Path) -> None:
    config = {
        "type": "BPE",
        "vocab_size": 10_000,
        "data_files": [corpus],
        "special_tokens": ["[PAD]", "[UNK]"],
    }
    result = manage("train", "my_bpe", config=config, tokenizer_path="models/my_bpe")

    vocab_size = result.pop("vocab_size")
    assert 258 <= vocab_size < 10_000  # what it really got
    assert result == {
        "status": "success",
        "tokenizer_name": "my_bpe",
        "tokenizer_path": "models/my_bpe",
    }
    assert (tmp_path / "models/my_bpe/tokenizer.json").is_file()


def test_apply_gives_a_row_per_text_even_for_one(manage: Manage, trained: dict[str, Any]) -> None:
    one = manage("apply", text_input="low lower")
    several = manage("apply", text_input=["low lower", "", "lowest"])

    assert set(one) == {"input_ids", "attention_mask"}
    assert several["input_ids"][0] == one["input_ids"][0]
    assert several["input_ids"][1] == []
    assert [len(row) for row in several["attention_mask"]] == [
        len(row) for row in several["input_ids"]
    ]
    assert manage("apply", text_input=[]) == {"input_ids": [], "attention_mask": []}


def test_rows_are_padded_on_request(manage: Manage, trained: dict[str, Any]) -> None:
    texts = ["low", "low lower lowest"]
    ragged = manage("apply", text_input=texts)["input_ids"]
    padded = manage("apply", text_input=texts, config={"padding": True})

    missing = len(ragged[1]) - len(ragged[0])
    assert padded["input_ids"] == [ragged[0] + [0] * missing, ragged[1]]
    assert padded["attention_mask"][0] == [1] * len(ragged[0]) + [0] * missing


def test_padding_without_a_padding_token_is_refused(manage: Manage, corpus: str) -> None:
    manage("train", config={"data_files": [corpus], "vocab_size": 300, "special_tokens": []})
    with pytest.raises(TokenizerError, match=r"padding: .*no padding token"):
        manage("apply", text_input=["a", "b"], config={"padding": True})


@pytest.mark.parametrize("kind", TYPES)
def test_transformers_loads_what_was_trained(
    manage: Manage, registry: TokenizerRegistry, corpus: str, kind: str
) -> None:
    special = ["[PAD]", "[UNK]", "[EOS]"]
    config = {"type": kind, "data_files": [corpus], "vocab_size": 300, "special_tokens": special}
    path = manage("train", config=config)["tokenizer_path"]
    ours = manage("apply", text_input=[TEXT, "[EOS] é"])

    for load in (PreTrainedTokenizerFast.from_pretrained, AutoTokenizer.from_pretrained):
        theirs = load(path)
        assert theirs([TEXT, "[EOS] é"])["input_ids"] == ours["input_ids"]
        assert (theirs.pad_token, theirs.unk_token, theirs.eos_token) == tuple(special)
        assert len(theirs) == registry.info("mine").vocab_size
        if kind == "BPE":
            assert theirs.decode(ours["input_ids"][0]) == TEXT


def test_a_registered_tokenizer_survives_a_restart(
    manage: Manage, trained: dict[str, Any], registry: TokenizerRegistry
) -> None:
    again = TokenizerRegistry(registry.folder)

    assert again.names() == ["mine"]
    assert again.get("mine").to_str() == registry.get("mine").to_str()


def test_load_registers_a_folder_or_a_file_by_name(manage: Manage, trained: dict[str, Any]) -> None:
    folder = trained["tokenizer_path"]
    for path in (folder, f"{folder}/tokenizer.json"):
        result = manage("load", "other", tokenizer_path=path)

        assert result["status"] == "success"
        assert result["tokenizer_info"]["vocab_size"] == trained["vocab_size"]
        assert result["tokenizer_info"]["type"] == "BPE"
        assert result["tokenizer_info"]["special_tokens"]["[PAD]"] == 0
        assert manage("apply", "other", text_input="low") == manage("apply", text_input="low")


def test_load_by_name_alone_finds_a_registered_one(manage: Manage, trained: dict[str, Any]) -> None:
    assert manage("load")["tokenizer_info"]["vocab_size"] == trained["vocab_size"]


def test_load_keeps_a_copy_of_a_pretrained_one(
    manage: Manage, trained: dict[str, Any], registry: TokenizerRegistry, tmp_path: Path
) -> None:
    before = manage("apply", text_input=TEXT)
    hub = Path(shutil.copytree(trained["tokenizer_path"], tmp_path / "hub"))

    manage("load", "pretrained", hf_pretrained_id=str(hub))
    shutil.rmtree(hub)

    assert manage("apply", "pretrained", text_input=TEXT) == before
    assert TokenizerRegistry(registry.folder).names() == ["mine", "pretrained"]


def test_a_pretrained_one_without_a_connection(
    manage: Manage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        TokenizerError, match=r"nobody/nothing: .*check the name and the connection"
    ):
        manage("load", hf_pretrained_id="nobody/nothing")


def test_training_again_replaces_the_tokenizer(
    manage: Manage, trained: dict[str, Any], corpus: str
) -> None:
    manage("apply", text_input="low")
    manage("train", config={"type": "CharLevel", "data_files": [corpus]})

    assert len(manage("apply", text_input="low")["input_ids"][0]) == 3


def test_the_saved_settings_of_a_tokenizer_do_not_cut_texts(
    manage: Manage, trained: dict[str, Any]
) -> None:
    file = Path(trained["tokenizer_path"]) / "tokenizer.json"
    parts = json.loads(file.read_text())
    limit = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    file.write_text(json.dumps({**parts, "truncation": limit}))

    assert len(manage("apply", text_input=TEXT)["input_ids"][0]) > 2


@pytest.mark.parametrize(
    ("action", "arguments", "message"),
    [
        ("fly", {}, "action: 'fly' is not one of train, load, apply"),
        ("apply", {}, "text_input: .* missing"),
        ("apply", {"text_input": 3}, "text_input: expected a text or a list"),
        ("apply", {"text_input": ["a", 3]}, r"text_input\[1\]: expected a text"),
        ("apply", {"text_input": "\ud800"}, r"text_input\[0\]: .*surrogate"),
        ("apply", {"text_input": "a", "config": {"pad": True}}, "pad: there is no such key"),
        ("apply", {"text_input": "a", "config": {"padding": 1}}, "padding: expected true or"),
        ("load", {"tokenizer_path": "a", "hf_pretrained_id": "b"}, "not both"),
        ("load", {"tokenizer_path": "nowhere"}, r"nowhere: there is no tokenizer\.json"),
    ],
)
def test_wrong_arguments_are_named(
    manage: Manage, trained: dict[str, Any], action: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(TokenizerError, match=message):
        manage(action, **arguments)


@pytest.mark.parametrize("action", ["apply", "load"])
def test_an_unknown_name_lists_the_known_ones(
    manage: Manage, trained: dict[str, Any], action: str
) -> None:
    with pytest.raises(TokenizerError, match=r"yours: .*known: mine"):
        manage(action, "yours", text_input="a")


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 101])
def test_a_name_cannot_leave_the_folder(manage: Manage, corpus: str, name: str) -> None:
    with pytest.raises(TokenizerError, match=r"tokenizer_name: .*is no name"):
        manage("train", name, config={"data_files": [corpus]})


def test_files_that_are_gone_or_damaged_are_said_to_be(
    manage: Manage, trained: dict[str, Any], registry: TokenizerRegistry
) -> None:
    file = Path(trained["tokenizer_path"]) / "tokenizer.json"
    file.write_text("{")
    with pytest.raises(TokenizerError, match="damaged"):
        manage("apply", text_input="a")
    file.unlink()
    with pytest.raises(TokenizerError, match="mine: its files are gone"):
        manage("apply", text_input="a")
    (registry.folder / "tokenizers.json").write_text("[]")
    with pytest.raises(TokenizerError, match="manifest is damaged"):
        manage("apply", text_input="a")


def test_an_id_that_would_take_all_memory_is_refused(
    manage: Manage, trained: dict[str, Any]
) -> None:
    file = Path(trained["tokenizer_path"]) / "tokenizer.json"
    parts = json.loads(file.read_text())
    parts["model"]["vocab"]["far"] = 2**31
    file.write_text(json.dumps(parts))

    with pytest.raises(TokenizerError, match="'far' has the id 2147483648"):
        manage("load", tokenizer_path=str(file.parent))


def test_a_training_that_fails_registers_nothing(
    manage: Manage, registry: TokenizerRegistry
) -> None:
    with pytest.raises(TokenizerError):
        manage("train", config={"data_files": ["nothing.txt"]})

    assert registry.names() == []


def test_processes_that_register_at_once_lose_no_name(
    registry: TokenizerRegistry, corpus: str, tmp_path: Path
) -> None:
    spawn = multiprocessing.get_context("spawn")
    names = [f"t{i}" for i in range(4)]
    folder = str(registry.folder)
    processes = [
        spawn.Process(target=train_in_a_process, args=(folder, str(tmp_path), name))
        for name in names
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0] * 4
    assert registry.names() == names


def test_a_registry_may_get_another_place_with_all_of_it(
    manage: Manage, corpus: str, tmp_path: Path
) -> None:
    config = {"data_files": [corpus], "vocab_size": 300}
    manage("train", "own", config=config)
    manage("train", "placed", config=config, tokenizer_path="models/placed")
    (tmp_path / "moved").mkdir()
    for name in ("tokenizers", "models"):
        (tmp_path / name).rename(tmp_path / "moved" / name)

    moved = TokenizerRegistry(tmp_path / "moved" / "tokenizers")

    assert moved.info("own").vocab_size == moved.info("placed").vocab_size


def test_merges_that_a_saved_setting_leaves_out_by_chance_are_made(
    manage: Manage, trained: dict[str, Any], tmp_path: Path
) -> None:
    file = Path(trained["tokenizer_path"]) / "tokenizer.json"
    saved = json.loads(file.read_text())
    saved["model"]["dropout"] = 0.9
    (tmp_path / "odd.json").write_text(json.dumps(saved))
    manage("load", "odd", tokenizer_path="odd.json")

    found = manage("apply", "odd", text_input=[TEXT] * 20)["input_ids"]

    assert {tuple(ids) for ids in found} == {
        tuple(manage("apply", text_input=TEXT)["input_ids"][0])
    }
