"""The chat agent: conversations, completions and payloads for everybody on the bus."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, NonNegativeInt, PositiveInt

from agents.llm.chat import (
    AgentPayload,
    AgentResponse,
    OverflowPolicy,
    agent_response,
    allowed_tools,
    payload_messages,
)
from agents.llm.chat.messages import ChatCall
from agents.llm.dialogue import Dialogue, Sampling, grammar_of_format
from agents.llm.engines import Engine, EngineConfig, ModelRegistry
from agents.llm.engines.request import NewTokens, Seed, StopStrings, Temperature, TopP
from agents.llm.failures import told_to_the_bus
from agents.llm.messages import ChatReply, ChatRequest, CompletionReply, CompletionRequest
from agents.llm.parsing import Part, Text, ToolCall
from guild import Agent, BaseAgentProps, Context, handles
from guild.progress import TextDelta

if TYPE_CHECKING:
    from agents.llm.structured import Grammar

_WISHES = set(Sampling.model_fields) & set(ChatRequest.model_fields)


class ChatAgentProps(BaseAgentProps):
    """Which model answers, and how where a request does not say.

    Attributes:
        model: a folder, an id on the Hugging Face hub, or what else the backend knows. A link to
            a folder is followed at each request, so that a new model can be put in its place.
        max_new_tokens: limit on new tokens; None is 512, or what the context window leaves.
        context_window: tokens of a prompt and its answer; None is what the model has.
        overflow: what happens to a conversation that does not fit: `refuse`, or `drop_oldest`.
        options: settings of the backend alone.
    """

    model: str = Field(min_length=1)
    backend: str = "transformers"
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda|cuda:\d{1,3}|mps)$")
    torch_dtype: str = Field(default="auto", pattern=r"^(auto|float16|bfloat16|float32)$")
    max_new_tokens: NewTokens | None = None
    temperature: Temperature = 0.7
    top_p: TopP = 0.9
    top_k: NonNegativeInt = 50
    do_sample: bool = True
    stop: StopStrings = ()
    seed: Seed | None = None
    context_window: PositiveInt | None = None
    overflow: OverflowPolicy = "refuse"
    trust_remote_code: bool = False
    revision: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class ChatAgent(Agent[ChatAgentProps]):
    """Answers `ChatRequest`, `CompletionRequest` and `AgentPayload`, each with what it cost.

    It keeps nothing between requests, so any of its replicas may answer any of them. The model is
    loaded by the first one, and shared with every agent that uses the same `models` resource.
    """

    def __init__(self, properties: ChatAgentProps, models: ModelRegistry | None = None) -> None:
        super().__init__(properties)
        self._own_models = None if models else ModelRegistry()
        self._models = models or self._own_models

    async def stop(self) -> None:
        """Free the model, unless it belongs to the guild's resource."""
        if self._own_models is not None:
            await self._own_models.close()

    @handles(emits=[TextDelta])
    async def chat(self, request: ChatRequest, ctx: Context) -> ChatReply:
        with told_to_the_bus():
            grammar = await _grammar(request)
            async with self._lease() as engine:
                dialogue = Dialogue(
                    engine,
                    self._sampling(request, ctx),
                    overflow=self.properties.overflow,
                    tools=request.tools,
                    tool_choice=request.tool_choice,
                    grammar=grammar,
                )
                answer = await dialogue.answer(request.messages, _emitter(ctx))
        parsed = answer.parsed
        return ChatReply(
            content=parsed.text,
            thinking=parsed.thinking,
            tool_calls=tuple(map(_identified, range(len(parsed.tool_calls)), parsed.tool_calls)),
            value=answer.value if grammar is not None else None,
            problems=tuple(problem.message for problem in parsed.problems),
            dropped_messages=len(answer.dropped),
            finish_reason=str(answer.finish_reason),
            model=self.properties.model,
            usage=answer.usage,
        )

    @handles(emits=[TextDelta])
    async def complete(self, request: CompletionRequest, ctx: Context) -> CompletionReply:
        with told_to_the_bus():
            grammar = await _grammar(request)
            async with self._lease() as engine:
                dialogue = Dialogue(engine, self._sampling(request, ctx), grammar=grammar)
                answering = await dialogue.ask_to_continue(request.prompt)
                answer = await answering.whole(_emitter(ctx))
        return CompletionReply(
            text=answer.parsed.text,
            value=answer.value,
            finish_reason=str(answer.finish_reason),
            model=self.properties.model,
            usage=answer.usage,
        )

    @handles(emits=[TextDelta])
    async def invoke(self, payload: AgentPayload, ctx: Context) -> AgentResponse:
        """A payload brings its memory along: sessions are remembered by whoever asks."""
        with told_to_the_bus():
            allowed_tools(payload, ())
            async with self._lease() as engine:
                dialogue = Dialogue(
                    engine, self._sampling(None, ctx), overflow=self.properties.overflow
                )
                answer = await dialogue.answer(payload_messages(payload), _emitter(ctx))
        return agent_response(answer.parsed, answer.metadata(self.properties.model))

    def _lease(self) -> AbstractAsyncContextManager[Engine]:
        assert self._models is not None
        props = self.properties
        folder = Path(props.model)
        config = EngineConfig(
            model=str(folder.resolve()) if folder.is_dir() else props.model,
            backend=props.backend,
            device=props.device,
            dtype=props.torch_dtype,
            context_window=props.context_window,
            trust_remote_code=props.trust_remote_code,
            revision=props.revision,
            options=props.options,
        )
        return self._models.lease(config)

    def _sampling(self, request: ChatRequest | CompletionRequest | None, ctx: Context) -> Sampling:
        own = self.properties.model_dump(include=_WISHES)
        wishes = {} if request is None else request.model_dump(include=_WISHES)
        deadline_s = max(ctx.deadline - time.time(), 0.001) if ctx.deadline else None
        return Sampling(**own).but(**wishes, deadline_s=deadline_s)


async def _grammar(request: ChatRequest | CompletionRequest) -> "Grammar | None":
    """Reading a large schema takes seconds, so it is read in a thread."""
    if request.response_format is None:
        return None
    return await asyncio.to_thread(grammar_of_format, request.response_format)


def _emitter(ctx: Context) -> Callable[[Part], None]:
    def emit(part: Part) -> None:
        if isinstance(part, Text):
            ctx.emit(TextDelta(text=part.text))

    return emit


def _identified(number: int, call: ToolCall) -> ChatCall:
    return ChatCall(id=call.id or f"call{number + 1:05d}", name=call.name, arguments=call.arguments)
