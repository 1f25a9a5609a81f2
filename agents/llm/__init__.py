"""Language-model agents, and the plain libraries behind them, which know no bus."""

from typing import TYPE_CHECKING

from messaging._lazy import lazily

if TYPE_CHECKING:
    from agents.llm.agent import HuggingFaceLocalAgent, get_agent, get_agent_from_config
    from agents.llm.bus.chat_agent import ChatAgent, ChatAgentProps
    from agents.llm.bus.messages import (
        ChatReply,
        ChatRequest,
        CompletionReply,
        CompletionRequest,
        GenerationPromptRequest,
        GenerationPromptResponse,
        StatefulReply,
        StatefulRequest,
        StepSaid,
        ToolAnswered,
        UsageReported,
    )
    from agents.llm.bus.phi_agent import LLMPhiAgent, PhiAgentProps, PyTorchAgentProps
    from agents.llm.bus.spending import spent_on
    from agents.llm.chat import AgentPayload, AgentResponse, MemoryEntryData
    from agents.llm.stateful.agent import StatefulAgent, StatefulAgentProps
    from agents.llm.tools import Toolbox

__all__ = [
    "AgentPayload",
    "AgentResponse",
    "ChatAgent",
    "ChatAgentProps",
    "ChatReply",
    "ChatRequest",
    "CompletionReply",
    "CompletionRequest",
    "GenerationPromptRequest",
    "GenerationPromptResponse",
    "HuggingFaceLocalAgent",
    "LLMPhiAgent",
    "MemoryEntryData",
    "PhiAgentProps",
    "PyTorchAgentProps",
    "StatefulAgent",
    "StatefulAgentProps",
    "StatefulReply",
    "StatefulRequest",
    "StepSaid",
    "ToolAnswered",
    "Toolbox",
    "UsageReported",
    "get_agent",
    "get_agent_from_config",
    "spent_on",
]

__getattr__ = lazily(
    __name__,
    {
        "agents.llm.agent": ("HuggingFaceLocalAgent", "get_agent", "get_agent_from_config"),
        "agents.llm.chat": ("AgentPayload", "AgentResponse", "MemoryEntryData"),
        "agents.llm.bus.chat_agent": ("ChatAgent", "ChatAgentProps"),
        "agents.llm.bus.messages": (
            "ChatReply",
            "ChatRequest",
            "CompletionReply",
            "CompletionRequest",
            "GenerationPromptRequest",
            "GenerationPromptResponse",
            "StatefulReply",
            "StatefulRequest",
            "StepSaid",
            "ToolAnswered",
            "UsageReported",
        ),
        "agents.llm.bus.phi_agent": ("LLMPhiAgent", "PhiAgentProps", "PyTorchAgentProps"),
        "agents.llm.bus.spending": ("spent_on",),
        "agents.llm.stateful.agent": ("StatefulAgent", "StatefulAgentProps"),
        "agents.llm.tools": ("Toolbox",),
    },
)
