"""Runs a guild with a stateful agent in a process of its own, until its input closes.

Its arguments are the bus and a model. Its second call of the tool never returns.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from agents.llm import StatefulAgent, StatefulAgentProps
from guild import AgentBuilder, Guild, GuildBuilder
from guild.spec import GuildSpec

MACHINE = {
    "start": "plan",
    "states": {
        "plan": {"max_characters": 20, "next": ["first"]},
        "first": {"tools": [{"name": "who"}], "next": ["second"]},
        "second": {"tools": [{"name": "who"}], "next": ["done"]},
        "done": {"choice": ["done"]},
    },
}


def who_once() -> Callable[[], object]:
    """A tool that tells its process, and hangs when it is called again."""
    called = []

    async def who() -> str:
        called.append(1)
        if len(called) > 1:
            print("hanging", flush=True)  # noqa: T201 - the test waits for this line
            await asyncio.Event().wait()
        return str(os.getpid())

    return who


@asynccontextmanager
async def tools() -> AsyncIterator[list[Callable[[], object]]]:
    yield [who_once()]


def shared_spec(model: Path) -> GuildSpec:
    agent = (
        AgentBuilder(StatefulAgent)
        .set_id("planner")
        .set_lease(2.0)
        .set_properties(StatefulAgentProps(model=str(model), device="cpu", machine=MACHINE))
        .build_spec()
    )
    return GuildBuilder("planners").add_resource("tools", tools).add_agent_spec(agent).build_spec()


async def main(url: str, model: str) -> None:
    async with Guild.launch(shared_spec(Path(model)), bus=url):
        print("ready", flush=True)  # noqa: T201 - the test waits for this line
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
