"""One job trains with a model's code, another scores what it puts out: the host stands between.

The job that scores says what to run ({"run": {"job", "payload", "hidden"}}) and hears what that
one asks ({"question"}) or gives ({"result"}); its {"reply"} goes back to it. Large things pass
through a folder that both see and no other job does; it is gone when they have ended, however
they did.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from agents.research.exchange import exchange_folder
from agents.research.jobs import Audience, Done, Jobs


async def run_scored(
    jobs: Jobs, job: str, payload: Mapping[str, Any], audience: Audience, *, task: str
) -> Done:
    """Run one of `agents.research.training_jobs`, which scores, and what it asks to be run.

    Raises:
        ResearchError: as `Jobs.run`, of either job.
    """
    async with exchange_folder(jobs.workspace) as exchange:
        between = _Between(jobs, exchange, audience, task)
        try:
            return await jobs.run(
                job,
                {**payload, "exchange": exchange},
                audience,
                task=task,
                on_question=between,
                is_trusted=True,
                is_training=True,
                writable=(*jobs.registries, jobs.scores, exchange),
            )
        finally:
            await between.stop()


class _Between:
    """Runs jobs for the job that scores, and carries questions and replies."""

    def __init__(self, jobs: Jobs, exchange: str, audience: Audience, task: str) -> None:
        self._jobs, self._exchange, self._audience, self._task = jobs, exchange, audience, task
        self._running: asyncio.Task[Done] | None = None
        self._questions: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._replies: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def __call__(self, said: dict[str, Any]) -> dict[str, Any]:
        """Do what the job that scores says, and return what the other one says next."""
        if "run" in said:
            await self.stop()
            self._running = asyncio.create_task(self._run(**said["run"]))
        else:
            self._replies.put_nowait(said["reply"])
        return await self._next()

    async def stop(self) -> None:
        """End what runs, if anything does; an error of its was raised where it was waited for."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self, job: str, payload: dict[str, Any], hidden: list[str]) -> Done:
        return await self._jobs.run(
            job,
            payload,
            self._audience,
            task=self._task,
            on_question=self._carry,
            hidden=tuple(hidden),
            is_training=True,
            writable=(*self._jobs.registries, self._exchange),
        )

    async def _carry(self, question: dict[str, Any]) -> dict[str, Any]:
        self._questions.put_nowait(question)
        return await self._replies.get()

    async def _next(self) -> dict[str, Any]:
        assert self._running is not None  # a job that scores begins with a run
        asked = asyncio.create_task(self._questions.get())
        try:
            await asyncio.wait({asked, self._running}, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                return {"question": asked.result()}
            return {"result": self._running.result().result}
        finally:
            asked.cancel()
