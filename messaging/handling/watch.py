"""Tells observers of what a group handles; while there are none, it is in no message's way."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context as Variables
from contextvars import copy_context
from time import perf_counter
from typing import Any, NamedTuple

from messaging.backend import Delivery, Place, Settlement
from messaging.handling.context import have_changed
from messaging.handling.settlement import Outcome as Settled
from messaging.handling.starts import attempt_of
from messaging.handling.worker_slot import UnsettledError, WorkerSlot
from messaging.observing import TIME, Ending, Handled, Handling, Observers, Outcome, made_at
from messaging.process.clock import Clock
from messaging.wire.envelope import Envelope

AT_ONCE = 64
"""Handlings of which to tell at once: with more of them in hand, Python has more to tidy up."""
_HANDLED = Ending("handled")


class Told(NamedTuple):
    """What an observer was told when a handling began, and its token.

    Attributes:
        variables: those of the task before that.
    """

    at_s: float
    handling: Handling
    token: Any
    variables: Variables


Begun = float | Told
"""When a handling began, by `perf_counter`; with more, where an observer was told that."""


class Watch:
    """What observers are told of the handlings of one group.

    Those that count are told of what went well a moment later, of many handlings at once: to note
    it takes a fiftieth of a handling. The others are told of each, when it begins and when it ends.
    What becomes of a message that does not simply go well is decided in many places, which say so
    to `decided`; it is told where the handling ends.

    Args:
        observers: may come and go; `look` has to be called then.

    Attributes:
        begin: called when a handler is about to run; None while no observer is told of handlings.
            What it returns goes to `went_well` or `settling`, unless it is None.
    """

    def __init__(self, group: str, observers: Observers, clock: Clock) -> None:
        self._group = group
        self._observers = observers
        self._time = clock.time
        self._call_soon = asyncio.get_running_loop().call_soon
        self._decided: dict[Place, Ending] = {}
        self._under_way: dict[Place, Begun] = {}  # where that has to be looked up
        self._handled: list[Handled] = []
        self.look()

    def look(self) -> None:
        """Heed which observers are there at this moment; what is under way ends as it has begun."""
        observers = self._observers
        self._is_on, self._counts = observers.are_told, observers.count
        self._chooser = observers.chooser
        self.begin: Callable[[Delivery], Begun | None] | None = None
        if observers.are_told_each:
            self.begin = self._begin_told if self._chooser is None else self._begin_chosen
        elif self._is_on:
            self.begin = self._begin_counted

    def prepare(self) -> None:
        """In this task one handling will follow another."""
        self._observers.prepared()

    def went_well(self, settlement: Settlement, begun: Begun, slot: WorkerSlot) -> None:
        """It was the first attempt, and sends what it sent."""
        if isinstance(begun, float):  # as nearly always, so it is not a call
            handled = self._handled
            handled.append((settlement[0].envelope, 1, settlement[1], begun, perf_counter()))
            count = len(handled)
            if count == 1:
                self._call_soon(self._tell_of_many)
            elif count == AT_ONCE:
                self._tell_of_many()
        else:
            self._end(settlement.delivery, begun, None, settlement)
            self._wear(slot, begun)

    async def settling(
        self, delivery: Delivery, begun: Begun, slot: WorkerSlot, settled: Awaitable[Settled]
    ) -> Settled:
        """What a handling comes to that did not simply go well."""
        self._under_way[delivery.place] = begun
        try:
            outcome = await settled
        except BaseException as error:
            is_unsettled = isinstance(error, UnsettledError)  # another worker settles it
            if slot.is_leaving() or not (is_unsettled or isinstance(error, asyncio.CancelledError)):
                self._interrupted(delivery, None if is_unsettled else error)
            raise
        self.ended(delivery, outcome)
        if isinstance(begun, Told):
            self._wear(slot, begun)
        return outcome

    def decided(
        self, delivery: Delivery, outcome: Outcome, error: BaseException | None = None
    ) -> None:
        """This becomes of the message, and not that it is handled."""
        if self._is_on and (self._counts or self._is_chosen(delivery.envelope)):
            self._decided[delivery.place] = Ending(outcome, error)

    def ended(self, delivery: Delivery, settled: Settled | None = None) -> None:
        """Tell what was decided of a message; where nothing was, that its handling went well."""
        begun = self._under_way.pop(delivery.place, None)
        ending = self._decided.pop(delivery.place, None) if self._decided else None
        if begun is not None:
            self._end(delivery, begun, ending, settled)
        elif ending is not None:  # no handler has begun, or it has ended before
            self._observers.end(self._handling(delivery), ending, None)

    def let_go(self, deliveries: Iterable[Delivery]) -> None:
        """What of these has not ended begins again, here or elsewhere."""
        if self._under_way or self._decided:
            for delivery in deliveries:
                self._decided.pop(delivery.place, None)
                if delivery.place in self._under_way:
                    self._interrupted(delivery, None)

    def _begin_counted(self, delivery: Delivery) -> float:
        if self._decided:  # of an attempt that nobody was told of
            self._decided.pop(delivery.place, None)
        return perf_counter()

    def _begin_told(self, delivery: Delivery) -> Told:
        handling, variables = self._handling(delivery), copy_context()
        token = self._observers.begun(handling)
        self._decided.pop(delivery.place, None)  # as above
        return Told(perf_counter(), handling, token, variables)

    def _begin_chosen(self, delivery: Delivery) -> Begun | None:
        assert self._chooser is not None
        try:
            is_chosen = self._chooser(delivery.envelope)
        except Exception:  # noqa: BLE001 - it is another's code, and no part of the work
            is_chosen = self._observers.wants(delivery.envelope)  # which tells of it
        if is_chosen:
            return self._begin_told(delivery)
        return self._begin_counted(delivery) if self._counts else None

    def _is_chosen(self, envelope: Envelope) -> bool:
        return self._chooser is None or self._observers.wants(envelope)

    def _end(
        self, delivery: Delivery, begun: Begun, ending: Ending | None, settled: Settled | None
    ) -> None:
        ended_s = perf_counter()
        handling, token = (begun.handling, begun.token) if isinstance(begun, Told) else (None, None)
        at_s = begun.at_s if isinstance(begun, Told) else begun
        handled_s = ended_s - at_s
        if ending is None and isinstance(settled, Settlement) and self._counts:
            self._call_soon(self._tell_of_many)
            attempt = attempt_of(delivery)
            self._handled.append((delivery.envelope, attempt, settled.outbox, at_s, ended_s))
        if handling is not None or ending is not None:
            handling = handling or self._handling(delivery, handled_s)
            ending = (ending or _HANDLED)._replace(handled_s=handled_s)
            self._observers.end(handling, ending, token)

    def _tell_of_many(self) -> None:
        handled, self._handled = self._handled, []
        if handled:
            self._observers.handled(self._group, handled, self._time() - perf_counter())

    def _wear(self, slot: WorkerSlot, told: Told) -> None:
        """No observer's variable may be left in the task."""
        if told.token and have_changed(told.variables):
            slot.is_worn = True

    def _interrupted(self, delivery: Delivery, error: BaseException | None) -> None:
        self._decided[delivery.place] = Ending("interrupted", error)
        self.ended(delivery)

    def _handling(self, delivery: Delivery, ago_s: float = 0.0) -> Handling:
        """The handling that began so many seconds ago."""
        envelope = delivery.envelope
        made_s = made_at(envelope.id[TIME])
        waited_s = None if made_s is None else max(0.0, self._time() - ago_s - made_s)
        return Handling(envelope, self._group, attempt_of(delivery), waited_s)
