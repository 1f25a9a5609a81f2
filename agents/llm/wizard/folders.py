"""Folders with a saved model: whether it is whole, and what running it takes."""

import json
from pathlib import Path
from typing import Any

from agents.llm.wizard.found import AnswerError, Found

_INDEX = "model.safetensors.index.json"
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "vocab.txt")
_WRITES_TEXT = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")


def look_into_folder(folder: Path) -> Found:
    """The model that `save_pretrained` wrote there.

    Raises:
        AnswerError: there is none, it is not whole, or it writes no text.
    """
    folder = folder.absolute()
    config = _config(folder)
    architectures = [name for name in config.get("architectures") or () if isinstance(name, str)]
    if architectures and not any(name.endswith(_WRITES_TEXT) for name in architectures):
        raise AnswerError(f"{folder} holds a {architectures[0]}, which writes no text")
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise AnswerError(f"{folder} has no tokenizer ({', '.join(_TOKENIZERS[:3])}): save it, too")
    for path in _weights(folder):
        _check_size(path)
    return Found(
        model=str(folder),
        backends=("transformers",),
        about=f"{', '.join(architectures) or config.get('model_type', 'a model')}",
    )


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        hint = "give a folder that save_pretrained wrote"
        if (folder / "adapter_config.json").is_file():
            hint = "it holds an adapter: merge it into its model, and save that"
        elif files := sorted(folder.glob("*.gguf")):
            hint = f"give the file itself, such as {files[0]}"
        raise AnswerError(f"there is no config.json in {folder}; {hint}")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AnswerError(f"{path} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise AnswerError(f"{path} holds no object")
    return config


def _weights(folder: Path) -> list[Path]:
    index = folder / _INDEX
    if not index.is_file():
        files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
        if not files:
            raise AnswerError(f"{folder} has no weights (*.safetensors)")
        return files
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise AnswerError(f"{index} cannot be read: {error}") from error
    missing = [str(name) for name in names if not (folder / str(name)).is_file()]
    if missing:
        raise AnswerError(f"{folder} lacks {', '.join(missing)}, which {_INDEX} names")
    return [folder / str(name) for name in names]


def _check_size(path: Path) -> None:
    """See that a file of weights is as long as its header says."""
    if path.suffix != ".safetensors":
        return
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, size)))
        ends = [e["data_offsets"][1] for name, e in header.items() if name != "__metadata__"]
        end = 8 + length + max(ends, default=0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        end = -1
    if end != size:
        raise AnswerError(
            f"{path} is damaged or breaks off (or is a Git LFS pointer): get it again"
        )
