"""Tells observers of what a group handles; while there are none, it is in no message's way."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextvars import copy_context
from time import perf_counter
from typing import Any

from pydantic import BaseModel

from messaging.backend import Delivery, Place, Settlement
from messaging.handling.context import have_changed
from messaging.handling.handler_table import Target
from messaging.handling.settlement import Outcome as Settled
from messaging.handling.starts import attempt_of
from messaging.handling.worker_slot import UnsettledError, WorkerSlot
from messaging.observing import TIME, Ending, Handled, Handling, Observers, Outcome, made_at
from messaging.process.clock import Clock
from messaging.state.contender import Contender
from messaging.wire.envelope import Envelope

Run = Callable[..., Coroutine[Any, Any, Settled]]
"""Runs a handler, and gives what is to be settled; see `HandlerRunner`."""

AT_ONCE = 64
"""Handlings of which to tell at once: with more of them in hand, Python has more to tidy up."""
_HANDLED = Ending("handled")
_Begun = tuple[float, Handling | None, Any]
"""When it began, by `perf_counter`; and what an observer was told then, with its token."""


class Watch:
    """What observers are told of the handlings of one group.

    Those that count are told of what went well a moment later, of many handlings at once: to note
    it takes a fiftieth of a handling. The others are told of each, when it begins and when it ends.
    What becomes of a message that does not simply go well is decided in many places, which say so
    to `decided`; it is told where the handling ends.

    Args:
        observers: may come and go; `over` has to be called then.
    """

    def __init__(self, group: str, observers: Observers, clock: Clock) -> None:
        self._group = group
        self._observers = observers
        self._time = clock.time
        self._call_soon = asyncio.get_running_loop().call_soon
        self._is_on = self._counts = False
        self._chooser: Callable[[Envelope], bool] | None = None
        self._decided: dict[Place, Ending] = {}
        self._under_way: dict[Place, _Begun] = {}  # where that has to be looked up
        self._handled: list[Handled] = []

    def over(self, run: Run) -> Run:
        """What is to be called instead of `run` while observers are as they are at this moment.

        What is under way ends as it has begun.
        """
        observers = self._observers
        self._run = run
        self._is_on, self._counts = observers.are_told, observers.count
        self._chooser = observers.chooser
        if observers.are_told_each:
            return self._run_told if self._chooser is None else self._run_chosen
        return self._run_counted if self._is_on else run

    def prepare(self) -> None:
        """In this task one handling will follow another."""
        self._observers.prepared()

    def decided(
        self, delivery: Delivery, outcome: Outcome, error: BaseException | None = None
    ) -> None:
        """This becomes of the message, and not that it is handled."""
        if self._is_on and (
            self._counts or self._chooser is None or self._chooser(delivery.envelope)
        ):
            self._decided[delivery.place] = Ending(outcome, error)

    def ended(self, delivery: Delivery, settled: Settled | None = None) -> None:
        """Tell what was decided of a message; where nothing was, that its handling went well."""
        begun = self._under_way.pop(delivery.place, None)
        ending = self._decided.pop(delivery.place, None) if self._decided else None
        if begun is not None:
            at_s, handling, token = begun
            ended_s = perf_counter()
            handled_s = ended_s - at_s
            if ending is None and isinstance(settled, Settlement) and self._counts:
                self._call_soon(self._tell_of_many)
                attempt = attempt_of(delivery)
                handled = (delivery.envelope, attempt, settled.outbox, at_s, ended_s)
                self._handled.append(handled)
            if handling is not None or ending is not None:
                handling = handling or self._handling(delivery, handled_s)
                ending = (ending or _HANDLED)._replace(handled_s=handled_s)
                self._observers.end(handling, ending, token)
        elif ending is not None:  # no handler has begun, or it has ended before
            self._observers.end(self._handling(delivery), ending, None)

    def let_go(self, deliveries: Iterable[Delivery]) -> None:
        """What of these has not ended begins again, here or elsewhere."""
        if self._under_way or self._decided:
            for delivery in deliveries:
                self._decided.pop(delivery.place, None)
                if delivery.place in self._under_way:
                    self._interrupted(delivery, None)

    async def _run_counted(
        self,
        delivery: Delivery,
        target: Target,
        message: BaseModel,
        slot: WorkerSlot,
        contender: Contender | None = None,
        *,
        is_first: bool = True,
    ) -> Settled:
        if self._decided:  # of an attempt that nobody was told of
            self._decided.pop(delivery.place, None)
        at_s = perf_counter()
        try:
            settled: Settled = await self._run(
                delivery, target, message, slot, contender, is_first=is_first
            )
        except BaseException as error:
            self._left(delivery, (at_s, None, None), slot, error)
            raise
        if self._decided and delivery.place in self._decided:
            self._under_way[delivery.place] = at_s, None, None
            self.ended(delivery)
        else:  # as nearly always, so it is not a call
            attempt = 1 if is_first else attempt_of(delivery)
            handled = self._handled
            outbox: Any = settled[1]  # it is no retry: that would be decided
            handled.append((delivery.envelope, attempt, outbox, at_s, perf_counter()))
            if len(handled) == 1:
                self._call_soon(self._tell_of_many)
            elif len(handled) == AT_ONCE:
                self._tell_of_many()
        return settled

    async def _run_told(
        self,
        delivery: Delivery,
        target: Target,
        message: BaseModel,
        slot: WorkerSlot,
        contender: Contender | None = None,
        *,
        is_first: bool = True,
    ) -> Settled:
        handling, variables = self._handling(delivery), copy_context()
        token = self._observers.begun(handling)
        self._decided.pop(delivery.place, None)  # as above
        begun = self._under_way[delivery.place] = perf_counter(), handling, token
        try:
            settled = await self._run(delivery, target, message, slot, contender, is_first=is_first)
        except BaseException as error:
            self._left(delivery, begun, slot, error)
            raise
        self.ended(delivery, settled)
        if token and have_changed(variables):
            slot.is_worn = True
        return settled

    def _run_chosen(
        self,
        delivery: Delivery,
        target: Target,
        message: BaseModel,
        slot: WorkerSlot,
        contender: Contender | None = None,
        *,
        is_first: bool = True,
    ) -> Coroutine[Any, Any, Settled]:
        if self._chooser is None or self._chooser(delivery.envelope):
            run: Run = self._run_told
        else:
            run = self._run_counted if self._counts else self._run
        return run(delivery, target, message, slot, contender, is_first=is_first)

    def _tell_of_many(self) -> None:
        handled, self._handled = self._handled, []
        if handled:
            self._observers.handled(self._group, handled, self._time() - perf_counter())

    def _left(
        self, delivery: Delivery, begun: _Begun, slot: WorkerSlot, error: BaseException
    ) -> None:
        """A handling has raised: it is settled by another worker, or not at all."""
        self._under_way[delivery.place] = begun
        is_unsettled = isinstance(error, UnsettledError)
        if slot.is_leaving() or not (is_unsettled or isinstance(error, asyncio.CancelledError)):
            self._interrupted(delivery, None if is_unsettled else error)

    def _interrupted(self, delivery: Delivery, error: BaseException | None) -> None:
        self._decided[delivery.place] = Ending("interrupted", error)
        self.ended(delivery)

    def _handling(self, delivery: Delivery, ago_s: float = 0.0) -> Handling:
        """The handling that began so many seconds ago."""
        envelope = delivery.envelope
        made_s = made_at(envelope.id[TIME])
        waited_s = None if made_s is None else max(0.0, self._time() - ago_s - made_s)
        return Handling(envelope, self._group, attempt_of(delivery), waited_s)
