"""The chat agent: conversations, completions and payloads for everybody on the bus."""

import asyncio
from typing import TYPE_CHECKING

from agents.llm.bus.failures import told_to_the_bus
from agents.llm.bus.messages import ChatReply, ChatRequest, CompletionReply, CompletionRequest
from agents.llm.bus.model_agent import AnyModelProps, ModelAgent, emitter
from agents.llm.bus.sendable import sendable
from agents.llm.chat import (
    AgentPayload,
    AgentResponse,
    agent_response,
    allowed_tools,
    payload_messages,
)
from agents.llm.chat.messages import ChatCall
from agents.llm.dialogue import Dialogue, Sampling, grammar_of_format
from agents.llm.engines.request import StopStrings
from agents.llm.parsing import ToolCall
from guild import Context, handles
from guild.progress import TextDelta

if TYPE_CHECKING:
    from agents.llm.structured import Grammar


class ChatAgentProps(AnyModelProps):
    """Which model answers, and how where a request does not say; see its bases.

    Attributes:
        stop: texts that end an answer; they are not part of it. An answer that must keep to a form
            (`response_format`, `tool_choice`) is not ended by them.
    """

    stop: StopStrings = ()


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
                    self._sampling_of(request, ctx),
                    overflow=self.properties.overflow,
                    tools=request.tools,
                    tool_choice=request.tool_choice,
                    grammar=grammar,
                )
                answer = await dialogue.answer(request.messages, emitter(ctx))
        parsed = answer.parsed
        return sendable(
            ChatReply(
                content=parsed.text,
                thinking=parsed.thinking,
                tool_calls=tuple(
                    map(_identified, range(len(parsed.tool_calls)), parsed.tool_calls)
                ),
                value=answer.value if grammar is not None else None,
                problems=tuple(problem.message for problem in parsed.problems),
                dropped_messages=len(answer.dropped),
                finish_reason=str(answer.finish_reason),
                model=self.properties.model,
                usage=answer.usage,
            )
        )

    @handles(emits=[TextDelta])
    async def complete(self, request: CompletionRequest, ctx: Context) -> CompletionReply:
        with told_to_the_bus():
            grammar = await _grammar(request)
            async with self._lease() as engine:
                dialogue = Dialogue(engine, self._sampling_of(request, ctx), grammar=grammar)
                answering = await dialogue.ask_to_continue(request.prompt)
                answer = await answering.whole(emitter(ctx))
        return sendable(
            CompletionReply(
                text=answer.parsed.text,
                value=answer.value,
                finish_reason=str(answer.finish_reason),
                model=self.properties.model,
                usage=answer.usage,
            )
        )

    @handles(emits=[TextDelta])
    async def invoke(self, payload: AgentPayload, ctx: Context) -> AgentResponse:
        """A payload brings its memory along: the asker remembers sessions, not this agent."""
        with told_to_the_bus():
            allowed_tools(payload, ())
            async with self._lease() as engine:
                dialogue = Dialogue(
                    engine, self._sampling(None, ctx), overflow=self.properties.overflow
                )
                answer = await dialogue.answer(payload_messages(payload), emitter(ctx))
        return agent_response(answer.parsed, answer.metadata(self.properties.model))

    def _sampling_of(self, request: ChatRequest | CompletionRequest, ctx: Context) -> Sampling:
        sampling = self._sampling(request, ctx)
        is_own = request.stop is None and _has_form(request)
        return sampling.but(stop=()) if is_own else sampling


def _has_form(request: ChatRequest | CompletionRequest) -> bool:
    if isinstance(request, ChatRequest) and request.tool_choice not in {"auto", "none"}:
        return True
    form = request.response_format
    return form is not None and form.get("type") != "text"


async def _grammar(request: ChatRequest | CompletionRequest) -> "Grammar | None":
    """Reading a large schema takes seconds, so it is read in a thread."""
    if request.response_format is None:
        return None
    return await asyncio.to_thread(grammar_of_format, request.response_format)


def _identified(number: int, call: ToolCall) -> ChatCall:
    return ChatCall(id=call.id or f"call{number + 1:05d}", name=call.name, arguments=call.arguments)
