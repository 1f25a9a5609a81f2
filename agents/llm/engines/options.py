"""Settings of the transformers backend alone."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from agents.llm.engines.config import EngineConfig
from agents.llm.engines.errors import LLMInitializationError


class TransformersOptions(BaseModel):
    """What `EngineConfig.options` may hold for the transformers backend.

    Attributes:
        max_cache_bytes: what keys, values and states of running answers may occupy; more answers
            wait. None is half of what is free when the model has been loaded.
        prompt_cache_bytes: what beginnings of texts that were read before may occupy; 0 keeps
            none, None is a quarter of `max_cache_bytes`.
        prompt_cache_folder: keeps beginnings that several texts share across restarts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_cache_bytes: PositiveInt | None = None
    prompt_cache_bytes: NonNegativeInt | None = None
    prompt_cache_folder: Path | None = None


def transformers_options(config: EngineConfig) -> TransformersOptions:
    """The options of `config`.

    Raises:
        LLMInitializationError: one is unknown or makes no sense, by name.
    """
    try:
        return TransformersOptions.model_validate(config.options)
    except ValidationError as error:
        known = ", ".join(TransformersOptions.model_fields)
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)
        )
        raise LLMInitializationError(
            f"options of the transformers backend: {problems} (known: {known})"
        ) from None
