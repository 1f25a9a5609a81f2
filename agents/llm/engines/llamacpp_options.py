"""Settings of the llama.cpp backend."""

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt


class LlamaCppOptions(BaseModel):
    """What `EngineConfig.options` may hold for the llama.cpp backend.

    Attributes:
        threads: None for as many as there are processors.
        gpu_layers: layers on a GPU, where xllamacpp was built for one; None for as many as fit.
        max_cache_bytes: what keys and values of answers may occupy; they take it when the model is
            loaded, each for its whole window, and further answers wait. None is 768 MiB, or as
            much as the weights where that is more, but at most half of what is free beside them.
            One answer has room whatever this says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    threads: PositiveInt | None = None
    gpu_layers: NonNegativeInt | None = None
    max_cache_bytes: PositiveInt | None = None
