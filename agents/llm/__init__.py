"""Language-model agents, and the plain libraries behind them, which know no bus."""

from typing import TYPE_CHECKING

from messaging._lazy import lazily

if TYPE_CHECKING:
    from agents.llm.messages import GenerationPromptRequest, GenerationPromptResponse
    from agents.llm.phi_agent import LLMPhiAgent, PhiAgentProps, PyTorchAgentProps

__all__ = [
    "GenerationPromptRequest",
    "GenerationPromptResponse",
    "LLMPhiAgent",
    "PhiAgentProps",
    "PyTorchAgentProps",
]

__getattr__ = lazily(
    __name__,
    {
        "agents.llm.messages": ("GenerationPromptRequest", "GenerationPromptResponse"),
        "agents.llm.phi_agent": ("LLMPhiAgent", "PhiAgentProps", "PyTorchAgentProps"),
    },
)
