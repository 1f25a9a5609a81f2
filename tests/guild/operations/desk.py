"""A guild at work on one store, and an operator's client of it, as if in another process."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from guild.agent.agent import Agent, handles
from guild.builder import AgentBuilder, GuildBuilder
from guild.checking.plan import Plan
from guild.client import GuildClient
from guild.events import OperatorActed
from guild.runtime import Guild
from guild.spec.spec import GuildSpec
from messaging.bus import Bus
from messaging.wire.message import MessageRegistry
from tests.guild.samples import Ping, Pong
from tests.messaging.conftest import Site

QUIET_S = 1.0


class Hold:
    """Where a handler says that it has begun, and waits to be let go."""

    def __init__(self) -> None:
        self.begun, self.may_go = asyncio.Event(), asyncio.Event()


class Holding(Agent):
    """Answers when it is let go, by the `hold` of the test that runs."""

    hold: ClassVar[Hold]

    @handles
    async def wait(self, ping: Ping) -> Pong:
        self.hold.begun.set()
        await self.hold.may_go.wait()
        return Pong(text=ping.text)


def spec_of(*classes: type[Agent[Any]], attempts: int = 1, **named: type[Agent[Any]]) -> GuildSpec:
    """Agents by the names of their classes in lower case, or by names of their own."""
    builder = GuildBuilder("tests").set_messaging("memory://").set_drain(0.2)
    agents = {each.__name__.lower(): each for each in classes} | named
    for name, agent_class in agents.items():
        agent = AgentBuilder(agent_class).set_id(name).set_lease(QUIET_S)
        builder.add_agent_spec(agent.set_retry(attempts=attempts, backoff_s=0.01).build_spec())
    return builder.build_spec()


@asynccontextmanager
async def running(site: Site, spec: GuildSpec, **limits: Any) -> AsyncIterator[Guild]:
    """A guild on a bus of its own."""
    plan = Plan.of(spec)
    registry = MessageRegistry(*plan.messages)
    async with (
        Bus(await site.open(**limits), owns_backend=False, registry=registry) as bus,
        Guild.launch(spec, bus=bus) as guild,
    ):
        yield guild


@asynccontextmanager
async def client_of(
    site: Site, spec: GuildSpec, name: str = "client"
) -> AsyncIterator[GuildClient]:
    """A client on another bus."""
    plan = Plan.of(spec)
    backend = await site.open()
    async with Bus(backend, owns_backend=False, registry=plan.messages, name=name) as bus:
        yield GuildClient(bus, plan)


async def acts(client: GuildClient) -> Sequence[OperatorActed]:
    """What operators did so far, as the guild tells it."""
    events = [each.event async for each in client.events(follow=False)]
    return [event for event in events if isinstance(event, OperatorActed)]


async def until_later(client: GuildClient) -> float:
    """Return when the clock of the store has gone on by some milliseconds; what it shows then."""
    began = await client.bus.backend.time()
    while (now := await client.bus.backend.time()) < began + 0.005:
        pass
    return now
