"""`python -m benchmarks agents`: what a guild costs as it gets more agents, each on its own topic.

A message must not cost more for the agents that it does not concern, a first message to each new
topic no more than its share, and who has nothing to do should do nothing.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from benchmarks.contestant import Note
from benchmarks.measure import Meter
from guild import Agent, AgentBuilder, Guild, GuildBuilder, GuildSpec, handles
from messaging import Message

AGENTS = (1, 10, 100, 300)
IDLE_S = 10.0
PUBLISHES = 500
ROUNDS = 5
HEAD = (
    "| agents | start-up s | first requests s | again s | publish by client µs | by bus µs "
    "| idle client, % of a core | idle server | commands/s idle |"
)


class Heard(Message, wire_name="bench.heard"):
    """The answer to a note."""


class Reader(Agent):
    """Answers those notes that have a number."""

    @handles
    async def read(self, note: Note) -> Heard | None:
        return Heard() if note.number >= 0 else None


class Row(NamedTuple):
    """What one number of agents came to.

    Attributes:
        start_s: from the launch of the guild until every agent works.
        first_s: one request to each agent, all at once; no topic existed before.
        again_s: the same once more.
        client_us: an awaited publish through the client of the guild.
        bus_us: the same by the bus beneath.
        idle_share: of one core, what the process took while nothing happened.
        server_share: the same of the server.
        commands: what the server was asked each second meanwhile, calls out of scripts included.
    """

    agents: int
    start_s: float
    first_s: float
    again_s: float
    client_us: float
    bus_us: float
    idle_share: float
    server_share: float
    commands: float


async def measure(url: str, meter: Meter, _: int) -> str:
    """The table, a row for each number of agents."""
    lines = [HEAD, f"|{'--:|' * HEAD.count(' | ')}--:|"]
    for count in AGENTS:
        row = await run(url, meter, count)
        lines.append(
            f"| {row.agents} | {row.start_s:.2f} | {row.first_s:.2f} | {row.again_s:.2f} "
            f"| {row.client_us:.1f} | {row.bus_us:.1f} | {row.idle_share:.2%} "
            f"| {row.server_share:.2%} | {row.commands:,.0f} |"
        )
    return "\n".join(lines)


async def run(url: str, meter: Meter, count: int) -> Row:
    """Launch a guild of `count` agents and measure it, the idle time last."""
    spec = guild_of(count)
    started = time.perf_counter()
    async with Guild.launch(spec, bus=url, allow=["benchmarks"]) as guild:
        start_s = time.perf_counter() - started
        first_s, again_s = [await _ask_all(guild, count) for _ in range(2)]
        client_us, bus_us = await _publishing(guild)
        await _ask_all(guild, 1)  # behind what was published
        asked = meter.commands()
        idle = await meter.timed(lambda: asyncio.sleep(IDLE_S), 1, is_on_server=True)
        commands = meter.commands() - asked
    return Row(
        count,
        start_s,
        first_s,
        again_s,
        client_us,
        bus_us,
        idle.cpu_s / idle.wall_s,
        idle.server_cpu_s / idle.wall_s,
        commands / idle.wall_s,
    )


def guild_of(count: int) -> GuildSpec:
    """A guild of `count` agents; each has a topic for itself."""
    builder = GuildBuilder(f"bench-agents-{count}")
    for number in range(count):
        agent = AgentBuilder(Reader).set_id(f"agent{number}").add_additional_topic(_topic(number))
        builder.add_agent_spec(agent.listen_to_default_topic(False).build_spec())
    return builder.build_spec()


async def _ask_all(guild: Guild, count: int) -> float:
    asks = [
        guild.client.request(_topic(number), Note(number=number), timeout_s=600)
        for number in range(count)
    ]
    started = time.perf_counter()
    await asyncio.gather(*asks)
    return time.perf_counter() - started


async def _publishing(guild: Guild) -> tuple[float, float]:
    """Processor time of sealing and queueing one message by the client and by the bus, in turn."""
    note = Note(number=-1)
    ways: tuple[Callable[[str, Note], Awaitable[str]], ...] = (
        guild.client.publish,
        guild.client.bus.publish,
    )
    best = [float("inf")] * len(ways)
    for _ in range(ROUNDS):
        for number, publish in enumerate(ways):
            calls = [publish(_topic(0), note) for _ in range(PUBLISHES)]
            started = time.process_time()
            await asyncio.gather(*calls)
            best[number] = min(best[number], time.process_time() - started)
    return best[0] / PUBLISHES * 1e6, best[1] / PUBLISHES * 1e6


def _topic(number: int) -> str:
    return f"bench.topic{number}"
