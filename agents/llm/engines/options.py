"""Settings of the transformers backend alone."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, model_validator


class TransformersOptions(BaseModel):
    """What `EngineConfig.options` may hold for the transformers backend.

    Attributes:
        max_cache_bytes: what keys, values and states of running answers may occupy; more answers
            wait. None is half of what is free when the model has been loaded.
        prompt_cache_bytes: what beginnings of texts that were read before may occupy; 0 keeps
            none, None is a quarter of `max_cache_bytes`.
        prompt_cache_folder: keeps beginnings of texts across restarts.
        prompt_cache_saves: which of them: `shared` those that two texts had in common, `prompts`
            every prompt, which a program needs that asks once and ends.
        int8: linear layers in 8 bits on the CPU, several times as fast with many answers at once.
            Answers are not those of float32: measure the quality of your task.
        load_in_8bit: by bitsandbytes.
        load_in_4bit: by bitsandbytes.
        device_map: how accelerate spreads the layers over devices, for models larger than one:
            auto, balanced, sequential, or a mapping from module to device.
        compile: compile the feed-forward layers with torch.compile, which takes a minute.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_cache_bytes: PositiveInt | None = None
    prompt_cache_bytes: NonNegativeInt | None = None
    prompt_cache_folder: Path | None = None
    prompt_cache_saves: Literal["shared", "prompts"] = "shared"
    int8: bool = False
    load_in_8bit: bool = False
    load_in_4bit: bool = False
    device_map: str | dict[str, int | str] | None = None
    compile: bool = False

    @model_validator(mode="after")
    def _has_one_quantization(self) -> Self:
        if self.int8 + self.load_in_8bit + self.load_in_4bit > 1:
            raise ValueError("choose one of int8, load_in_8bit and load_in_4bit")
        return self
