"""Conversations with a model: messages, prompts, memory. Knows no bus and no engine."""

from agents.llm.chat.code import CodeBlock, code_blocks
from agents.llm.chat.errors import ChatTemplateError, InvalidChatError
from agents.llm.chat.messages import ChatCall, ChatMessage, chat_messages
from agents.llm.chat.payload import (
    AgentPayload,
    AgentResponse,
    MemoryEntryData,
    agent_response,
    allowed_tools,
    payload_messages,
)
from agents.llm.chat.sessions import SessionMemory
from agents.llm.chat.template import FALLBACK_STOP, ChatPrompt, check_messages, render_chat
from agents.llm.chat.window import Fitted, OverflowPolicy, fit_window

__all__ = [
    "FALLBACK_STOP",
    "AgentPayload",
    "AgentResponse",
    "ChatCall",
    "ChatMessage",
    "ChatPrompt",
    "ChatTemplateError",
    "CodeBlock",
    "Fitted",
    "InvalidChatError",
    "MemoryEntryData",
    "OverflowPolicy",
    "SessionMemory",
    "agent_response",
    "allowed_tools",
    "chat_messages",
    "check_messages",
    "code_blocks",
    "fit_window",
    "payload_messages",
    "render_chat",
]
