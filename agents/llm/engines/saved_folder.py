"""Folders that `save_pretrained` wrote: what they say of their model, and where its weights are."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.llm.engines.errors import ModelDamagedError

CONFIG, GENERATION = "config.json", "generation_config.json"
# In the order in which transformers looks for them; a name with .index.json lists several files.
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def read_config(folder: Path, name: str = CONFIG) -> Mapping[str, Any]:
    """The model's `config.json`, or its like.

    Raises:
        ModelDamagedError: it is not there, or says nothing.
    """
    path = folder / name
    facts = _read(path)
    if not isinstance(facts, dict):
        raise ModelDamagedError(f"{path} holds no object; give a folder made by save_pretrained")
    return facts


def weight_files(folder: Path) -> list[Path]:
    """The files that the model is loaded from; what else lies there is not read. May be empty.

    Raises:
        ModelDamagedError: an index cannot be read, or names a file that is not there.
    """
    for name in _WEIGHTS:
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():
            return [folder / name]
        if index.is_file():
            return _indexed(index)
    return []


def _indexed(index: Path) -> list[Path]:
    table = _read(index)
    listed = table.get("weight_map") if isinstance(table, dict) else None
    if not isinstance(listed, dict) or not listed:
        raise ModelDamagedError(f"{index} lists no weights: get it again")
    files = [index.parent / name for name in sorted(set(map(str, listed.values())))]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise ModelDamagedError(
            f"{index.parent} lacks {', '.join(missing)}, which {index.name} names: get them, too"
        )
    return files


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelDamagedError(f"{path} cannot be read: {error}") from error
