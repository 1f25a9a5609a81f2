"""Where the GGUF file of a model is."""

from pathlib import Path

from agents.llm.engines.errors import ModelNotFoundError
from agents.llm.models import MODELS, find_model


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
