"""Where the GGUF file of a model is, and its other parts."""

import re
from pathlib import Path

from agents.llm.engines.errors import ModelNotFoundError
from agents.llm.models import MODELS, find_model

_PART = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf")


def parts_of(path: Path) -> list[Path]:
    """All parts of the GGUF file of which `path` is the first, there or not; most have just one."""
    found = _PART.fullmatch(path.name)
    if found is None:
        return [path]
    stem, count = found[1], int(found[3])
    return [path.with_name(f"{stem}-{i:05}-of-{count:05}.gguf") for i in range(1, count + 1)]


def size_of(path: Path) -> int:
    """Bytes of all parts that are there."""
    return sum(part.stat().st_size for part in parts_of(path) if part.is_file())


def model_path(model: str) -> Path:
    """Where the GGUF file of `model` is.

    Raises:
        ModelNotFoundError: it is nowhere; says how to get it.
    """
    path = Path(model).expanduser()
    if path.is_file():
        return path
    packaged = packaged_path(model)
    if packaged is None:
        raise ModelNotFoundError(
            f"there is no file {path}; give a GGUF file's path, or one of {', '.join(MODELS)}"
        )
    return packaged


def packaged_path(model: str) -> Path | None:
    """The file of a model that comes through pip, by its name; None for any other name.

    Raises:
        ModelNotFoundError: it has not been fetched yet; says how to get it.
    """
    if model not in MODELS:
        return None
    found = find_model(model)
    if found is None:
        raise ModelNotFoundError(
            f"{model} has not been fetched yet; run `guildbus models get {model}`"
        )
    return found
