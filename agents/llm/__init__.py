"""Language-model agents, and the plain libraries behind them, which know no bus."""

from typing import TYPE_CHECKING

from messaging._lazy import lazily

if TYPE_CHECKING:
    from agents.llm.agent import HuggingFaceLocalAgent, get_agent, get_agent_from_config
    from agents.llm.chat import AgentPayload, AgentResponse, MemoryEntryData
    from agents.llm.messages import GenerationPromptRequest, GenerationPromptResponse
    from agents.llm.phi_agent import LLMPhiAgent, PhiAgentProps, PyTorchAgentProps

__all__ = [
    "AgentPayload",
    "AgentResponse",
    "GenerationPromptRequest",
    "GenerationPromptResponse",
    "HuggingFaceLocalAgent",
    "LLMPhiAgent",
    "MemoryEntryData",
    "PhiAgentProps",
    "PyTorchAgentProps",
    "get_agent",
    "get_agent_from_config",
]

__getattr__ = lazily(
    __name__,
    {
        "agents.llm.agent": ("HuggingFaceLocalAgent", "get_agent", "get_agent_from_config"),
        "agents.llm.chat": ("AgentPayload", "AgentResponse", "MemoryEntryData"),
        "agents.llm.messages": ("GenerationPromptRequest", "GenerationPromptResponse"),
        "agents.llm.phi_agent": ("LLMPhiAgent", "PhiAgentProps", "PyTorchAgentProps"),
    },
)
