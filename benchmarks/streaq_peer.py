"""streaq on Redis streams with its worker in this process; it hears of results, never polls.

As its documentation has it: many tasks at once go in by `enqueue_many`, which is one pipeline.
Nothing is logged, and counting keeps no results. Who waits for a result holds one connection and
asks for another, so 64 who ask at once need more than the 64 that the pool has by default. Of a
single request's time 0.1 s is what its client of Redis takes to leave the subscription.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import anyio
from anyio.abc import TaskGroup
from streaq import Worker

from benchmarks.contestant import (
    AWAITED,
    HANDLED,
    REQUEST,
    REQUEST_64,
    Contestant,
    Note,
    Tally,
    publish_each,
)


class StreaqPeer(Contestant):
    """One worker with a task that counts and one that answers; it publishes, too."""

    scenarios = (AWAITED, HANDLED, REQUEST, REQUEST_64)
    share = 10

    def __init__(self, url: str) -> None:
        self._tally = Tally()
        self._stack = AsyncExitStack()
        self._group: TaskGroup | None = None
        self._worker: Worker[Any] = Worker(
            url, redis_kwargs={"max_connections": 256}, concurrency=64, handle_signals=False
        )

        @self._worker.task(ttl=0, silent=True, name="count")
        async def count(note: Note) -> None:
            self._tally.count()

        @self._worker.task(silent=True, name="answer")
        async def answer(note: Note) -> Note:
            return note

        self._count, self._answer = count, answer

    async def open(self) -> None:
        self._group = await self._stack.enter_async_context(anyio.create_task_group())
        await self._group.start(self._worker.run_async)

    async def close(self) -> None:
        assert self._group is not None
        self._group.cancel_scope.cancel()
        await self._stack.aclose()

    async def publish_awaited(self, notes: Sequence[Note], publishers: int) -> None:
        self._tally.expect(len(notes))

        await publish_each(self._count.enqueue, notes, publishers)
        await self._tally.complete()

    async def publish_handled(self, notes: Sequence[Note]) -> None:
        self._tally.expect(len(notes))
        await self._worker.enqueue_many([self._count.enqueue(note) for note in notes])
        await self._tally.complete()

    async def unacknowledged(self) -> int:
        return await self._worker.queue_size()

    async def request(self, note: Note) -> Note:
        question = await self._answer.enqueue(note)
        answer = await question.result(timeout=30)
        assert isinstance(answer.result, Note)
        return answer.result
