"""`python -m benchmarks scale`: what a message costs in a guild as everything around it grows."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.contestant import Note, Tally
from benchmarks.guildbus_peer import Counter, add_tally, agent_on
from benchmarks.measure import Meter, Round
from guild import GuildBuilder
from guild.client import GuildClient

PUBLISHERS = 64


class Setting(NamedTuple):
    """One row: everything at its least but one.

    Attributes:
        groups: how many agents get a copy of each message.
        backlog: how many messages wait for an agent that works nowhere.
    """

    what: str
    topics: int = 1
    groups: int = 1
    backlog: int = 0
    payload_bytes: int = 200


SETTINGS = (
    Setting("one of everything"),
    Setting("10 topics", topics=10),
    Setting("100 topics", topics=100),
    Setting("1,000 topics", topics=1_000),
    Setting("4 groups", groups=4),
    Setting("16 groups", groups=16),
    Setting("10,000 waiting", backlog=10_000),
    Setting("100,000 waiting", backlog=100_000),
    Setting("2 KiB", payload_bytes=2 << 10),
    Setting("16 KiB", payload_bytes=16 << 10),
    Setting("64 KiB", payload_bytes=64 << 10),
)


async def measure(url: str, meter: Meter, messages: int) -> str:
    """The table. CPU counts per message published, and per copy handled where groups share it."""
    lines = [
        "| setting | copies/s | client CPU µs/copy | server CPU µs/copy |",
        "|---|--:|--:|--:|",
    ]
    for number, setting in enumerate(SETTINGS):
        measured = await _run(url, f"bench-scale-{number}", meter, messages, setting)
        lines.append(
            f"| {setting.what} | {measured.rate:,.0f} | {measured.cpu_us:.1f} "
            f"| {measured.server_cpu_us:.1f} |"
        )
    return "\n".join(lines)


async def _run(url: str, guild_id: str, meter: Meter, messages: int, setting: Setting) -> Round:
    count = max(PUBLISHERS, messages // max(1, setting.payload_bytes // 2_000))
    note = Note(number=0, text="x" * (setting.payload_bytes - 45))
    topics = [f"bench.t{number}" for number in range(setting.topics)]
    tally = Tally()
    builder = add_tally(GuildBuilder(guild_id), tally)
    working = [f"counter{number}" for number in range(setting.groups)]
    absent = ["absent"] if setting.backlog else []
    for agent in working + absent:
        builder.add_agent_spec(agent_on("bench.*", Counter, agent).set_concurrency(64).build_spec())
    async with builder.launch(bus=url, only=working) as guild:
        await _prepare(guild.client, topics, note, tally, setting)
        copies = count * setting.groups
        tally.expect(copies)

        async def publish(start: int) -> None:
            for number in range(start, count, PUBLISHERS):
                await guild.client.publish(topics[number % len(topics)], note)

        async def work() -> None:
            await asyncio.gather(*map(publish, range(PUBLISHERS)))
            await tally.complete()

        return await meter.timed(work, copies, is_on_server=True)


async def _prepare(
    client: GuildClient, topics: Sequence[str], note: Note, tally: Tally, setting: Setting
) -> None:
    """Bring the topics into being, and let what an absent agent is owed pile up."""
    tally.expect(len(topics) * setting.groups)
    for topic in topics:
        await client.publish(topic, note)
    await tally.complete()
    for _ in range(setting.backlog // 5_000):
        tally.expect(5_000 * setting.groups)
        await client.publish_many(topics[0], [note] * 5_000)
        await tally.complete()
