"""Guilds: agents with typed handlers, declared in Python or YAML, run and watched."""

from typing import TYPE_CHECKING

from messaging._lazy import lazily
from messaging._origin import check_origin

check_origin(__name__)

if TYPE_CHECKING:
    from guild.agent.agent import Agent, handles
    from guild.builder import AgentBuilder, GuildBuilder, RouteBuilder
    from guild.client import GuildClient
    from guild.properties import BaseAgentProps
    from guild.runtime import Guild
    from guild.spec.spec import AgentSpec, GuildSpec
    from messaging.handling.context import Context

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

__getattr__ = lazily(
    __name__,
    {
        "guild.agent.agent": ("Agent", "handles"),
        "guild.builder": ("AgentBuilder", "GuildBuilder", "RouteBuilder"),
        "guild.client": ("GuildClient",),
        "guild.properties": ("BaseAgentProps",),
        "guild.runtime": ("Guild",),
        "guild.spec.spec": ("AgentSpec", "GuildSpec"),
        "messaging.handling.context": ("Context",),
    },
)
