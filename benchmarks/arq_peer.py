"""arq with its worker in this process: a sorted set that the worker polls, results that are polled.

It asks for an older redis-py than Guildbus takes, so `make bench` gives it an environment of its
own. Polling is set to be quick (its default waits half a second), counting keeps no results.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.worker import Worker, func

from benchmarks.contestant import (
    AWAITED,
    REQUEST,
    REQUEST_64,
    Contestant,
    Note,
    Tally,
    publish_each,
)

POLL_S = 0.01
ANSWER_POLL_S = 0.001


class ArqPeer(Contestant):
    """One pool and one worker with a job that counts and one that answers."""

    scenarios = (AWAITED, REQUEST, REQUEST_64)
    share = 20

    def __init__(self, url: str) -> None:
        self._settings = RedisSettings.from_dsn(url)
        self._tally = Tally()
        self._pool: ArqRedis | None = None
        self._worker: Worker | None = None
        self._working: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._pool = await create_pool(self._settings)
        self._worker = Worker(
            [func(self._count, name="count", keep_result=0), func(_answer, name="answer")],
            redis_settings=self._settings,
            max_jobs=64,
            poll_delay=POLL_S,
            handle_signals=False,
            log_results=False,
        )
        self._working = asyncio.create_task(self._worker.async_run())

    async def close(self) -> None:
        assert self._pool is not None
        assert self._worker is not None
        assert self._working is not None
        self._working.cancel()
        await asyncio.gather(self._working, return_exceptions=True)
        await self._worker.close()
        await self._pool.aclose()

    async def publish_awaited(self, notes: Sequence[Note], publishers: int) -> None:
        assert self._pool is not None
        pool = self._pool
        self._tally.expect(len(notes))

        await publish_each(lambda note: pool.enqueue_job("count", note), notes, publishers)
        await self._tally.complete()

    async def request(self, note: Note) -> Note:
        assert self._pool is not None
        job = await self._pool.enqueue_job("answer", note)
        assert job is not None
        answer = await job.result(timeout=30, poll_delay=ANSWER_POLL_S)
        assert isinstance(answer, Note)
        return answer

    async def unacknowledged(self) -> int:
        assert self._pool is not None
        return int(await self._pool.zcard(self._pool.default_queue_name))

    async def _count(self, ctx: dict[str, Any], note: Note) -> None:
        self._tally.count()


async def _answer(ctx: dict[str, Any], note: Note) -> Note:
    return note
