"""Which model, on which backend and device."""

import json
from typing import Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
)

from agents.llm.engines.errors import LLMInitializationError, problems_of
from agents.llm.engines.request import MAX_NEW_TOKENS, NewTokens

M = TypeVar("M", bound=BaseModel)


class EngineConfig(BaseModel):
    """Everything that makes two engines different; equal configurations share one engine.

    Attributes:
        model: a folder with a saved model, a GGUF file, the name of a model that comes through
            pip, or an id on the Hugging Face hub.
        backend: a name in `agents.llm.engines.factory.BACKENDS`.
        device: auto (the first of cuda, mps and cpu that exists), cpu, cuda, cuda:N or mps.
        dtype: auto (what the checkpoint has; on the CPU float32 in place of float16), float16,
            bfloat16 or float32.
        context_window: tokens a request may use; never more than the model has.
        revision: branch, tag or commit on the hub.
        trust_remote_code: run Python code that comes with the model.
        max_active: requests that are decoded at the same time.
        max_queue: requests that may wait; more are refused as busy.
        max_new_tokens_limit: no request may ask for more new tokens than this.
        options: settings of one backend only; unknown ones are refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model: str = Field(min_length=1)
    backend: str = "transformers"
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda|cuda:\d{1,3}|mps)$")
    dtype: str = Field(default="auto", pattern=r"^(auto|float16|bfloat16|float32)$")
    context_window: PositiveInt | None = None
    revision: str | None = None
    trust_remote_code: bool = False
    max_active: PositiveInt = 32
    max_queue: NonNegativeInt = 64
    max_new_tokens_limit: NewTokens = MAX_NEW_TOKENS
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def key(self) -> str:
        """The same text for equal configurations."""
        # As earlier versions wrote it, too: answers are kept under it.
        text = json.dumps(self.model_dump(mode="json", include={"options"}), sort_keys=True)
        return self.model_copy(update=json.loads(text)).model_dump_json()

    def options_as(self, kind: type[M]) -> M:
        """The options of a backend that knows those of `kind`.

        Raises:
            LLMInitializationError: one is missing, unknown or makes no sense, by name.
        """
        try:
            return kind.model_validate(self.options)
        except ValidationError as error:
            raise LLMInitializationError(
                f"options of the {self.backend} backend: {problems_of(error)} "
                f"(known: {', '.join(kind.model_fields)})"
            ) from None
