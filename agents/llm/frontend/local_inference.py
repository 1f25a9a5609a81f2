"""A model by its path alone: the frontend is chosen, its values are kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.llm.blocking.closing import Closing
from agents.llm.frontend.frontend import Frontend, Prompt
from agents.llm.frontend.frontends import frontend_class
from agents.llm.frontend.inference import Inference
from agents.llm.frontend.inference_kwargs import InferenceKwargs
from agents.llm.frontend.tokenizer import Tokenizer

if TYPE_CHECKING:
    from agents.llm.structured.structuring import StructuringEngine


class LocalInference(Closing):
    """Answers with a local model, through the frontend that fits its path.

    Args:
        model_path: a folder, a GGUF file, or a model's name.
        frontend: `PyTorch` or `llama.cpp`. None: llama.cpp for a GGUF file, else PyTorch.
        inference_kwargs: `temp`, `seed`, `max_tokens`, `top_k`, `top_p` and others of
            `InferenceKwargs`, for all answers.
        options: what the frontend takes, such as `device` and `prompt_cache_folder`.

    Raises:
        LLMInitializationError: the model cannot be loaded, or there is no such frontend.
        InvalidRequestError: the inference_kwargs make no sense.
    """

    def __init__(
        self,
        model_path: str | Path,
        frontend: str | None = None,
        *,
        inference_kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.inference_kwargs = InferenceKwargs.of(inference_kwargs or {})
        self.front_end: Frontend = frontend_class(model_path, frontend)(model_path, **options)
        self._structuring: StructuringEngine | None = None

    def inference(
        self,
        prompt: Prompt,
        engine: "StructuringEngine | None" = None,
        *,
        output_type: Any = None,
        **inference_kwargs: Any,
    ) -> Inference[Any]:
        """As `Frontend.inference`; what is left out is as the constructor was told.

        Its `stop` is for free answers alone.
        """
        if engine is not None or output_type is not None:
            inference_kwargs = {"stop": (), **inference_kwargs}
        known = self.inference_kwargs.but(inference_kwargs)
        return self.front_end.inference(
            prompt, engine, output_type=output_type, **known.model_dump()
        )

    __call__ = inference

    @property
    def tokenizer(self) -> Tokenizer:
        return self.front_end.tokenizer

    @property
    def engine(self) -> "StructuringEngine":
        """A structuring engine for this model; `configure` it and hand it to `inference`.

        Raises:
            VocabularyError: the tokenizer does not say what its tokens spell.
        """
        if self._structuring is None:
            self._structuring = self.front_end.structuring_engine()
        return self._structuring

    def supports_reusing_prompt_cache(self) -> bool:
        """As the frontend's."""
        return self.front_end.supports_reusing_prompt_cache()

    def close(self) -> None:
        """Free the model."""
        self.front_end.close()
