"""Guildbus with what it does by default: fenced commits, retries, takeover, dead letters."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from benchmarks.contestant import Note
from messaging import (
    Bus,
    Context,
    Message,
    MessageRegistry,
    Subscription,
    SubscriptionOptions,
    connect,
)


class Question(Message, frozen=True, wire_name="bench.question"):
    """Carries a note to be sent back."""

    note: Note


class GuildbusPeer:
    """One bus, one group that counts notes and one that answers questions."""

    def __init__(self, url: str, name: str = "Guildbus") -> None:
        self.name = name
        self._url = url
        self._stack = AsyncExitStack()
        self._handled = asyncio.Event()
        self._missing = 0
        self._bus: Bus | None = None

    async def open(self) -> None:
        registry = MessageRegistry(Note, Question)
        self._bus = await self._stack.enter_async_context(
            connect(self._url, "bench", registry=registry)
        )
        options = SubscriptionOptions(concurrency=64)
        await self._bus.subscribe(
            Subscription("readers", ["bench.notes"], {Note: self._count}, options)
        )
        await self._bus.subscribe(
            Subscription("answerers", ["bench.questions"], {Question: self._answer}, options)
        )

    async def close(self) -> None:
        await self._stack.aclose()

    async def publish_awaited(self, notes: Sequence[Note], publishers: int) -> None:
        assert self._bus is not None
        bus = self._bus
        self._missing = len(notes)
        self._handled.clear()

        async def publish(share: Sequence[Note]) -> None:
            for note in share:
                await bus.publish("bench.notes", note)

        await asyncio.gather(*(publish(notes[start::publishers]) for start in range(publishers)))
        await self._handled.wait()

    async def publish_bulk(self, notes: Sequence[Note]) -> None:
        assert self._bus is not None
        await self._bus.publish_many("bench.bulk", notes)

    async def request(self, note: Note) -> Note:
        assert self._bus is not None
        answer = await self._bus.request("bench.questions", Question(note=note), timeout_s=30)
        assert isinstance(answer, Note)
        return answer

    async def _count(self, note: Note, ctx: Context) -> None:
        self._missing -= 1
        if self._missing == 0:
            self._handled.set()

    async def _answer(self, question: Question, ctx: Context) -> Note:
        return question.note
