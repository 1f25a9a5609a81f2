"""Which backend runs a model, where nobody says."""

from pathlib import Path

from agents.llm.models.catalog import MODELS

_GGUF = ".gguf"


def backend_of(model: str) -> str:
    """The backend that a model is meant for, by what it is called.

    That is llama.cpp for a GGUF file and for a model that comes through pip, which is one. A
    folder here goes before a model of the same name that comes through pip.
    """
    if model.lower().endswith(_GGUF):
        return "llamacpp"
    if model in MODELS and not Path(model).is_dir():
        return MODELS[model].backend
    return "transformers"
