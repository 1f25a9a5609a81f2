"""Runs a guild that waits for things, in a process of its own; its argument is the bus."""

import asyncio
import sys
from typing import Any

from guild.agent.agent import Agent, handles
from guild.builder import AgentBuilder, GuildBuilder
from guild.runtime import Guild
from guild.spec.spec import GuildSpec
from messaging.handling.context import Context
from tests.guild.samples import Ping, Pong

WAIT_S = 8.0
EVERY_S = 4
SCHEDULES: dict[str, dict[str, Any]] = {
    "interval": {"every_s": EVERY_S},
    "cron": {"cron": f"*/{EVERY_S} * * * * *"},  # with seconds
}


class Clock(Agent):
    """Sets a timer when it is asked to."""

    @handles(sends=[Pong])
    async def wind(self, ping: Ping, ctx: Context) -> None:
        ctx.send(Pong(text=ping.text), "told", delay_s=WAIT_S, timer="tea")


def clockwork() -> GuildSpec:
    builder = GuildBuilder("clockwork").add_end(Pong).add_topic("told").add_topic("ticks")
    builder.add_agent_spec(AgentBuilder(Clock).set_id("clock").set_lease(2.0).build_spec())
    for schedule_id, times in SCHEDULES.items():
        builder.add_schedule(schedule_id, Pong(text=schedule_id), topic="ticks", **times)
    return builder.build_spec()


async def main(url: str) -> None:
    async with Guild.launch(clockwork(), bus=url):
        print("ready", flush=True)  # noqa: T201 - the test waits for this line
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
