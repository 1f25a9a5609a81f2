"""From a configuration to a runner."""

from collections.abc import Mapping
from typing import Any, ClassVar

from agents.llm.engines.errors import UnknownBackendError
from agents.llm.runner.base import BaseLLMRunner
from agents.llm.runner.config import BackendType, ModelConfig
from agents.llm.runner.engine_runner import LlamaCppRunner, TransformersRunner

# What the engines and the agents call them.
_ALIASES = {
    "llamacpp": BackendType.LLAMA_CPP,
    "llama_cpp": BackendType.LLAMA_CPP,
    "huggingface": BackendType.TRANSFORMERS,
}


class LLMRunnerFactory:
    """Chooses the runner by the backend that the configuration names."""

    _runners: ClassVar[dict[str, type[BaseLLMRunner]]] = {
        BackendType.LLAMA_CPP: LlamaCppRunner,
        BackendType.TRANSFORMERS: TransformersRunner,
    }

    @classmethod
    def create_runner(cls, config: Mapping[str, Any] | ModelConfig) -> BaseLLMRunner:
        """A runner with its model loaded.

        Args:
            config: typed, or a dictionary with the same names under `llm`.

        Raises:
            LLMInitializationError: the configuration makes no sense, a package is missing, or the
                model cannot be loaded.
        """
        typed = config if isinstance(config, ModelConfig) else ModelConfig.read(config)
        name = typed.backend_name
        runner = cls._runners.get(name) or cls._runners.get(_ALIASES.get(name, name))
        if runner is None:
            raise UnknownBackendError(typed.backend_name, map(str, cls._runners))
        return runner(typed)

    @classmethod
    def register(cls, name: str, runner: type[BaseLLMRunner]) -> None:
        """Let configurations name a backend of your own."""
        cls._runners[name] = runner
