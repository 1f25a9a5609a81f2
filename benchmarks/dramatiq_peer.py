"""dramatiq on Redis with its worker threads in this process."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks.contestant import AWAITED, REQUEST, REQUEST_64, Contestant, Note, Tally


class DramatiqPeer(Contestant):
    """Publishing and waiting block, so both happen in as many threads as there are callers."""

    scenarios = (AWAITED, REQUEST, REQUEST_64)
    share = 20

    def __init__(self, url: str) -> None:
        self._tally = Tally()
        self._broker = RedisBroker(url=url, namespace="bench.dramatiq")
        self._results = RedisBackend(url=url)
        self._broker.add_middleware(Results(backend=self._results))
        self._worker = dramatiq.Worker(self._broker, worker_threads=8, worker_timeout=100)
        self._threads = ThreadPoolExecutor(64)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._count = dramatiq.actor(self._handle, broker=self._broker, actor_name="count")
        self._answer = dramatiq.actor(
            _answer, broker=self._broker, actor_name="answer", store_results=True
        )

    async def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._worker.start()

    async def close(self) -> None:
        await asyncio.to_thread(self._worker.stop)
        self._broker.close()
        self._threads.shutdown()

    async def publish_awaited(self, notes: Sequence[Note], publishers: int) -> None:
        self._tally.expect(len(notes))
        loop = asyncio.get_running_loop()

        def publish(share: Sequence[Note]) -> None:
            for note in share:
                self._count.send(note.model_dump())

        shares = (notes[start::publishers] for start in range(publishers))
        await asyncio.gather(*(loop.run_in_executor(self._threads, publish, s) for s in shares))
        await self._tally.complete()

    async def request(self, note: Note) -> Note:
        def ask() -> Any:
            question = self._answer.send(note.model_dump())
            return question.get_result(backend=self._results, block=True, timeout=30_000)

        answer = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        return Note.model_validate(answer)

    async def unacknowledged(self) -> int:
        return int(await asyncio.to_thread(self._broker.do_qsize, self._count.queue_name))

    def _handle(self, fields: dict[str, Any]) -> None:
        Note.model_validate(fields)
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._tally.count)


def _answer(fields: dict[str, Any]) -> dict[str, Any]:
    return Note.model_validate(fields).model_dump()
