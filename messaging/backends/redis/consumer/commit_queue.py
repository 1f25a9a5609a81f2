"""The commits of one consumer: one at a time, each to its end, whoever still waits for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from messaging.backend import Settlement
from messaging.backends.redis.consumer.commit_call import CommitCall, CommitConstants
from messaging.backends.redis.consumer.in_flight import InFlight
from messaging.backends.redis.consumer.session import ConsumerSession
from messaging.errors import NotHeldError


class CommitQueue:
    """Counts the commits that were applied, and lets go of what they settled.

    What an answer says counts at the moment it comes, even if the caller was cancelled meanwhile.
    """

    def __init__(self, session: ConsumerSession, in_flight: InFlight) -> None:
        self._session = session
        self._server = session.server
        self._in_flight = in_flight
        self._fence = session.fence
        self._constants = CommitConstants(session)
        self._loop = asyncio.get_running_loop()
        self._one_at_a_time = asyncio.Lock()
        self._is_on_its_way = False
        self._arrival: asyncio.Future[None] | None = None
        self._finishing: asyncio.Task[list[int]] | None = None
        self._sequence = 0

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """While no commit is on its way."""
        async with self._one_at_a_time:
            if self._is_on_its_way:
                self._arrival = self._loop.create_future()
                await self._arrival
            yield

    def commit(self, settlements: Sequence[Settlement]) -> Awaitable[list[int]]:
        """See `Consumer.commit`."""
        if self._is_on_its_way or self._one_at_a_time.locked():
            return self._commit_in_turn(settlements)
        try:
            return self._begin(settlements)  # as nearly always
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            failed: asyncio.Future[list[int]] = self._loop.create_future()
            failed.set_exception(error)
            return failed

    async def _commit_in_turn(self, settlements: Sequence[Settlement]) -> list[int]:
        async with self.alone():
            outcome = self._begin(settlements)
        return await outcome

    def _begin(self, settlements: Sequence[Settlement]) -> Awaitable[list[int]]:
        """Send it; what comes of it."""
        if self._fence.is_fenced:
            raise self._fence.hit()
        if not self._in_flight.begin_to_settle(settlements):
            return self._refuse()
        commit = CommitCall(
            self._session,
            self._constants,
            settlements,
            sequence=self._sequence + 1,
            lent_in=self._in_flight.settling_lent_in,
        )
        outcome: asyncio.Future[list[int]] = self._loop.create_future()
        self._is_on_its_way = True
        try:
            commit.send(partial(self._landed, commit, outcome))
        except BaseException:
            self._has_arrived()
            raise
        return outcome

    async def _refuse(self) -> list[int]:
        members, incarnation = self._session.members, self._session.incarnation
        if not await self._server.connection.call("HEXISTS", members, incarnation):
            raise self._fence.hit()
        raise NotHeldError(self._session.group, incarnation)

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
            raise self._fence.hit()
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
        settlements = commit.settlements
        self._in_flight.settled([settlements[index] for index in skipped] if skipped else ())

    def _has_arrived(self) -> None:
        self._is_on_its_way = False
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
