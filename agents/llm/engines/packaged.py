"""Models that come through pip, where a backend asks for one by its name."""

from pathlib import Path

from agents.llm.engines.errors import ModelNotFoundError
from agents.llm.models import MODELS, find_model


def packaged_path(model: str) -> Path | None:
    """The GGUF file of a model in the catalog; None for any other name.

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
