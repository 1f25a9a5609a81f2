"""The transformers backend; torch is imported when the model loads, in the engine's thread."""

from agents.llm.engines.config import EngineConfig
from agents.llm.engines.engine import Engine
from agents.llm.engines.errors import MissingDependencyError
from agents.llm.engines.local_engine import LocalEngine
from agents.llm.engines.local_model import LocalModel


def create(config: EngineConfig) -> Engine:
    """An engine for `config`; nothing is loaded yet."""
    return LocalEngine(config, lambda: _open(config))


def _open(config: EngineConfig) -> LocalModel:
    try:
        from agents.llm.engines.transformers_model import (  # noqa: PLC0415  torch takes seconds
            open_model,
        )
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"the transformers backend needs {error.name}: pip install 'guildbus[torch]'"
        ) from error
    return open_model(config)
