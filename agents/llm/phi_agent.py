"""The Phi agent by its public path; it lies in `agents.llm.bus`."""

from agents.llm.bus.phi_agent import LLMPhiAgent, PhiAgentProps, PyTorchAgentProps

__all__ = ["LLMPhiAgent", "PhiAgentProps", "PyTorchAgentProps"]
