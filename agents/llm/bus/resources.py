"""Language models as a resource that a guild's agents share."""

from contextlib import AbstractAsyncContextManager

from pydantic import BaseModel, ConfigDict, Field

from agents.llm.engines.registry import DEFAULT_IDLE_UNLOAD_S, ModelRegistry


class ModelsProps(BaseModel):
    """`idle_unload_s`: seconds without a user after which a model is freed; None for never."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    idle_unload_s: float | None = Field(default=DEFAULT_IDLE_UNLOAD_S, gt=0)


def models(properties: ModelsProps) -> AbstractAsyncContextManager[ModelRegistry]:
    """`llm.models`: loaded models by name, each once however many agents use it."""
    return ModelRegistry(idle_unload_s=properties.idle_unload_s)
