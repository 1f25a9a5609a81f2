"""The llama.cpp backend: GGUF files, without PyTorch."""

import importlib.util

from agents.llm.engines.config import EngineConfig
from agents.llm.engines.engine import Engine
from agents.llm.engines.errors import (
    LLMInitializationError,
    MissingDependencyError,
)
from agents.llm.engines.estimate import refuse_what_does_not_fit
from agents.llm.engines.llamacpp_model import LlamaModel
from agents.llm.engines.llamacpp_options import LlamaCppOptions
from agents.llm.engines.local_engine import LocalEngine
from agents.llm.engines.model_file import model_path

_MAX_ACTIVE = 256


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
        path = model_path(config.model)
        if config.device == "cpu" or options.gpu_layers == 0 or not _has_gpu():
            refuse_what_does_not_fit(config)
        return LlamaModel(
            path,
            context_window=config.context_window,
            max_active=config.max_active,
            max_cache_bytes=options.max_cache_bytes,
            threads=options.threads,
            gpu_layers=0 if config.device == "cpu" else options.gpu_layers,
        )

    return LocalEngine(config, open_model)


def _has_gpu() -> bool:
    import xllamacpp  # noqa: PLC0415  an extra

    return any(not each["type"].name.endswith("_CPU") for each in xllamacpp.get_device_info())


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
