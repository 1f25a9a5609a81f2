"""Agents for the gateway to talk to."""

import asyncio
import hashlib
from collections import Counter
from typing import Any

from pydantic import Field

from guild.agent.agent import Agent, handles
from guild.checking.loader import load_yaml
from guild.progress import TextDelta
from guild.spec.spec import GuildSpec
from messaging.handling.context import Context
from messaging.wire.message import Message

runs: Counter[str] = Counter()
gates: dict[str, asyncio.Event] = {}
began: dict[str, asyncio.Event] = {}


class Say(Message, wire_name="gw.say"):
    """Ask for words.

    Attributes:
        gate: the name of an event that is waited for after the first half of them.
    """

    text: str = ""
    words: int = 0
    size: int = 4
    gate: str = ""


class Study(Message, wire_name="gw.study"):
    """Asked in the conversation of its name."""

    name: str

    @property
    def conversation(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()[:32]


class Said(Message, wire_name="gw.said"):
    text: str


class Break(Message, wire_name="gw.break"):
    why: str = "it was broken"


class Note(Message, wire_name="gw.note"):
    text: str = ""


class Tree(Message, wire_name="gw.tree"):
    """Branches of trees."""

    name: str = ""
    branches: tuple["Tree", ...] = ()
    anything: dict[str, Any] = Field(default={})


class Speaker(Agent):
    """Says words one by one, and then all of them."""

    @handles(emits=[TextDelta])
    async def say(self, request: Say, ctx: Context) -> Said:
        runs[request.text] += 1
        if request.gate:
            began.setdefault(request.gate, asyncio.Event()).set()
        for number in range(request.words):
            if request.gate and number == request.words // 2:
                await gates.setdefault(request.gate, asyncio.Event()).wait()
            ctx.emit(TextDelta(text=f"{number}".rjust(request.size, ".")))
        if request.gate and not request.words:
            await gates.setdefault(request.gate, asyncio.Event()).wait()
        return Said(text=request.text)

    @handles(emits=[TextDelta])
    async def study(self, request: Study, ctx: Context) -> Said:
        ctx.emit(TextDelta(text="studied"))
        return Said(text=request.name)


class Breaker(Agent):
    """Gives up at once."""

    @handles
    async def fail(self, request: Break) -> Said:
        runs[request.why] += 1
        raise ValueError(request.why)


class Listener(Agent):
    """Takes notes and trees, and answers nothing."""

    @handles
    async def note(self, note: Note) -> None:
        runs[note.text] += 1

    @handles
    async def tree(self, tree: Tree) -> None: ...


SPEC = """
id: {id}
name: The crew
description: A crew for the gateway.
bus: memory://
drain_s: 0.2
agents:
  - {{id: speaker, type: "tests.gateway.crew:Speaker", topics: [says], concurrency: 64}}
  - {{id: breaker, type: "tests.gateway.crew:Breaker", topics: [breaks], retry: {{attempts: 1}}}}
  - {{id: listener, type: "tests.gateway.crew:Listener", topics: [notes]}}
"""


def crew_spec(guild_id: str) -> GuildSpec:
    return load_yaml(SPEC.format(id=guild_id), allow=["tests.gateway"])
