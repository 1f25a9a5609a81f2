"""Rustic AI on Redis: one guild of three agents, which its default engine runs in this process.

Publishing blocks: one thread publishes what is only counted (more are slower), several what is
asked. There is no call for a question: an agent publishes it and hears the answer, which a route
of the guild brings. Rustic AI wants Python 3.13, so it has an environment of its own.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from redis import Redis
from rustic_ai.core.agents.testutils.probe_agent import PublishMixin
from rustic_ai.core.guild import Agent, agent
from rustic_ai.core.guild.builders import AgentBuilder, GuildBuilder, RouteBuilder

from benchmarks.contestant import AWAITED, REQUEST, REQUEST_64, Contestant, Note, Tally

THREADS = 8
NOTES, QUESTIONS, ANSWERS = "notes", "questions", "answers"

# What agents do, by topic: they are made from specs, and nothing else reaches them.
_handle: dict[str, Callable[[Note], object]] = {}


class Counter(Agent):
    """Counts notes."""

    @agent.processor(Note)
    def count(self, ctx: Any) -> None:
        _handle[NOTES](ctx.payload)


class Answerer(Agent):
    """Sends back what it is asked."""

    @agent.processor(Note)
    def answer(self, ctx: Any) -> None:
        ctx.send(ctx.payload)


class Asker(Agent, PublishMixin):
    """Publishes for those outside of the guild and hears the answers."""

    @agent.processor(Note)
    def hear(self, ctx: Any) -> None:
        _handle[ANSWERS](ctx.payload)


class RusticAIPeer(Contestant):
    """All agents share a client of Redis; what they handle comes from threads of theirs."""

    scenarios = (AWAITED, REQUEST, REQUEST_64)
    share = 10

    def __init__(self, url: str) -> None:
        self._client = Redis.from_url(url, decode_responses=True)
        self._threads = ThreadPoolExecutor(THREADS)
        self._tally = Tally()
        self._answers: dict[int, asyncio.Future[Note]] = {}
        self._asker: Any = None

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        _handle[NOTES] = lambda note: loop.call_soon_threadsafe(self._tally.count)
        _handle[ANSWERS] = lambda note: loop.call_soon_threadsafe(self._hear, note)
        backend = ("rustic_ai.redis.messaging.backend", "RedisMessagingBackend")
        guild = (
            GuildBuilder("bench", "bench", "Counts and answers.")
            .set_messaging(*backend, {"redis_client": {"redis_client": self._client}})
            .add_agent_spec(_spec(Counter, NOTES))
            .add_agent_spec(_spec(Answerer, QUESTIONS))
            .add_route(
                RouteBuilder(Answerer)
                .on_message_format(Note)
                .set_destination_topics(ANSWERS)
                .build()
            )
            .launch("bench")
        )
        self._asker = guild._add_local_agent(_spec(Asker, ANSWERS))  # noqa: SLF001 - as its tests do

    async def close(self) -> None:
        # Shutting one agent down closes the client of all, so they end with their process.
        self._threads.shutdown()

    async def publish_awaited(self, notes: Sequence[Note], publishers: int) -> None:
        self._tally.expect(len(notes))

        def publish() -> None:
            for note in notes:
                self._asker.publish(NOTES, note)

        await asyncio.get_running_loop().run_in_executor(self._threads, publish)
        await self._tally.complete()

    async def request(self, note: Note) -> Note:
        loop = asyncio.get_running_loop()
        answer = self._answers[note.number] = loop.create_future()
        await loop.run_in_executor(self._threads, self._ask, note)
        return await answer

    def _ask(self, note: Note) -> None:
        self._asker.publish(QUESTIONS, note, routing_slip=self._asker.guild_spec.routes)

    def _hear(self, note: Note) -> None:
        self._answers.pop(note.number).set_result(note)


def _spec(kind: type[Agent], topic: str) -> Any:
    name = kind.__name__
    builder = AgentBuilder(kind).set_id(name).set_name(name).set_description(name)
    return builder.add_additional_topic(topic).listen_to_default_topic(listen=False).build_spec()
