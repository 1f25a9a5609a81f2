"""Guildbus with what it does by default: fenced commits, retries, takeover, dead letters."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from benchmarks.contestant import ALL, Contestant, Note, Tally, publish_each
from messaging import (
    Bus,
    Context,
    Message,
    MessageRegistry,
    Subscription,
    SubscriptionOptions,
    connect,
)

SLICE = 500


class Question(Message, frozen=True, wire_name="bench.question"):
    """Carries a note to be sent back."""

    note: Note


class GuildbusPeer(Contestant):
    """One bus with a group that counts notes, one that sends them on, one that answers."""

    scenarios = ALL

    def __init__(self, url: str) -> None:
        self._url = url
        self._stack = AsyncExitStack()
        self._tally = Tally()
        self._bus: Bus | None = None

    async def open(self) -> None:
        registry = MessageRegistry(Note, Question)
        self._bus = bus = await self._stack.enter_async_context(
            connect(self._url, "bench", registry=registry)
        )
        options = SubscriptionOptions(concurrency=64)
        forward = SubscriptionOptions(concurrency=64, output_topic="bench.notes")
        for subscription in (
            Subscription("readers", ["bench.notes"], {Note: self._count}, options),
            Subscription("forwarders", ["bench.inputs"], {Note: self._forward}, forward),
            Subscription("answerers", ["bench.questions"], {Question: self._answer}, options),
        ):
            await bus.subscribe(subscription)

    async def close(self) -> None:
        await self._stack.aclose()

    async def publish_awaited(self, notes: Sequence[Note], publishers: int) -> None:
        assert self._bus is not None
        bus = self._bus
        self._tally.expect(len(notes))

        await publish_each(lambda note: bus.publish("bench.notes", note), notes, publishers)
        await self._tally.complete()

    async def publish_bulk(self, notes: Sequence[Note]) -> None:
        await self._publish_slices("bench.bulk", notes)

    async def publish_handled(self, notes: Sequence[Note]) -> None:
        await self._publish_all("bench.notes", notes)

    async def process(self, notes: Sequence[Note]) -> None:
        await self._publish_all("bench.inputs", notes)

    async def unacknowledged(self) -> int:
        assert self._bus is not None
        topics = await self._bus.backend.topics()
        return sum(sum(t.waiting.values()) + sum(t.pending.values()) for t in topics)

    async def request(self, note: Note) -> Note:
        assert self._bus is not None
        answer = await self._bus.request("bench.questions", Question(note=note), timeout_s=30)
        assert isinstance(answer, Note)
        return answer

    async def _publish_all(self, topic: str, notes: Sequence[Note]) -> None:
        self._tally.expect(len(notes))
        await self._publish_slices(topic, notes)
        await self._tally.complete()

    async def _publish_slices(self, topic: str, notes: Sequence[Note]) -> None:
        """Each slice is stored as a whole or not at all; nobody needs more than that."""
        assert self._bus is not None
        starts = range(0, len(notes), SLICE)
        publishing = (self._bus.publish_many(topic, notes[at : at + SLICE]) for at in starts)
        await asyncio.gather(*publishing)

    async def _count(self, note: Note, ctx: Context) -> None:
        self._tally.count()

    async def _forward(self, note: Note, ctx: Context) -> Note:
        return note

    async def _answer(self, question: Question, ctx: Context) -> Note:
        return question.note


class GuildbusInMemory(GuildbusPeer):
    """The same without a server."""

    is_on_server = False

    def __init__(self, _url: str) -> None:
        super().__init__("memory://")
