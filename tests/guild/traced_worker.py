"""Runs some agents of a traced guild in a process of its own until its input closes.

python -m tests.guild.traced_worker URL FILE AGENT…

Each span is written to FILE as it ends. `ENDS_AT_ONCE=1` makes spans of what a handler sends end
when it is sent, which is wrong.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from guild.agent.agent import Agent, handles
from guild.builder import AgentBuilder, GuildBuilder
from guild.runtime import Guild
from guild.spec.spec import GuildSpec
from messaging import Context, Message, Observer, Requester
from messaging.telemetry import OpenTelemetryObserver

ALLOW = ("tests",)
FAR, NEAR = "listeners", "lab"


class Order(Message, wire_name="traced.order"):
    text: str


class Check(Message, wire_name="traced.check"):
    text: str


class Checked(Message, wire_name="traced.checked"):
    """The answer to a check."""


class Prepare(Message, wire_name="traced.prepare"):
    requester: Requester


class Build(Message, wire_name="traced.build"):
    requester: Requester


class Built(Message, wire_name="traced.built"):
    requester: Requester


class News(Message, wire_name="traced.news"):
    """For the other guild."""


class Done(Message, wire_name="traced.done"):
    """The answer to an order."""


class Front(Agent):
    """Has an order checked, and answers it once it was built."""

    @handles(sends=[Prepare])
    async def order(self, order: Order, ctx: Context) -> None:
        await ctx.request("inbox.checker", Check(text=order.text))
        assert ctx.requester is not None
        ctx.send(Prepare(requester=ctx.requester), "inbox.flaky")

    @handles(answers=[Done])
    async def built(self, built: Built, ctx: Context) -> None:
        ctx.answer(built.requester, Done())


class Checker(Agent):
    """Finds nothing wrong."""

    @handles
    async def check(self, check: Check) -> Checked:
        return Checked()


class Flaky(Agent):
    """Fails once, then has it built a moment later."""

    @handles(sends=[Build])
    async def prepare(self, prepare: Prepare, ctx: Context) -> None:
        ctx.send(Build(requester=prepare.requester), "inbox.builder", timer="soon", delay_s=0.01)
        if ctx.attempt == 1:
            raise RuntimeError("not yet")


class Builder(Agent):
    """Hangs in the process that says so, in the midst of its work."""

    @handles(sends=[Built])
    async def build(self, build: Build, ctx: Context) -> None:
        ctx.send(Built(requester=build.requester), "inbox.herald")
        if os.environ.get("HANGS"):
            print("hanging", flush=True)  # noqa: T201 - the test waits for this line
            await asyncio.Event().wait()


class Herald(Agent):
    """Passes on what was built, and tells the other guild."""

    @handles(sends=[Built, News])
    async def tell(self, built: Built, ctx: Context) -> None:
        ctx.send(News(), "news", guild=FAR)
        ctx.send(built, "inbox.front")


class Listener(Agent):
    """Of the other guild."""

    @handles
    async def hear(self, news: News) -> None:
        """Nothing more comes of it."""


AGENTS = {"front": Front, "checker": Checker, "flaky": Flaky, "builder": Builder, "herald": Herald}


def near(url: str) -> GuildSpec:
    """Five agents."""
    builder = GuildBuilder(NEAR).set_messaging(url).add_end(News)
    for name, agent in AGENTS.items():
        spec = AgentBuilder(agent).set_id(name).set_lease(2.0).listen_to_default_topic(False)
        builder.add_agent_spec(spec.set_retry(attempts=3, backoff_s=0.01).build_spec())
    return builder.add_neighbour(FAR, url).build_spec()


def far(url: str) -> GuildSpec:
    """The other guild."""
    agent = AgentBuilder(Listener).set_id("listener").add_additional_topic("news").build_spec()
    return GuildBuilder(FAR).set_messaging(url).add_agent_spec(agent).build_spec()


class EndsAtOnce(OpenTelemetryObserver):
    """Tells of what a handler sends as it is sent, and not when it leaves."""

    def _send(self, envelope: Any, context: Any, here: Any = None, links: Any = ()) -> str:
        return super()._send(envelope, context, None, links)


def observer_of(file: Path) -> Observer:
    provider = TracerProvider(shutdown_on_exit=False)
    exporter = ConsoleSpanExporter(
        out=file.open("a"), formatter=lambda span: f"{span.to_json(indent=None)}\n"
    )
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return (EndsAtOnce if os.environ.get("ENDS_AT_ONCE") else OpenTelemetryObserver)(provider)


async def main(url: str, file: str, *agents: str) -> None:
    observer = observer_of(Path(file))
    only = [agent for agent in agents if agent in AGENTS]
    async with Guild.launch(near(url), observer=observer, only=only, allow=ALLOW):
        if "listener" in agents:
            async with Guild.launch(far(url), observer=observer, allow=ALLOW):
                await _until_closed()
        else:
            await _until_closed()


async def _until_closed() -> None:
    print("ready", flush=True)  # noqa: T201 - the test waits for this line
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
