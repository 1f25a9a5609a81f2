"""Language-model agents and the engines behind them."""

from agents.llm.messages import GenerationPromptRequest, GenerationPromptResponse
from agents.llm.phi_agent import LLMPhiAgent, PhiAgentProps, PyTorchAgentProps

__all__ = [
    "GenerationPromptRequest",
    "GenerationPromptResponse",
    "LLMPhiAgent",
    "PhiAgentProps",
    "PyTorchAgentProps",
]
