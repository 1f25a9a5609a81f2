"""Folders with a saved model: whether it is whole, and what running it takes."""

import json
from pathlib import Path

from agents.llm.engines.errors import ModelDamagedError
from agents.llm.engines.saved_folder import CONFIG, GENERATION, read_config, weight_files
from agents.llm.wizard.found import AnswerError, Found

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "vocab.txt")
_MORE = ("tokenizer.json", "tokenizer_config.json", GENERATION)  # may be cut, or LFS pointers
_WRITES_TEXT = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")


def look_into_folder(folder: Path) -> Found:
    """The model that `save_pretrained` wrote there.

    Raises:
        AnswerError: there is none, it is not whole, or it writes no text.
    """
    folder = folder.absolute()
    if not (folder / CONFIG).is_file():
        raise AnswerError(f"there is no {CONFIG} in {folder}; {_what_to_give(folder)}")
    try:
        config, files = read_config(folder), weight_files(folder)
        for name in _MORE:
            if (folder / name).is_file():
                read_config(folder, name)
    except ModelDamagedError as error:
        raise AnswerError(str(error)) from error
    listed = config.get("architectures")
    architectures = [str(name) for name in listed] if isinstance(listed, list) else []
    if architectures and not any(name.endswith(_WRITES_TEXT) for name in architectures):
        raise AnswerError(f"{folder} holds a {architectures[0]}, which writes no text")
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise AnswerError(f"{folder} has no tokenizer ({', '.join(_TOKENIZERS[:3])}): save it, too")
    if not files:
        raise AnswerError(f"{folder} has no weights (model.safetensors)")
    for path in files:
        _check_size(path)
    return Found(
        model=str(folder),
        backends=("transformers",),
        about=f"{', '.join(architectures) or config.get('model_type', 'a model')}",
    )


def _what_to_give(folder: Path) -> str:
    if (folder / "adapter_config.json").is_file():
        return "it holds an adapter: merge it into its model, and save that"
    if files := sorted(folder.glob("*.gguf")):
        return f"give the file itself, such as {files[0]}"
    return "give a folder that save_pretrained wrote"


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
