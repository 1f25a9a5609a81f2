"""Agents to call in this process: payload in, response out. Knows no bus."""

from agents.llm.agent.factory import get_agent, get_agent_from_config
from agents.llm.agent.local_agent import HuggingFaceLocalAgent, LocalAgent
from agents.llm.agent.settings import AgentSettings

__all__ = [
    "AgentSettings",
    "HuggingFaceLocalAgent",
    "LocalAgent",
    "get_agent",
    "get_agent_from_config",
]
