"""What a guild asks of the place its agents run in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from messaging.wire.message import Message

Observer = Callable[[Message], None]
"""Told of what happens to agents, as the messages of `guild.events`."""


class AgentState(StrEnum):
    """What an agent is doing."""

    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    FAILED = "failed"  # down for good, after a crash
    ENDED = "ended"  # over by itself, and meant to be
    STOPPED = "stopped"


@dataclass
class ReplicaStatus:
    """How one replica of an agent is doing.

    Attributes:
        restarts: how often it was started again.
        error: its last crash, "" if there was none.
    """

    agent: str
    replica: int
    state: AgentState = AgentState.STARTING
    restarts: int = 0
    error: str = ""


class Engine(Protocol):
    """Runs the agents of one guild."""

    @property
    def replicas(self) -> Sequence[ReplicaStatus]:
        """Every replica, in the order of the spec; the objects stay up to date."""
        ...

    async def start(self) -> None:
        """Subscribe every agent, then start them; return when each has started or crashed once."""
        ...

    async def drain(self) -> None:
        """Finish what is in hand, give back the rest, stop every agent, close resources."""
        ...
