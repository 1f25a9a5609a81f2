"""Takes settlements to the backend: as many at once as are ready, one commit at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from messaging.backend import Consumer, Delivery, Incident, Settlement
from messaging.backends.sizes import first_batch
from messaging.control.incidents import Incidents
from messaging.errors import (
    BackendUnavailableError,
    BusFullError,
    FencedError,
    MessagingError,
)
from messaging.handling.emitter import Emitter
from messaging.handling.settlement import Outcome, RetryInPlace
from messaging.process.logs import get_logger

log = get_logger()

HELD_S = 0.25

_Commit = tuple[list[Settlement], Awaitable[list[int]]]

Refused = Callable[[Delivery, MessagingError], Awaitable[Outcome]]


class Committer:
    """Commits in order of completion.

    What comes while a commit is on its way makes up the next one. A settlement that finds none on
    its way waits until the loop has come round, for others to join it, if there are others.

    Args:
        is_alone: whether no more than one delivery is in hand.
        refused: makes another outcome for a delivery whose settlement can never be stored.
        settled: called with the settlements that were applied, some at once.
        conflicted: called with each settlement whose state others changed first.
        again: called with what is to be handled again instead of being settled.
    """

    def __init__(
        self,
        consumer: Consumer,
        emitter: Emitter,
        incidents: Incidents,
        *,
        is_alone: Callable[[], bool],
        refused: Refused,
        settled: Callable[[Sequence[Settlement]], None],
        conflicted: Callable[[Settlement], None],
        again: Callable[[RetryInPlace], None],
    ) -> None:
        self._consumer = consumer
        self._emitter = emitter
        self._incidents = incidents
        self._is_alone = is_alone
        self._refused = refused
        self._settled = settled
        self._conflicted = conflicted
        self._again = again
        self._ready: list[Settlement] = []
        self._apart = 0  # how many of the next are committed one by one
        self._sent: _Commit | None = None
        self._is_resting = False
        self._substitute: Settlement | None = None
        self._wake = asyncio.Event()
        self._is_closing = False

    def add(self, outcome: Outcome) -> None:
        """Have it settled, or handled again."""
        if isinstance(outcome, RetryInPlace):
            self._again(outcome)
            return
        if not self._ready:
            self._wake.set()
        self._ready.append(outcome)
        if self._is_resting and self._is_alone() and not self._has_emitted:
            self._is_resting = False
            self._send()

    def abandon(self) -> None:
        """Begin nothing more: `run` has ended, or never will begin with what is left."""
        self._is_resting = False
        if self._sent is not None:
            committing = asyncio.ensure_future(self._sent[1])
            if not committing.cancel() and not committing.cancelled():
                committing.exception()  # looked at, or asyncio would log it as never retrieved

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
            while self._ready or self._sent is not None:
                if self._sent is None and self._has_emitted:
                    await self._emitter.flush()
                batch, committing = self._sent or self._send()
                self._sent = None
                try:
                    conflicts = await committing
                except (FencedError, BackendUnavailableError):
                    raise
                except MessagingError as error:
                    await self._commit_otherwise(batch, error)
                else:
                    applied = self._left_in(batch, conflicts) if conflicts else batch
                    self._settled(applied)
                    self._report_deaths(applied)
            if self._is_closing:
                return
            self._wake.clear()
            self._is_resting = True
            await self._wake.wait()
            self._is_resting = False

    @property
    def _has_emitted(self) -> bool:
        """Whether something has to go out first: the last token is seen before the answer."""
        return bool(self._emitter.waiting) or self._emitter.sending is not None

    def _send(self) -> _Commit:
        """Begin with the next commit."""
        count = 1 if self._apart or len(self._ready) == 1 else first_batch(self._ready)
        batch, self._ready = self._ready[:count], self._ready[count:]
        self._apart = max(0, self._apart - 1)
        self._sent = batch, self._consumer.commit(batch)
        return self._sent

    def _left_in(self, batch: Sequence[Settlement], conflicts: Sequence[int]) -> list[Settlement]:
        """What was applied; each other one has to be handled again."""
        for index in conflicts:
            self._conflicted(batch[index])
        left_out = frozenset(conflicts)
        return [each for index, each in enumerate(batch) if index not in left_out]

    def _report_deaths(self, settlements: Sequence[Settlement]) -> None:
        for _, _, _, dead in settlements:
            if dead is not None:
                type_ = dead.envelope.type or "an unreadable entry"
                text = f"{dead.group} gave up on {type_} {dead.envelope.id}"
                incident = Incident("dead_letter", text, dead.group, dead.envelope.id)
                self._incidents.report(incident)

    async def _commit_otherwise(self, batch: list[Settlement], error: MessagingError) -> None:
        """One settlement that cannot be stored must not hold up those that can."""
        settlement = batch[0]
        is_substitute, self._substitute = settlement is self._substitute, None
        if len(batch) > 1:
            self._ready, self._apart = batch + self._ready, len(batch)
        elif isinstance(error, BusFullError):
            self._hold(settlement, error)
        elif is_substitute:
            raise error
        else:
            outcome = await self._refused(settlement.delivery, error)
            if isinstance(outcome, RetryInPlace):
                self._again(outcome)
            else:
                self._substitute = outcome
                self._ready, self._apart = [outcome, *self._ready], self._apart + 1

    def _hold(self, settlement: Settlement, error: MessagingError) -> None:
        # It stays lent meanwhile, so that the group reads less: the pressure moves upstream.
        log.warning("commit.held", error=str(error), message_id=settlement.delivery.envelope.id)
        asyncio.get_running_loop().call_later(HELD_S, self.add, settlement)
