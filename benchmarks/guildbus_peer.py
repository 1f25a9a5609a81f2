"""Guildbus as its users have it: a guild of agents and its client. Beside it, the bus beneath.

Both do what they do by default: fenced commits, retries, takeover, dead letters. What the guild
puts on top is the work of its client, the checks of what its handlers give, and its supervisors.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from benchmarks.contestant import ALL, Contestant, Note, Tally, publish_each
from guild import Agent, AgentBuilder, BaseAgentProps, GuildBuilder, handles
from guild.client import GuildClient
from messaging import (
    Bus,
    Context,
    MessageRegistry,
    Observer,
    Subscription,
    SubscriptionOptions,
    connect,
)

SLICE = 500
CONCURRENCY = 64
NOTES, INPUTS, QUESTIONS, BULK_NOTES = (
    "bench.notes",
    "bench.inputs",
    "bench.questions",
    "bench.bulk",
)


class Counter(Agent):
    """Counts notes."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self._tally = tally

    @handles
    async def count(self, note: Note) -> None:
        self._tally.count()


class Forwarder(Agent):
    """Sends notes on, to its output topic."""

    @handles
    async def forward(self, note: Note) -> Note:
        return note


class Answerer(Agent):
    """Sends back what it is asked."""

    @handles
    async def answer(self, note: Note) -> Note:
        return note


class GuildPeer(Contestant):
    """A guild of three agents: one counts notes, one sends them on, one answers."""

    scenarios = ALL

    def __init__(
        self, url: str, guild_id: str = "bench-guild", observer: Observer | None = None
    ) -> None:
        self._url = url
        self._guild_id = guild_id
        self._observer = observer
        self._stack = AsyncExitStack()
        self._tally = Tally()
        self._speaker: GuildClient | Bus | None = None

    async def open(self) -> None:
        self._speaker = await self._stack.enter_async_context(self._opened())

    async def close(self) -> None:
        await self._stack.aclose()

    async def unacknowledged(self) -> int:
        topics = await self._bus.backend.topics()
        return sum(sum(t.waiting.values()) + sum(t.pending.values()) for t in topics)

    async def publish_awaited(self, notes: Sequence[Note], publishers: int) -> None:
        assert self._speaker is not None
        publish = self._speaker.publish
        self._tally.expect(len(notes))

        await publish_each(lambda note: publish(NOTES, note), notes, publishers)
        await self._tally.complete()

    async def publish_bulk(self, notes: Sequence[Note]) -> None:
        await self._publish_slices(BULK_NOTES, notes)

    async def publish_handled(self, notes: Sequence[Note]) -> None:
        await self._publish_all(NOTES, notes)

    async def process(self, notes: Sequence[Note]) -> None:
        await self._publish_all(INPUTS, notes)

    async def request(self, note: Note) -> Note:
        assert self._speaker is not None
        answer: Any = await self._speaker.request(QUESTIONS, note, timeout_s=30)
        assert isinstance(answer, Note)
        return answer

    def _opened(self) -> AbstractAsyncContextManager[GuildClient | Bus]:
        return self._guild()

    @asynccontextmanager
    async def _guild(self) -> AsyncIterator[GuildClient]:
        builder = add_tally(GuildBuilder(self._guild_id), self._tally)
        for agent, topic in ((Counter, NOTES), (Forwarder, INPUTS), (Answerer, QUESTIONS)):
            spec = agent_on(topic, agent).set_concurrency(CONCURRENCY)
            if agent is Forwarder:
                spec.set_output_topic(NOTES)
            builder.add_agent_spec(spec.build_spec())
        async with builder.launch(bus=self._url, observer=self._observer) as guild:
            yield guild.client

    @property
    def _bus(self) -> Bus:
        assert self._speaker is not None
        return self._speaker if isinstance(self._speaker, Bus) else self._speaker.bus

    async def _publish_all(self, topic: str, notes: Sequence[Note]) -> None:
        self._tally.expect(len(notes))
        await self._publish_slices(topic, notes)
        await self._tally.complete()

    async def _publish_slices(self, topic: str, notes: Sequence[Note]) -> None:
        """Each slice is stored as a whole or not at all; nobody needs more than that."""
        assert self._speaker is not None
        publish_many = self._speaker.publish_many
        starts = range(0, len(notes), SLICE)
        await asyncio.gather(*(publish_many(topic, notes[at : at + SLICE]) for at in starts))


class BusPeer(GuildPeer):
    """The same without a guild: three groups of handlers on a bus."""

    def _opened(self) -> AbstractAsyncContextManager[GuildClient | Bus]:
        return self._connected()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Bus]:
        options = SubscriptionOptions(concurrency=CONCURRENCY)
        forward = SubscriptionOptions(concurrency=CONCURRENCY, output_topic=NOTES)
        async with connect(self._url, "bench-bus", registry=MessageRegistry(Note)) as bus:
            for subscription in (
                Subscription("readers", [NOTES], {Note: self._count}, options),
                Subscription("forwarders", [INPUTS], {Note: _give_back}, forward),
                Subscription("answerers", [QUESTIONS], {Note: _give_back}, options),
            ):
                await bus.subscribe(subscription)
            yield bus

    async def _count(self, note: Note, ctx: Context) -> None:
        self._tally.count()


class GuildInMemory(GuildPeer):
    """The guild without a server."""

    is_on_server = False

    def __init__(self, _url: str) -> None:
        super().__init__("memory://")


class BusInMemory(BusPeer):
    """The bus without a server."""

    is_on_server = False

    def __init__(self, _url: str) -> None:
        super().__init__("memory://")


def add_tally(builder: GuildBuilder, tally: Tally) -> GuildBuilder:
    """Have the guild's agents share `tally`, as they share whatever they are made with."""

    @asynccontextmanager
    async def shared(_: BaseAgentProps) -> AsyncIterator[Tally]:
        yield tally

    return builder.add_resource("tally", shared)


def agent_on(topic: str, agent: type[Agent], agent_id: str = "") -> AgentBuilder[Any]:
    """An agent that listens to `topic` and to nothing else."""
    builder = AgentBuilder(agent).set_id(agent_id or agent.__name__.lower())
    return builder.add_additional_topic(topic).listen_to_default_topic(False)


async def _give_back(note: Note, ctx: Context) -> Note:
    return note
