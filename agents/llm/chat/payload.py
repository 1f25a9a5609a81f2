"""What a local agent is asked and what it answers."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agents._suggest import did_you_mean
from agents.llm.chat.code import code_blocks
from agents.llm.chat.errors import InvalidChatError
from agents.llm.chat.messages import ChatMessage
from agents.llm.engines.request import Text
from agents.llm.parsing import Parsed


class MemoryEntryData(BaseModel):
    """One message of an earlier conversation."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: Text


class AgentPayload(BaseModel):
    """A question, and all that is known beside it.

    Attributes:
        user_message: the question.
        thinking_blob: earlier reasoning, which the model is told.
        system_context: who the model is to be.
        user_profile: what is known about the user, which the model is told.
        tools_available: names of the tools that may be called; empty for all that are given.
        session_id: whose memory is used, where `memory` is not given; empty for none.
        memory: the conversation so far, in place of what is remembered of the session.
    """

    model_config = ConfigDict(extra="forbid")

    user_message: Text
    thinking_blob: Text = ""
    system_context: Text = ""
    user_profile: dict[str, Any] = Field(default_factory=dict)
    tools_available: list[str] = Field(default_factory=list)
    session_id: str = ""
    memory: list[MemoryEntryData] | None = None


class AgentResponse(BaseModel):
    """An answer.

    Attributes:
        thinking: the reasoning before it.
        response: the answer itself.
        code: what stood in its blocks of code, with an empty line between two.
        tool_calls: `name`, `arguments` and `id` of each call.
        metadata: what else is known, such as usage, problems and dropped messages.
    """

    model_config = ConfigDict(extra="forbid")

    thinking: str = ""
    response: str = ""
    code: str = ""
    tool_calls: list[dict[str, Any]] = Field(default_factory=list)
    metadata: dict[str, Any] = Field(default_factory=dict)


def payload_messages(
    payload: AgentPayload, remembered: Sequence[ChatMessage] = ()
) -> list[ChatMessage]:
    """The conversation that a payload means.

    One system message, if there is anything to say in it, comes first: the context, the profile,
    earlier reasoning, and what was in system messages of the memory.

    Args:
        payload: what is asked.
        remembered: what was said in the session before.
    """
    if payload.memory is None:
        memory = list(remembered)
    else:
        memory = [ChatMessage(role=item.role, content=item.content) for item in payload.memory]
    earlier = [message.content for message in memory if message.role == "system"]
    system = "\n\n".join(filter(None, [*_system_parts(payload), *earlier]))
    return [
        *([ChatMessage(role="system", content=system)] if system else []),
        *(message for message in memory if message.role != "system"),
        ChatMessage(role="user", content=payload.user_message),
    ]


def allowed_tools(payload: AgentPayload, names: Iterable[str]) -> list[str]:
    """Which of the given tools the payload lets the model call.

    Raises:
        InvalidChatError: it names one that is not given.
    """
    given = list(names)
    for name in payload.tools_available:
        if name not in given:
            hint = did_you_mean(name, given)
            raise InvalidChatError(f"tools_available names {name!r}, but it is not given{hint}")
    return [
        name for name in given if not payload.tools_available or name in payload.tools_available
    ]


def agent_response(parsed: Parsed, metadata: Mapping[str, Any] | None = None) -> AgentResponse:
    """The answer that a model's output is. Problems are told in its metadata."""
    told = [problem.message for problem in parsed.problems]
    return AgentResponse(
        thinking=parsed.thinking,
        response=parsed.text,
        code="\n\n".join(block.code for block in code_blocks(parsed.text)),
        tool_calls=[
            {"name": call.name, "arguments": call.arguments, "id": call.id}
            for call in parsed.tool_calls
        ],
        metadata={**(metadata or {}), **({"problems": told} if told else {})},
    )


def _system_parts(payload: AgentPayload) -> list[str]:
    parts = [payload.system_context.strip()]
    if payload.user_profile:
        lines = [f"- {key}: {_shown(value)}" for key, value in payload.user_profile.items()]
        parts.append("\n".join(["About the user:", *lines]))
    if payload.thinking_blob.strip():
        parts.append(f"Your earlier reasoning:\n{payload.thinking_blob.strip()}")
    return parts


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
