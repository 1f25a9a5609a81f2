"""A guild to look at: notes go through four agents, one after the other, and the last counts them.

The console reads this guild from a spec, so nothing in it is made by the process that runs it.
"""

from benchmarks.contestant import Note, Tally
from benchmarks.guildbus_peer import CONCURRENCY, Forwarder, agent_on
from guild import Agent, GuildBuilder, GuildSpec, handles

GUILD = "bench-console"
STAGES = ("intake", "check", "pack", "ship")
FIRST = "bench.intake"
ARRIVED = Tally()
"""What the last agent has handled in this process."""


class Last(Agent):
    """Counts what has come through."""

    @handles
    async def count(self, note: Note) -> None:
        ARRIVED.count()


def pipeline(guild_id: str = GUILD) -> GuildSpec:
    """The spec of the guild: each stage sends on to the topic of the next."""
    builder = GuildBuilder(guild_id)
    for number, stage in enumerate(STAGES):
        following = STAGES[number + 1 : number + 2]
        agent = agent_on(f"bench.{stage}", Forwarder if following else Last, stage)
        agent.set_concurrency(CONCURRENCY)
        if following:
            agent.set_output_topic(f"bench.{following[0]}")
        builder.add_agent_spec(agent.build_spec())
    return builder.build_spec()
