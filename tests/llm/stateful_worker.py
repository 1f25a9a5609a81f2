"""Runs a guild with a stateful agent in a process of its own, until its input closes.

Its arguments are the bus, a model, which of its calls of the tool never returns, and whether it
asks a person about each.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from agents.approvals.agent import ApprovalsAgent
from agents.llm import StatefulAgent, StatefulAgentProps
from agents.llm.stateful.agent import ToolApprovals
from guild import AgentBuilder, Guild, GuildBuilder
from guild.spec.spec import GuildSpec

MACHINE = {
    "start": "plan",
    "states": {
        "plan": {"max_characters": 20, "next": ["first"]},
        "first": {"tools": [{"name": "who"}], "next": ["second"]},
        "second": {"tools": [{"name": "who"}], "next": ["done"]},
        "done": {"choice": ["done"]},
    },
}


def teller(hanging: int) -> Callable[[], object]:
    """A tool that tells its process, and hangs at this call, from 1; at 0 it never does."""
    called: list[int] = []

    async def who() -> str:
        called.append(1)
        if len(called) == hanging:
            print("hanging", flush=True)  # noqa: T201 - the test waits for this line
            await asyncio.Event().wait()
        return str(os.getpid())

    return who


def shared_spec(model: Path, hanging: int = 0, *, asks: bool = False) -> GuildSpec:
    """The guild; where it `asks`, a person decides about each call."""

    @asynccontextmanager
    async def tools() -> AsyncIterator[list[Callable[[], object]]]:
        yield [teller(hanging)]

    props = StatefulAgentProps(
        model=str(model), device="cpu", machine=MACHINE, approvals=ToolApprovals() if asks else None
    )
    agent = AgentBuilder(StatefulAgent).set_id("planner").set_lease(2.0).set_properties(props)
    guild = GuildBuilder("planners").add_resource("tools", tools).add_agent_spec(agent.build_spec())
    if asks:
        desk = AgentBuilder(ApprovalsAgent).set_id("desk").set_lease(2.0)
        desk.listen_to_default_topic(False).add_additional_topic("approvals")
        guild.add_agent_spec(desk.build_spec())
    return guild.build_spec()


async def main(url: str, model: str, hanging: str, asks: str = "") -> None:
    async with Guild.launch(shared_spec(Path(model), int(hanging), asks=bool(asks)), bus=url):
        print("ready", flush=True)  # noqa: T201 - the test waits for this line
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
