"""Messages and agents that the tests of the guild share."""

import asyncio
from typing import Any

from pydantic import BaseModel, Field, SecretStr

from guild.agent.agent import Agent, BaseAgentProps, handles
from messaging.handling.context import Context
from messaging.wire.message import Message


class Ping(Message, wire_name="tests.ping"):
    text: str = ""


class Pong(Message, wire_name="tests.pong"):
    text: str


class Note(Message, wire_name="tests.note"):
    text: str
    stars: int = 0


class Plain(BaseModel):
    text: str


class EchoProps(BaseAgentProps):
    prefix: str = ""
    times: int = Field(default=1, ge=1, le=9)
    token: SecretStr | None = None
    tags: dict[str, list[int]] = Field(default_factory=dict)


class Echo(Agent[EchoProps]):
    """Answers each ping."""

    @handles
    async def echo(self, ping: Ping) -> Pong:
        return Pong(text=self.properties.prefix + ping.text * self.properties.times)


class Asker(Agent):
    """Passes a note on as a ping and takes the answer."""

    @handles(sends=[Ping])
    async def ask(self, note: Note, ctx: Context) -> None:
        ctx.send(Ping(text=note.text))

    @handles
    async def take(self, pong: Pong) -> None: ...


class Sender(Agent):
    """Sends notes of its own accord."""

    @handles(sends=[Note])
    async def begin(self, ping: Ping, ctx: Context) -> None:
        ctx.send(Note(text=ping.text))


class Writer(Agent):
    """Answers with a note of as many stars as the ping has letters."""

    @handles
    async def write(self, ping: Ping) -> Note:
        return Note(text=ping.text, stars=len(ping.text))


class Reader(Agent):
    """Keeps the notes that it was handed."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: asyncio.Queue[Note] = read_notes

    @handles
    async def read(self, note: Note) -> None:
        self.notes.put_nowait(note)


class Failing(Agent):
    """Fails at every message."""

    @handles
    async def fail(self, ping: Ping) -> Pong:
        raise ValueError(f"cannot stand {ping.text}")


class NeedsStore(Agent):
    """Takes its store by its constructor."""

    def __init__(self, store: Any) -> None:
        super().__init__()
        self.store = store

    @handles
    async def look(self, ping: Ping) -> Pong:
        return Pong(text=str(self.store))


read_notes: asyncio.Queue[Note] = asyncio.Queue()
