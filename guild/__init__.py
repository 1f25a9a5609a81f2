"""Guilds: agents with typed handlers, declared in Python or YAML, run and watched."""

from messaging._origin import check_origin

check_origin(__name__, __file__)

from guild.agent import Agent, BaseAgentProps, handles  # noqa: E402 - strangers are told first
from guild.builder import AgentBuilder, GuildBuilder, RouteBuilder  # noqa: E402
from guild.client import GuildClient  # noqa: E402
from guild.runtime import Guild  # noqa: E402
from guild.spec import AgentSpec, GuildSpec  # noqa: E402
from messaging.context import Context  # noqa: E402

__all__ = [
    "Agent",
    "AgentBuilder",
    "AgentSpec",
    "BaseAgentProps",
    "Context",
    "Guild",
    "GuildBuilder",
    "GuildClient",
    "GuildSpec",
    "RouteBuilder",
    "handles",
]
