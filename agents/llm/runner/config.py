"""What a runner is made from: a nested dictionary, or the same with types."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError

from agents.llm.engines.errors import LLMInitializationError, problems_of
from agents.llm.engines.request import NewTokens, Seed, StopStrings, Temperature, TopP
from agents.llm.models import backend_of


class BackendType(StrEnum):
    """What runs the model."""

    LLAMA_CPP = "llama.cpp"
    TRANSFORMERS = "transformers"


class DeviceType(StrEnum):
    """Where it runs; `auto` takes the first of cuda, mps and cpu that exists."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


class ModelConfig(BaseModel):
    """A model and how it answers.

    Attributes:
        model_path: for llama.cpp a GGUF file, or the name of one that comes through pip; for
            transformers a folder, or an id on the hub.
        backend: what runs it, or a name that `LLMRunnerFactory.register` was told. Where it is
            not said, what `model_path` is decides.
        max_tokens: limit on the tokens of an answer, where a call says none; None is 512, or what
            the context window leaves.
        context_window: tokens of a prompt and its answer; None is what the model has.
        torch_dtype: auto, float16, bfloat16 or float32; of transformers only.
        options: settings of the backend alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model_path: str = Field(min_length=1)
    backend: BackendType | str = ""
    device: DeviceType = DeviceType.AUTO
    temperature: Temperature = 0.7
    max_tokens: NewTokens | None = None
    top_p: TopP = 0.9
    top_k: NonNegativeInt = 50
    seed: Seed | None = None
    stop: StopStrings = ()
    context_window: PositiveInt | None = None
    torch_dtype: str = "auto"
    trust_remote_code: bool = False
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def backend_name(self) -> str:
        """The backend that is meant."""
        if self.backend:
            return str(self.backend)
        is_llama_cpp = backend_of(self.model_path) == "llamacpp"
        return str(BackendType.LLAMA_CPP if is_llama_cpp else BackendType.TRANSFORMERS)

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> Self:
        """The configuration in `config["llm"]`.

        Raises:
            LLMInitializationError: it is missing, or says what makes no sense, by name.
        """
        given = config.get("llm")
        if not isinstance(given, Mapping):
            raise LLMInitializationError(
                "the configuration has no 'llm'; give {'llm': {'backend': ..., 'model_path': ...}}"
            )
        try:
            return cls.model_validate(dict(given))
        except ValidationError as error:
            known = ", ".join(cls.model_fields)
            raise LLMInitializationError(
                f"the configuration of the runner: {problems_of(error)} (known: {known})"
            ) from None
