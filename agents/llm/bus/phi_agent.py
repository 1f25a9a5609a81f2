"""The Phi agent: completes prompts with a causal language model that runs in this process."""

import time

from pydantic import Field

from agents.llm.bus.failures import told_to_the_bus
from agents.llm.bus.messages import (
    GenerationPromptRequest,
    GenerationPromptResponse,
    UsageReported,
)
from agents.llm.bus.model_agent import ModelAgent, ModelProps
from agents.llm.bus.spending import note_spending
from agents.llm.dialogue.usage import Usage
from agents.llm.engines.config import EngineConfig
from agents.llm.engines.generation import Generation
from agents.llm.engines.request import GenerationRequest, StopStrings
from guild import BaseAgentProps, Context, handles
from guild.progress import TextDelta


class PyTorchAgentProps(BaseAgentProps):
    """Properties of agents that run a model.

    Attributes:
        torch_device: cuda, cuda:N, mps or cpu; `auto` is cuda where there is one, else cpu. It is
            looked up when the model loads, so that reading a spec does not import torch.
    """

    torch_device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda|cuda:\d{1,3}|mps)$")


class PhiAgentProps(PyTorchAgentProps, ModelProps):
    """Which model completes the prompts, and how.

    Attributes:
        model_id: id on the Hugging Face hub, or a folder that `save_pretrained` wrote. A link to
            a folder is followed at each request, so that a new model can be put in its place.
        stop: texts that end the answer; they are not part of it.
    """

    model_id: str = "microsoft/phi-2"
    stop: StopStrings = ()

    @property
    def engine_config(self) -> EngineConfig:
        """What engine answers; a link to a folder is followed now."""
        return self._config_of(self.model_id, self.torch_device)


class LLMPhiAgent(ModelAgent[PhiAgentProps]):
    """Answers `GenerationPromptRequest`; emits the text piece by piece while it is written,
    and at its end what it cost.
    """

    extra = "torch"
    requires = ("torch", "transformers")

    @handles(emits=(TextDelta, UsageReported))
    async def generate(
        self, request: GenerationPromptRequest, ctx: Context
    ) -> GenerationPromptResponse:
        with told_to_the_bus():
            async with self._lease() as engine:
                generation = await engine.submit(self._generation_request(request, ctx))
                text, usage = await _written(generation, engine.capabilities.context_window, ctx)
        note_spending(ctx.group, ctx.message_id, self.properties.model_id, usage)
        return GenerationPromptResponse(
            generation_prompt=request.generation_prompt,
            generated_response=request.generation_prompt + text,
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


async def _written(generation: Generation, window: int, ctx: Context) -> tuple[str, Usage]:
    """The whole text, shown while it comes, and what it cost.

    Cancelling the handling cancels the generation.
    """
    async with generation:
        async for piece in generation.text():
            ctx.emit(TextDelta(text=piece))
        finished = await generation.result()
    usage = Usage.of(finished, window)
    ctx.emit(UsageReported(usage=usage))
    return finished.text, usage
