"""For tests of your own agents and specs: a guild on a strict bus in memory.

async with launched(spec) as guild:
    reply = await guild.client.request("greetings", Greet(name="Ada"), Greeting)

    await guild.client.publish("orders", Order(number=7))
    await settled(guild)
    assert await sent(guild, "invoices") == [Invoice(number=7)]
    assert await state_of(guild, "clerk", "count", Count) == Count(value=1)
    assert await dead_letters(guild) == []
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from pydantic import BaseModel

from guild.agent.agent import Agent
from guild.agent.registry import Registry
from guild.builder import AgentBuilder, GuildBuilder
from guild.checking.plan import Plan
from guild.errors import UnknownAgentTypeError
from guild.runtime import Guild
from guild.spec.spec import AgentSpec, GuildSpec
from messaging.backend import FROM_START
from messaging.backends.memory import MemoryBackend
from messaging.bus import Bus
from messaging.client.dead_letters import Wanted
from messaging.handling.failure_record import Reason, reason_of
from messaging.observing import Observer
from messaging.process.clock import SYSTEM
from messaging.testing.clock import TestClock
from messaging.testing.stillness import until_still
from messaging.wire.decoding import Decoder
from messaging.wire.envelope import new_id
from messaging.wire.message import MessageRegistry, decode, wire_type_of
from messaging.wire.topic import EVENTS_TOPIC

__all__ = [
    "PATIENCE_S",
    "TestClock",
    "dead_letters",
    "guild_of",
    "launched",
    "seen",
    "sent",
    "settled",
    "state_of",
]

M = TypeVar("M", bound=BaseModel)

PATIENCE_S = 10.0
KEPT_S = 86_400.0


@asynccontextmanager
async def launched(
    spec: GuildSpec | AgentSpec | type[Agent[Any]],
    *,
    allow: Iterable[str] = (),
    registry: Registry | None = None,
    environ: Mapping[str, str] | None = None,
    complete: bool | None = None,
    clock: TestClock | None = None,
    observer: Observer | None = None,
) -> AsyncIterator[Guild]:
    """A running guild, or a guild of this one agent, on a bus that nobody else shares.

    The bus is strict: messages travel as headers and JSON, as they do between processes. What was
    handled stays in its topic, so that `sent` finds it.

    Args:
        spec: a guild, an agent of one, or the class of an agent.
        allow: packages whose classes the spec may name by dotted path.
        registry: where types are found, instead of `allow`.
        environ: where references are looked up; None for the process's own.
        complete: whether what the agents send must be handled by one of them. What leaves agents
            that are tested without their guild ends there; None for a whole guild only.
        clock: a clock that the test turns: delays, timers, schedules, retries and deadlines go by
            it; None for the real one.
        observer: sees what is published and handled.
    """
    guild_spec = spec if isinstance(spec, GuildSpec) else guild_of(spec)
    if not (isinstance(spec, GuildSpec) if complete is None else complete):
        known = registry or Registry((*guild_spec.source.allow, *allow))
        guild_spec = _ended(guild_spec, known)
    messages = MessageRegistry()
    plan = Plan.of(guild_spec, registry, environ, allow=allow)
    for message_class in plan.messages:
        messages.add(message_class)
    backend = MemoryBackend(
        f"tests-{new_id()}", strict=True, keep_settled_s=KEPT_S, clock=clock or SYSTEM
    )
    async with Bus(backend, guild_id=plan.spec.id, registry=messages, observer=observer) as bus:
        if clock is not None:
            clock.watch(bus)
        launching = Guild.launch(
            guild_spec, bus=bus, allow=allow, registry=registry, environ=environ
        )
        async with launching as guild:
            yield guild


def _ended(spec: GuildSpec, registry: Registry) -> GuildSpec:
    """`spec` with an end for everything that its agents send."""
    ends = dict.fromkeys(spec.ends)
    for agent in spec.agents:
        with suppress(UnknownAgentTypeError):  # told with its place when it is launched
            for contract in registry.agent_class(agent.type).contracts.values():
                ends |= {str(wire_type_of(message)): None for message in contract.sends}
    return spec.replaced({**spec.as_data(), "ends": list(ends)})


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


async def settled(guild: Guild, *, timeout_s: float = PATIENCE_S) -> None:
    """Return once every agent has handled what it was owed.

    What is held back for later, also for another attempt, is not owed yet: see `TestClock`.

    Raises:
        TimeoutError: a handler did not come to its end; names its agent.
    """
    await until_still([guild.client.bus], timeout_s=timeout_s)


async def sent(guild: Guild, topic: str) -> Sequence[BaseModel]:
    """Every message that was published or sent to `topic` so far, in order.

    Raises:
        WireError: one cannot be read, as an agent could not.
    """
    bus = guild.client.bus
    entries = await bus.backend.tail({topic: FROM_START}, max_count=sys.maxsize, wait_s=0.0)
    decoder = Decoder(bus.registry)
    return [decoder.read(entry.envelope) for entry in entries]


async def dead_letters(guild: Guild, agent: str | None = None) -> Sequence[Reason]:
    """Why messages were given up, by all agents or by one, the first first.

    `error_type`, `text` and the `attempts` say what happened; the messages themselves come with
    `guild.client.bus.dead_letters`.
    """
    found = guild.client.bus.dead_letters.find(Wanted(agent=agent))
    return [reason_of(letter) async for letter in found]


async def state_of(guild: Guild, agent: str, key: str, model: type[M]) -> M | None:
    """What `agent` has saved under `key`, as of its last commit; None when there is nothing.

    Raises:
        InvalidMessageError: it is no `model`.
    """
    stored = await guild.client.bus.backend.load_state(agent, key)
    return None if stored is None else decode(model, stored.value)
