"""Runs a guild with a chat agent in a process of its own, until its input closes.

Its argument is the bus. Where HANG is set, its model says a word and then nothing more.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agents.llm import ChatAgent, ChatAgentProps
from agents.llm.bus.resources import ModelsProps
from agents.llm.engines import ModelRegistry
from agents.llm.engines.scripted import Hang, Reply
from guild import AgentBuilder, Guild, GuildBuilder
from guild.spec.spec import GuildSpec
from tests.llm.chat_models import scripted_models


def reply(prompt: str) -> Reply:
    if os.environ.get("HANG"):
        print("hanging", flush=True)  # noqa: T201 - the test waits for this line
        return Hang("one ")
    return f"answered by {os.getpid()}"


@asynccontextmanager
async def models(_: ModelsProps) -> AsyncIterator[ModelRegistry]:
    async with scripted_models(reply) as registry:
        yield registry


def shared_spec() -> GuildSpec:
    agent = (
        AgentBuilder(ChatAgent)
        .set_id("chat")
        .set_lease(2.0)
        .set_properties(ChatAgentProps(model="script", backend="scripted"))
        .build_spec()
    )
    return GuildBuilder("talkers").add_resource("models", models).add_agent_spec(agent).build_spec()


async def main(url: str) -> None:
    async with Guild.launch(shared_spec(), bus=url):
        print("ready", flush=True)  # noqa: T201 - the test waits for this line
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
