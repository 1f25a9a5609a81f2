"""What agents have in common that answer with a language model."""

import time
from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, field_validator

from agents.llm.chat.window import OverflowPolicy
from agents.llm.dialogue import Sampling
from agents.llm.engines import Engine, EngineConfig, ModelRegistry
from agents.llm.engines.errors import UnknownBackendError
from agents.llm.engines.factory import BACKENDS
from agents.llm.engines.request import NewTokens, Seed, Temperature, TopP
from agents.llm.parsing import Part, Text
from guild import Agent, BaseAgentProps, Context
from guild.progress import TextDelta


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
    seed: Seed | None = None
    """Makes sampling repeatable."""
    context_window: PositiveInt | None = None
    """Tokens of a prompt and its answer; None is what the model has, 2048 if it does not say."""
    trust_remote_code: bool = False
    revision: str | None = None

    @field_validator("backend")
    @classmethod
    def _exists(cls, name: str) -> str:
        if name not in BACKENDS:
            raise ValueError(str(UnknownBackendError(name, BACKENDS)))
        return name

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


class AnyModelProps(ModelProps):
    """Which model of which backend answers.

    Attributes:
        model: a folder, an id on the Hugging Face hub, or what else the backend knows. A link to
            a folder is followed at each request, so that a new model can be put in its place.
        overflow: what happens to a conversation that does not fit: `refuse`, or `drop_oldest`.
        max_active: answers that are written at the same time, at most. llama.cpp takes memory for
            all of them when the model is loaded: as many as its option `max_cache_bytes` has room
            for.
        options: settings of the backend alone.
    """

    model: str = Field(min_length=1)
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda|cuda:\d{1,3}|mps)$")
    overflow: OverflowPolicy = "refuse"
    max_active: PositiveInt = 32
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def engine_config(self) -> EngineConfig:
        """What engine answers; a link to a folder is followed now."""
        more = {"max_active": self.max_active, "options": self.options}
        return self._config_of(self.model, self.device, **more)


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

    def _sampling(self, request: BaseModel | None, ctx: Context) -> Sampling:
        """What the properties say, but for what the request says, until its deadline."""
        own = self.properties.model_dump(include=set(Sampling.model_fields))
        wishes = {} if request is None else request.model_dump(include=set(Sampling.model_fields))
        deadline_s = max(ctx.deadline - time.time(), 0.001) if ctx.deadline else None
        return Sampling(**own).but(**wishes, deadline_s=deadline_s)


def emitter(ctx: Context) -> Callable[[Part], None]:
    """Shows the text of an answer while it comes."""

    def emit(part: Part) -> None:
        if isinstance(part, Text):
            ctx.emit(TextDelta(text=part.text))

    return emit
