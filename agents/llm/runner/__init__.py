"""Language models for plain, blocking code."""

from agents.llm.engines.errors import LLMError, LLMInferenceError, LLMInitializationError
from agents.llm.runner.base import BaseLLMRunner
from agents.llm.runner.config import BackendType, DeviceType, ModelConfig
from agents.llm.runner.engine_runner import LlamaCppRunner, TransformersRunner
from agents.llm.runner.factory import LLMRunnerFactory

__all__ = [
    "BackendType",
    "BaseLLMRunner",
    "DeviceType",
    "LLMError",
    "LLMInferenceError",
    "LLMInitializationError",
    "LLMRunnerFactory",
    "LlamaCppRunner",
    "ModelConfig",
    "TransformersRunner",
]
