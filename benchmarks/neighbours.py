"""`python -m benchmarks neighbours`: what nine agents of a guild notice of a tenth that is hot.

The nine get a message every 20 ms, the tenth 5,000 a second in a stream. Calm and busy times are
compared within a round, so that whatever else the machine does befalls both.
"""

import asyncio
import statistics
import time
from contextlib import suppress

from benchmarks.contestant import Tally
from benchmarks.guildbus_peer import add_tally, agent_on
from benchmarks.measure import Meter, percentile
from guild import Agent, GuildBuilder, handles
from guild.client import GuildClient
from messaging import Message

QUIET_AGENTS = 9
ROUNDS = 7
PROBES = 50
SETTLING = 5  # while the stream begins or ends, which is not what is asked about
PROBE_EVERY_S = 0.02
BURST, BURST_EVERY_S = 25, 0.005


class Probe(Message, frozen=True, wire_name="bench.probe"):
    sent_at: float


class Heat(Message, frozen=True, wire_name="bench.heat"):
    number: int


class Latencies(Tally):
    """Counts probes, and keeps how long they took."""

    def __init__(self) -> None:
        super().__init__()
        self.took_s: list[float] = []

    def note(self, took_s: float) -> None:
        self.took_s.append(took_s)
        self.count()


class Quiet(Agent):
    """Notes how long each probe took to come here."""

    def __init__(self, tally: Latencies) -> None:
        super().__init__()
        self._tally = tally

    @handles
    async def note(self, probe: Probe) -> None:
        self._tally.note(time.perf_counter() - probe.sent_at)


class Hot(Agent):
    """Handles what comes as it comes."""

    @handles
    async def handle(self, heat: Heat) -> None: ...


async def measure(url: str, _meter: Meter, _messages: int) -> str:
    """The table, a line for each round."""
    lines = ["| p99 calm, ms | beside a hot agent, ms | times |", "|--:|--:|--:|"]
    found = await rounds(url)
    for calm_s, beside_s in found:
        lines.append(f"| {calm_s * 1e3:.2f} | {beside_s * 1e3:.2f} | {beside_s / calm_s:.2f} |")
    return "\n".join([*lines, "", f"median: {slowed_by(found):.2f} times"])


def slowed_by(found: list[tuple[float, float]]) -> float:
    """How many times as long as in calm times it takes beside the hot agent."""
    return statistics.median(beside_s / calm_s for calm_s, beside_s in found)


async def rounds(url: str) -> list[tuple[float, float]]:
    """The p99 in calm times and beside the hot agent, in seconds, of each round."""
    latencies = Latencies()
    builder = add_tally(GuildBuilder("bench-neighbours"), latencies)
    builder.add_agent_spec(agent_on("bench.heat", Hot).build_spec())
    for number in range(QUIET_AGENTS):
        agent = agent_on("bench.work", Quiet, f"quiet{number}")
        builder.add_agent_spec(agent.build_spec())
    found = []
    async with builder.launch(bus=url) as guild:
        for _ in range(ROUNDS):
            await _p99_s(guild.client, latencies, SETTLING)
            calm_s = await _p99_s(guild.client, latencies, PROBES)
            heating = asyncio.create_task(_heat(guild.client))
            await _p99_s(guild.client, latencies, SETTLING)
            found.append((calm_s, await _p99_s(guild.client, latencies, PROBES)))
            heating.cancel()
            with suppress(asyncio.CancelledError):
                await heating
    return found


async def _p99_s(client: GuildClient, latencies: Latencies, probes: int) -> float:
    latencies.took_s.clear()
    latencies.expect(probes * QUIET_AGENTS)
    for _ in range(probes):
        await client.publish("bench.work", Probe(sent_at=time.perf_counter()))
        await asyncio.sleep(PROBE_EVERY_S)
    await latencies.complete()
    return percentile(latencies.took_s, 99)


async def _heat(client: GuildClient) -> None:
    heat = [Heat(number=number) for number in range(BURST)]
    while True:
        await client.publish_many("bench.heat", heat)
        await asyncio.sleep(BURST_EVERY_S)
