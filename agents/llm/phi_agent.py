"""The Phi agent: completes prompts with a causal language model that runs in this process."""

import time
from pathlib import Path

from pydantic import Field, NonNegativeInt, PositiveInt

from agents.llm.dialogue.usage import Usage
from agents.llm.engines.config import EngineConfig
from agents.llm.engines.generation import Generation
from agents.llm.engines.registry import ModelRegistry
from agents.llm.engines.request import (
    GenerationRequest,
    NewTokens,
    Seed,
    StopStrings,
    Temperature,
    TopP,
)
from agents.llm.failures import told_to_the_bus
from agents.llm.messages import (
    GenerationPromptRequest,
    GenerationPromptResponse,
    UsageReported,
)
from guild import Agent, BaseAgentProps, Context, handles
from guild.progress import TextDelta


class PyTorchAgentProps(BaseAgentProps):
    """Properties of agents that run a model.

    Attributes:
        torch_device: cuda, cuda:N, mps or cpu; `auto` is cuda where there is one, else cpu. It is
            looked up when the model loads, so that reading a spec does not import torch.
    """

    torch_device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda|cuda:\d{1,3}|mps)$")


class PhiAgentProps(PyTorchAgentProps):
    """Which model completes the prompts, and how.

    Attributes:
        model_id: id on the Hugging Face hub, or a folder that `save_pretrained` wrote. A link to
            a folder is followed at each request, so that a new model can be put in its place.
        max_new_tokens: limit on new tokens; None is 512, or what the context window leaves.
        stop: texts that end the completion; they are not part of it.
        context_window: tokens a prompt and its completion may use; None is what the model has,
            and 2048 where it does not say.
        seed: makes sampling repeatable.
    """

    model_id: str = "microsoft/phi-2"
    torch_dtype: str = Field(default="auto", pattern=r"^(auto|float16|bfloat16|float32)$")
    max_new_tokens: NewTokens | None = None
    temperature: Temperature = 0.7
    top_p: TopP = 0.9
    top_k: NonNegativeInt = 50
    do_sample: bool = True
    stop: StopStrings = ()
    context_window: PositiveInt | None = None
    seed: Seed | None = None
    backend: str = "transformers"
    trust_remote_code: bool = False
    revision: str | None = None


class LLMPhiAgent(Agent[PhiAgentProps]):
    """Answers `GenerationPromptRequest`; emits the text piece by piece while it is written,
    and at its end what it cost.

    The model is loaded by the first request, off the event loop, and shared with every agent of
    the guild that uses the same one through the same `models` resource.
    """

    extra = "torch"
    requires = ("torch", "transformers")

    def __init__(
        self, properties: PhiAgentProps | None = None, models: ModelRegistry | None = None
    ) -> None:
        super().__init__(properties)
        self._own_models = None if models else ModelRegistry()
        self._models = models or self._own_models

    async def stop(self) -> None:
        """Free the model, unless it belongs to the guild's resource."""
        if self._own_models is not None:
            await self._own_models.close()

    @handles(emits=(TextDelta, UsageReported))
    async def generate(
        self, request: GenerationPromptRequest, ctx: Context
    ) -> GenerationPromptResponse:
        assert self._models is not None
        with told_to_the_bus():
            async with self._models.lease(self._engine_config()) as engine:
                generation = await engine.submit(self._generation_request(request, ctx))
                text = await _written(generation, ctx)
        return GenerationPromptResponse(
            generation_prompt=request.generation_prompt,
            generated_response=request.generation_prompt + text,
        )

    def _engine_config(self) -> EngineConfig:
        props = self.properties
        folder = Path(props.model_id)
        return EngineConfig(
            model=str(folder.resolve()) if folder.is_dir() else props.model_id,
            backend=props.backend,
            device=props.torch_device,
            dtype=props.torch_dtype,
            context_window=props.context_window,
            trust_remote_code=props.trust_remote_code,
            revision=props.revision,
        )

    def _generation_request(
        self, request: GenerationPromptRequest, ctx: Context
    ) -> GenerationRequest:
        props = self.properties
        return GenerationRequest(
            prompt=request.generation_prompt,
            max_new_tokens=props.max_new_tokens,
            temperature=props.temperature,
            top_p=props.top_p,
            top_k=props.top_k,
            do_sample=props.do_sample,
            stop=props.stop,
            seed=props.seed,
            deadline_s=max(ctx.deadline - time.time(), 0.001) if ctx.deadline else None,
        )


async def _written(generation: Generation, ctx: Context) -> str:
    """The whole text, shown while it comes; cancelling the handling cancels the generation."""
    async with generation:
        async for piece in generation.text():
            ctx.emit(TextDelta(text=piece))
        finished = await generation.result()
    ctx.emit(UsageReported(usage=Usage.of(finished)))
    return finished.text
