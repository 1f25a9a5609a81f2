"""For tests of your own agents and specs: a guild on a strict bus in memory.

async with launched(spec) as guild:
    reply = await guild.client.request("greetings", Greet(name="Ada"), Greeting)
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from pydantic import BaseModel

from guild.agent import Agent
from guild.builder import AgentBuilder, GuildBuilder
from guild.registry import Registry
from guild.runtime import Guild
from guild.spec import AgentSpec, GuildSpec
from messaging.backends.memory import MemoryBackend
from messaging.bus import Bus
from messaging.clock import SYSTEM
from messaging.envelope import new_id
from messaging.message import MessageRegistry
from messaging.testing_clock import TestClock
from messaging.topic import EVENTS_TOPIC

M = TypeVar("M", bound=BaseModel)

PATIENCE_S = 10.0


@asynccontextmanager
async def launched(
    spec: GuildSpec | AgentSpec | type[Agent[Any]],
    *,
    registry: Registry | None = None,
    clock: TestClock | None = None,
) -> AsyncIterator[Guild]:
    """A running guild, or a guild of this one agent, on a bus that nobody else shares.

    The bus is strict: messages travel as headers and JSON, as they do between processes.

    Args:
        spec: what to run.
        registry: where types are found.
        clock: a clock that the test turns: delays, timers, schedules, retries and deadlines go by
            it; None for the real one.
    """
    guild_spec = spec if isinstance(spec, GuildSpec) else guild_of(spec)
    messages = MessageRegistry()
    backend = MemoryBackend(f"tests-{new_id()}", strict=True, clock=clock or SYSTEM)
    async with Bus(backend, guild_id=guild_spec.id, registry=messages) as bus:
        if clock is not None:
            clock.watch(bus)
        guild = Guild.launch(guild_spec, bus=bus, registry=registry)
        for message_class in guild.plan.messages:
            messages.add(message_class)
        async with guild:
            yield guild


def guild_of(*agents: AgentSpec | type[Agent[Any]], guild_id: str = "tests") -> GuildSpec:
    """A spec of these agents; a class gets its own name in lower case as its id."""
    builder = GuildBuilder(guild_id).set_messaging("memory://").set_drain(1.0)
    for agent in agents:
        if isinstance(agent, AgentSpec):
            builder.add_agent_spec(agent)
        else:
            builder.add_agent_spec(AgentBuilder(agent).set_id(agent.__name__.lower()).build_spec())
    return builder.build_spec()


async def seen(
    guild: Guild,
    message_class: type[M],
    *,
    topic: str = EVENTS_TOPIC,
    timeout_s: float = PATIENCE_S,
) -> M:
    """The first `message_class` on `topic`, past ones included; `guild.events` unless told.

    Raises:
        TimeoutError: none came in time.
    """
    async with asyncio.timeout(timeout_s):
        async for tapped in guild.client.tap([topic], from_start=True):
            if isinstance(tapped.message, message_class):
                return tapped.message
    raise AssertionError("a tap has no end")
