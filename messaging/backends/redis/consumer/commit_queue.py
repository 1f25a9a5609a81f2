"""The commits of one consumer: one at a time, each to its end, whoever still waits for it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from messaging.backend import Settlement
from messaging.backends.redis.connection.pipeline import Answers
from messaging.backends.redis.consumer.commit_call import CommitCall
from messaging.backends.redis.consumer.fetcher import Fetcher
from messaging.backends.redis.registry.membership import Membership
from messaging.backends.redis.registry.registry import TopicRegistry
from messaging.backends.redis.server import Server
from messaging.errors import FencedError, NotHeldError


class CommitQueue:
    """Counts the commits that were applied, and lets go of what they settled.

    What an answer says counts at the moment it comes, even if the caller was cancelled meanwhile.
    """

    def __init__(
        self,
        server: Server,
        registry: TopicRegistry,
        fetcher: Fetcher,
        *,
        membership: Membership,
        incarnation: str,
        check_fence: Callable[[], None],
        fenced: Callable[[], FencedError],
    ) -> None:
        self._server = server
        self._registry = registry
        self._fetcher = fetcher
        self._membership = membership
        self._incarnation = incarnation
        self._check_fence = check_fence
        self._fenced = fenced
        self._loop = asyncio.get_running_loop()
        self._one_at_a_time = asyncio.Lock()
        self._on_its_way: asyncio.Future[None] | None = None
        self._finishing: asyncio.Task[list[int]] | None = None
        self._sequence = 0

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """While no commit is on its way."""
        async with self._one_at_a_time:
            if self._on_its_way is not None:  # whoever sent it was cancelled
                await asyncio.wait([self._on_its_way])
            yield

    async def commit(self, settlements: Sequence[Settlement]) -> list[int]:
        """See `Consumer.commit`."""
        async with self.alone():
            commit = await self._prepare(settlements)
            outcome: asyncio.Future[list[int]] = self._loop.create_future()
            self._on_its_way = self._loop.create_future()
            try:
                commit.send(Answers(1, partial(self._landed, commit, outcome)))
            except BaseException:
                self._has_arrived()
                raise
            return await outcome

    async def _prepare(self, settlements: Sequence[Settlement]) -> CommitCall:
        self._check_fence()
        if not self._fetcher.begin_to_settle(settlements):
            members = self._server.keys.members(self._membership.name)
            if not await self._server.connection.call("HEXISTS", members, self._incarnation):
                raise self._fenced()
            raise NotHeldError(self._membership.group, self._incarnation)
        return CommitCall(
            self._server,
            self._registry,
            self._membership,
            self._incarnation,
            settlements,
            sequence=self._sequence + 1,
            lent_in=self._fetcher.surely_lent_in(settlements),
        )

    def _landed(
        self, commit: CommitCall, outcome: asyncio.Future[list[int]], answers: list[Any]
    ) -> None:
        skipped = commit.skipped_if_applied(answers[0])
        if skipped is None or self._server.replication is not None:
            self._finishing = self._loop.create_task(self._finish(commit, answers[0]))
            self._finishing.add_done_callback(partial(self._finished, outcome))
            return
        self._note_applied(commit, skipped)
        self._has_arrived()
        if not outcome.done():
            outcome.set_result(skipped)

    async def _finish(self, commit: CommitCall, answer: Any) -> list[int]:
        skipped = await commit.apply(answer)
        if skipped is None:
            raise self._fenced()
        self._note_applied(commit, skipped)
        if self._server.replication is not None:
            await self._server.replication.report()
        return skipped

    def _finished(
        self, outcome: asyncio.Future[list[int]], finishing: asyncio.Task[list[int]]
    ) -> None:
        self._has_arrived()
        if finishing.cancelled():
            outcome.cancel()
        elif error := finishing.exception():
            if not outcome.done():  # otherwise it shows again in the next call
                outcome.set_exception(error)
        elif not outcome.done():
            outcome.set_result(finishing.result())

    def _note_applied(self, commit: CommitCall, skipped: Sequence[int]) -> None:
        self._sequence += 1
        settled = commit.settlements
        if skipped:
            left_out = frozenset(skipped)
            settled = [each for index, each in enumerate(settled) if index not in left_out]
        self._fetcher.let_go(settled)

    def _has_arrived(self) -> None:
        arrived, self._on_its_way = self._on_its_way, None
        if arrived is not None and not arrived.done():
            arrived.set_result(None)
