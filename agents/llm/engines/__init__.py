"""Language models behind one interface: lazy, shared, streamed and cancellable. Knows no bus."""

from agents.llm.engines.config import EngineConfig
from agents.llm.engines.constraint import Constraint
from agents.llm.engines.engine import Capabilities, Engine, EngineStats
from agents.llm.engines.errors import LLMError, LLMInferenceError, LLMInitializationError
from agents.llm.engines.factory import create_engine
from agents.llm.engines.generation import (
    Event,
    Finished,
    FinishReason,
    Generation,
    TextDelta,
    Timing,
    TokenLogprobs,
)
from agents.llm.engines.registry import ModelRegistry
from agents.llm.engines.request import GenerationRequest

__all__ = [
    "Capabilities",
    "Constraint",
    "Engine",
    "EngineConfig",
    "EngineStats",
    "Event",
    "FinishReason",
    "Finished",
    "Generation",
    "GenerationRequest",
    "LLMError",
    "LLMInferenceError",
    "LLMInitializationError",
    "ModelRegistry",
    "TextDelta",
    "Timing",
    "TokenLogprobs",
    "create_engine",
]
