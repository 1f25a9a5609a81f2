"""From a configuration to an engine. A new backend is one file and one line here."""

from collections.abc import Callable
from importlib import import_module
from typing import cast

from agents.llm.engines.config import EngineConfig
from agents.llm.engines.engine import Engine
from agents.llm.engines.errors import MissingDependencyError, UnknownBackendError

BACKENDS: dict[str, str] = {  # name -> module with `create(config) -> Engine`
    "transformers": "agents.llm.engines.transformers_engine",
    "openai": "agents.llm.engines.openai_engine",
    "llamacpp": "agents.llm.engines.llamacpp_engine",
    "scripted": "agents.llm.engines.scripted",
}
_EXTRAS = {"transformers": "torch"}  # of the others it is called as the backend


def create_engine(config: EngineConfig) -> Engine:
    """An engine for `config`; its model is loaded on first use.

    Raises:
        UnknownBackendError: there is no such backend.
        MissingDependencyError: a package that it needs is not installed.
        LLMInitializationError: the configuration lacks what the backend needs.
    """
    if config.backend not in BACKENDS:
        raise UnknownBackendError(config.backend, BACKENDS)
    try:
        module = import_module(BACKENDS[config.backend])
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(config.backend, config.backend)
        raise MissingDependencyError(
            f"the {config.backend} backend needs {error.name}: pip install 'guildbus[{extra}]'"
        ) from error
    return cast(Callable[[EngineConfig], Engine], module.create)(config)
