"""Runs a guild in a process of its own until its input closes; its argument is the bus."""

import asyncio
import os
import sys

from guild.agent.agent import Agent, handles
from guild.builder import AgentBuilder
from guild.runtime import Guild
from guild.spec.spec import GuildSpec
from guild.testing import guild_of
from tests.guild.samples import Ping, Pong


class Worker(Agent):
    """Says who answers; never answers `hang`, unless it was made in another process."""

    @handles
    async def work(self, ping: Ping) -> Pong:
        if ping.text == os.environ.get("HANG_ON"):
            print("hanging", flush=True)  # noqa: T201 - the test waits for this line
            await asyncio.Event().wait()
        return Pong(text=str(os.getpid()))


def shared_spec() -> GuildSpec:
    return guild_of(
        AgentBuilder(Worker).set_id("worker").set_lease(2.0).build_spec(), guild_id="shared"
    )


async def main(url: str) -> None:
    async with Guild.launch(shared_spec(), bus=url):
        print("ready", flush=True)  # noqa: T201 - the test waits for this line
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
