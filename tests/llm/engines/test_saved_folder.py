"""Which files of a folder a model is loaded from, as transformers chooses them."""

import json
import shutil
from pathlib import Path

import pytest

from agents.llm.engines.errors import ModelDamagedError
from agents.llm.engines.saved_folder import read_config, weight_files
from agents.llm.engines.weights import saved_weights

ONE, SHARDS, BIN = "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"


def index_of(*files: str) -> str:
    return json.dumps({"weight_map": {f"w{i}": name for i, name in enumerate(files)}})


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({ONE: "", "model.fp16.safetensors": "", "consolidated.safetensors": ""}, [ONE]),
        ({ONE: "", SHARDS: index_of("a.safetensors"), "a.safetensors": ""}, [ONE]),
        (
            {SHARDS: index_of("b", "a", "b"), "a": "", "b": "", BIN: "", "c.safetensors": ""},
            ["a", "b"],
        ),
        ({BIN: "", "pytorch_model-old.bin": ""}, [BIN]),
        (
            {f"{BIN}.index.json": index_of("p1.bin", "p2.bin"), "p1.bin": "", "p2.bin": ""},
            ["p1.bin", "p2.bin"],
        ),
        ({"consolidated.safetensors": "", "tf_model.h5": ""}, []),
    ],
)
def test_the_weights_are_the_files_that_transformers_loads(
    tmp_path: Path, files: dict[str, str], wanted: list[str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    assert [file.name for file in weight_files(tmp_path)] == wanted


@pytest.mark.parametrize(
    ("index", "said"),
    [
        (index_of("gone.safetensors", "lost.safetensors"), "lacks gone.safetensors, lost"),
        ("version https://git-lfs", "cannot be read"),
        ("[]", "lists no weights"),
        ('{"weight_map": {}}', "lists no weights"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_an_index_that_does_not_tell_is_refused(tmp_path: Path, index: str, said: str) -> None:
    (tmp_path / SHARDS).write_text(index)

    with pytest.raises(ModelDamagedError, match=said):
        weight_files(tmp_path)


@pytest.mark.parametrize("text", [None, "{", "5", "[]"])
def test_a_config_that_says_nothing_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)

    with pytest.raises(ModelDamagedError, match=r"config\.json"):
        read_config(tmp_path)


def test_a_second_copy_of_the_weights_is_not_counted(tiny_phi: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_phi, tmp_path / "model")
    alone = saved_weights(str(folder)).total
    shutil.copy(folder / ONE, folder / "consolidated.safetensors")

    assert saved_weights(str(folder)).total == alone
