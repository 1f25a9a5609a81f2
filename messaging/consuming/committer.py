"""Takes settlements to the backend: as many at once as are ready, one commit at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from messaging.backend import Consumer, DeadLetter, Delivery, Incident, Settlement
from messaging.backends.sizes import first_batch
from messaging.control.incidents import Incidents
from messaging.errors import (
    BackendUnavailableError,
    BusFullError,
    FencedError,
    MessagingError,
)
from messaging.handling.emitter import Emitter
from messaging.process.logs import get_logger

log = get_logger()

HELD_S = 0.25

Refused = Callable[[Delivery, MessagingError], Awaitable[Settlement | None]]


class Committer:
    """Commits in order of completion.

    Args:
        refused: makes another settlement of a delivery whose settlement can never be stored; None
            when its handler is to run again.
        settled: called with the settlements that were applied, some at once.
        conflicted: called with each settlement whose state others changed first.
    """

    def __init__(
        self,
        consumer: Consumer,
        emitter: Emitter,
        incidents: Incidents,
        *,
        refused: Refused,
        settled: Callable[[Sequence[Settlement]], None],
        conflicted: Callable[[Settlement], None],
    ) -> None:
        self._consumer = consumer
        self._emitter = emitter
        self._incidents = incidents
        self._refused = refused
        self._settled = settled
        self._conflicted = conflicted
        self._ready: list[Settlement] = []
        self._wake = asyncio.Event()
        self._is_closing = False

    def add(self, settlement: Settlement) -> None:
        if not self._ready:
            self._wake.set()
        self._ready.append(settlement)

    def finish(self) -> None:
        """Let `run` return once everything added so far is committed."""
        self._is_closing = True
        self._wake.set()

    async def run(self) -> None:
        """Commit until finished.

        Raises:
            FencedError: the consumer was taken over.
            BackendUnavailableError: the store stayed away.
            MessagingError: not even a failure could be stored.
        """
        while True:
            while self._ready:
                count = first_batch(self._ready)
                batch, self._ready = self._ready[:count], self._ready[count:]
                # Whoever follows a request has to see its last token before its answer.
                await self._emitter.flush()
                await self._commit(batch)
            if self._is_closing:
                return
            self._wake.clear()
            await self._wake.wait()

    async def _commit(self, batch: Sequence[Settlement], *, is_substitute: bool = False) -> None:
        try:
            conflicts = await self._consumer.commit(batch)
        except (FencedError, BackendUnavailableError):
            raise
        except MessagingError as error:
            await self._commit_apart(batch, error, is_substitute=is_substitute)
            return
        if conflicts:
            for index in conflicts:
                self._conflicted(batch[index])
            left_out = frozenset(conflicts)
            batch = [each for index, each in enumerate(batch) if index not in left_out]
        self._settled(batch)
        for settlement in batch:
            if settlement.dead is not None:
                self._report_death(settlement.dead)

    def _report_death(self, dead: DeadLetter) -> None:
        envelope = dead.envelope
        text = f"{dead.group} gave up on {envelope.type or 'an unreadable entry'} {envelope.id}"
        self._incidents.report(Incident("dead_letter", text))

    async def _commit_apart(
        self, batch: Sequence[Settlement], error: MessagingError, *, is_substitute: bool
    ) -> None:
        # One settlement that cannot be stored must not hold up those that can.
        if len(batch) > 1:
            for settlement in batch:
                await self._commit((settlement,))
        elif isinstance(error, BusFullError):
            self._hold(batch[0], error)
        elif is_substitute:
            raise error
        else:
            substitute = await self._refused(batch[0].delivery, error)
            if substitute is not None:
                await self._commit((substitute,), is_substitute=True)

    def _hold(self, settlement: Settlement, error: MessagingError) -> None:
        # It stays lent meanwhile, so that the group reads less: the pressure moves upstream.
        log.warning("commit.held", error=str(error), message_id=settlement.delivery.envelope.id)
        asyncio.get_running_loop().call_later(HELD_S, self.add, settlement)
