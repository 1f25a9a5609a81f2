"""What agents have in common that answer with a language model."""

from abc import abstractmethod
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, Field, NonNegativeInt, PositiveInt

from agents.llm.engines import Engine, EngineConfig, ModelRegistry
from agents.llm.engines.request import NewTokens, Seed, StopStrings, Temperature, TopP
from guild import Agent, BaseAgentProps


class ModelProps(BaseAgentProps):
    """How a model is loaded, and how it answers where a request does not say."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    backend: str = "transformers"
    torch_dtype: str = Field(default="auto", pattern=r"^(auto|float16|bfloat16|float32)$")
    max_new_tokens: NewTokens | None = None
    """Limit on new tokens; None is 512, or what the context window leaves."""
    temperature: Temperature = 0.7
    top_p: TopP = 0.9
    top_k: NonNegativeInt = 50
    do_sample: bool = True
    stop: StopStrings = ()
    """Texts that end the answer; they are not part of it."""
    seed: Seed | None = None
    """Makes sampling repeatable."""
    context_window: PositiveInt | None = None
    """Tokens of a prompt and its answer; None is what the model has, 2048 if it does not say."""
    trust_remote_code: bool = False
    revision: str | None = None

    @property
    @abstractmethod
    def engine_config(self) -> EngineConfig:
        """What engine answers; a link to a folder is followed now."""

    def _config_of(self, model: str, device: str, **more: Any) -> EngineConfig:
        folder = Path(model)
        return EngineConfig(
            model=str(folder.resolve()) if folder.is_dir() else model,
            backend=self.backend,
            device=device,
            dtype=self.torch_dtype,
            context_window=self.context_window,
            trust_remote_code=self.trust_remote_code,
            revision=self.revision,
            **more,
        )


P = TypeVar("P", bound=ModelProps)


class ModelAgent(Agent[P]):
    """Leases its model from the guild's resource `models`, or from a registry of its own.

    The model is loaded by the first request, off the event loop, and shared with every agent that
    uses the same one through the same resource.
    """

    def __init__(self, properties: P | None = None, models: ModelRegistry | None = None) -> None:
        super().__init__(properties)
        self._own_models = None if models else ModelRegistry()
        self._models = models or self._own_models

    async def stop(self) -> None:
        """Free the model, unless it belongs to the guild's resource."""
        if self._own_models is not None:
            await self._own_models.close()

    def _lease(self) -> AbstractAsyncContextManager[Engine]:
        assert self._models is not None
        return self._models.lease(self.properties.engine_config)
