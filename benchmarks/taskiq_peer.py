"""taskiq on Redis streams, which acknowledge, with its worker in this process.

Results are polled. Every 20 ms is no later for one question than every one, and for 64 three times
sooner: their polls cost more than their answers.
"""

import asyncio
from collections.abc import Sequence

from redis.asyncio import Redis
from taskiq.api import run_receiver_task
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from benchmarks.contestant import (
    AWAITED,
    REQUEST,
    REQUEST_64,
    Contestant,
    Note,
    Tally,
    publish_each,
)


class TaskiqPeer(Contestant):
    """One broker without results for counting, one with results for questions."""

    scenarios = (AWAITED, REQUEST, REQUEST_64)
    share = 10

    def __init__(self, url: str) -> None:
        self._tally = Tally()
        self._server = Redis.from_url(url)
        self._notes = RedisStreamBroker(url, queue_name="taskiq.notes", xread_count=512)
        results: RedisAsyncResultBackend[Note] = RedisAsyncResultBackend(url, result_ex_time=60)
        questions = RedisStreamBroker(url, queue_name="taskiq.questions", xread_count=512)
        self._questions = questions.with_result_backend(results)
        self._receivers: list[asyncio.Task[None]] = []

        @self._notes.task(task_name="bench.count")
        async def count(note: Note) -> None:
            self._tally.count()

        @self._questions.task(task_name="bench.answer")
        async def answer(note: Note) -> Note:
            return note

        self._count, self._answer = count, answer

    async def open(self) -> None:
        for broker in (self._notes, self._questions):
            await broker.startup()
            receiving = run_receiver_task(broker, max_async_tasks=64, max_prefetch=64)
            self._receivers.append(asyncio.create_task(receiving))

    async def close(self) -> None:
        for receiver in self._receivers:
            receiver.cancel()
        await asyncio.gather(*self._receivers, return_exceptions=True)
        for broker in (self._notes, self._questions):
            await broker.shutdown()
        await self._server.aclose()

    async def publish_awaited(self, notes: Sequence[Note], publishers: int) -> None:
        self._tally.expect(len(notes))

        await publish_each(self._count.kiq, notes, publishers)
        await self._tally.complete()

    async def unacknowledged(self) -> int:
        pending = await self._server.xpending("taskiq.notes", self._notes.consumer_group_name)
        return int(pending["pending"])

    async def request(self, note: Note) -> Note:
        question = await self._answer.kiq(note)
        result = await question.wait_result(check_interval=0.02, timeout=30)
        return Note.model_validate(result.return_value)
