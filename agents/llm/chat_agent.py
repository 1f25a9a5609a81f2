"""The chat agent: conversations, completions and payloads for everybody on the bus."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import Field, PositiveInt

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
from agents.llm.engines import EngineConfig
from agents.llm.failures import told_to_the_bus
from agents.llm.messages import ChatReply, ChatRequest, CompletionReply, CompletionRequest
from agents.llm.model_agent import ModelAgent, ModelProps
from agents.llm.parsing import Part, Text, ToolCall
from guild import Context, handles
from guild.progress import TextDelta

if TYPE_CHECKING:
    from agents.llm.structured import Grammar

_WISHES = set(Sampling.model_fields) & set(ChatRequest.model_fields)


class ChatAgentProps(ModelProps):
    """Which model answers, and how where a request does not say.

    Attributes:
        model: a folder, an id on the Hugging Face hub, or what else the backend knows. A link to
            a folder is followed at each request, so that a new model can be put in its place.
        overflow: what happens to a conversation that does not fit: `refuse`, or `drop_oldest`.
        max_active: answers that are written at the same time. llama.cpp takes memory for all of
            them when the model is loaded.
        options: settings of the backend alone.
    """

    model: str = Field(min_length=1)
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda|cuda:\d{1,3}|mps)$")
    overflow: OverflowPolicy = "refuse"
    max_active: PositiveInt = 32
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def engine_config(self) -> EngineConfig:
        """What engine answers; a link to a folder is followed now."""
        more = {"max_active": self.max_active, "options": self.options}
        return self._config_of(self.model, self.device, **more)


class ChatAgent(ModelAgent[ChatAgentProps]):
    """Answers `ChatRequest`, `CompletionRequest` and `AgentPayload`, each with what it cost.

    It keeps nothing between requests, so any of its replicas may answer any of them.
    """

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
