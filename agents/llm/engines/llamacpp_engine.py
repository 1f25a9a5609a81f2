"""The llama.cpp backend: GGUF files, without PyTorch."""

import importlib.util
from pathlib import Path

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt

from agents.llm.engines.config import EngineConfig
from agents.llm.engines.engine import Engine
from agents.llm.engines.errors import (
    LLMInitializationError,
    MissingDependencyError,
    ModelNotFoundError,
)
from agents.llm.engines.llamacpp_model import LlamaModel
from agents.llm.engines.local_engine import LocalEngine
from agents.llm.engines.packaged import packaged_path
from agents.llm.models import MODELS

_MAX_ACTIVE = 256


class LlamaCppOptions(BaseModel):
    """What `EngineConfig.options` may hold for the llama.cpp backend.

    Attributes:
        threads: None for as many as there are processors.
        gpu_layers: layers on a GPU, where xllamacpp was built for one; None for as many as fit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    threads: PositiveInt | None = None
    gpu_layers: NonNegativeInt | None = None


def create(config: EngineConfig) -> Engine:
    """An engine for a GGUF file: its path, or the name of a model that comes through pip.

    Raises:
        LLMInitializationError: the configuration asks for what a GGUF file has not.
    """
    options = config.options_as(LlamaCppOptions)
    _check(config)

    def open_model() -> LlamaModel:
        if importlib.util.find_spec("xllamacpp") is None:
            raise MissingDependencyError(
                "the llamacpp backend needs xllamacpp; run `pip install 'guildbus[llamacpp]'`"
            )
        return LlamaModel(
            model_path(config.model),
            context_window=config.context_window,
            max_active=config.max_active,
            threads=options.threads,
            gpu_layers=0 if config.device == "cpu" else options.gpu_layers,
        )

    return LocalEngine(config, open_model)


def model_path(model: str) -> Path:
    """Where the GGUF file of `model` is.

    Raises:
        ModelNotFoundError: it is nowhere; says how to get it.
    """
    path = Path(model).expanduser()
    if path.is_file():
        return path
    packaged = packaged_path(model)
    if packaged is not None:
        return packaged
    raise ModelNotFoundError(
        f"there is no file {path}; give a GGUF file's path, or one of {', '.join(MODELS)}"
    )


def _check(config: EngineConfig) -> None:
    if config.dtype != "auto":
        raise LLMInitializationError(
            f"dtype={config.dtype}: a GGUF file has its own; leave it out, or take another file"
        )
    if config.revision is not None:
        raise LLMInitializationError("revision: a GGUF file has none; leave it out")
    if config.device not in ("auto", "cpu"):
        raise LLMInitializationError(
            f"device={config.device}: llama.cpp uses the GPU that xllamacpp was built for; take "
            "auto, or cpu"
        )
    if config.max_active > _MAX_ACTIVE:
        raise LLMInitializationError(
            f"max_active={config.max_active}: llama.cpp decodes at most {_MAX_ACTIVE} at once"
        )
