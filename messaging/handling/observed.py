"""Handling that an observer sees. Without one, none of this is in the way of a message."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from time import perf_counter
from typing import Any

from pydantic import BaseModel

from messaging.backend import Consumer, Delivery, Place, Settlement, StateValue
from messaging.control.cancellation import Cancellations
from messaging.control.followers import Followers
from messaging.errors import MessagingError, UnknownTypeError
from messaging.handling.context import HandlerServices
from messaging.handling.handler_table import Target
from messaging.handling.log_context import name_more_in_logs
from messaging.handling.runner import HandlerRunner, WorkerSlot, have_changed
from messaging.handling.settlement import Outcome, RetryInPlace, SettlementBuilder
from messaging.handling.starts import attempt_of
from messaging.handling.subscription import Subscription
from messaging.handling.unsettled import UnsettledError
from messaging.observing import Ending, Handling, Observers
from messaging.state.contender import Contender
from messaging.wire.envelope import Envelope
from messaging.wire.message import MessageRegistry

_ID_VERSION = 12  # where a UUID has it
_WITH_TIME = "7"


class ObservedSettlements(SettlementBuilder):
    """Builds settlements, and shows the observer what they send.

    Attributes:
        endings: by the place of a delivery, what was decided about it, where it was not just done.
    """

    def __init__(
        self,
        subscription: Subscription,
        load_state: Callable[[str, str], Awaitable[StateValue | None]],
        followers: Followers,
        *,
        by_reference: bool,
        observers: Observers,
    ) -> None:
        super().__init__(subscription, load_state, followers, by_reference=by_reference)
        self.observers = observers
        self._traced = observers.tracer
        self.endings: dict[Place, Ending] = {}

    @classmethod
    def beside(cls, settlements: SettlementBuilder, observers: Observers) -> "ObservedSettlements":
        """One that shares all that `settlements` remembers."""
        beside = cls.__new__(cls)
        vars(beside).update(vars(settlements))
        beside.observers = observers
        beside._traced = observers.tracer  # noqa: SLF001 - it is being made
        beside.endings = {}
        return beside

    def ignored(self, delivery: Delivery) -> Settlement:
        self.endings[delivery.place] = Ending("ignored")
        return super().ignored(delivery)

    async def cancelled(self, delivery: Delivery, reason: str) -> Settlement:
        self.endings[delivery.place] = Ending("cancelled")
        return await super().cancelled(delivery, reason)

    async def unreadable(self, delivery: Delivery, error: UnknownTypeError) -> Outcome:
        self.endings[delivery.place] = Ending("left_to_others", error)
        return await super().unreadable(delivery, error)  # which may give it up

    async def failed(self, delivery: Delivery, error: BaseException) -> Outcome:
        outcome = await super().failed(delivery, error)
        is_over = not isinstance(outcome, RetryInPlace) and outcome.dead is not None
        self.endings[delivery.place] = Ending("dead_lettered" if is_over else "retried", error)
        return outcome

    def _answer(self, envelope: Envelope, message: BaseModel, topic: str) -> Envelope:
        answer = super()._answer(envelope, message, topic)
        return answer if self._traced is None else self._traced(answer)


_Begun = tuple[Handling, Any, float]  # with its token, and when it was
_HANDLED = Ending("handled")


class ObservedRunner(HandlerRunner):
    """Handles deliveries, and tells the observer when a handling begins and how it ends."""

    def __init__(
        self,
        subscription: Subscription,
        services: HandlerServices,
        settlements: ObservedSettlements,
        cancellations: Cancellations,
        known: MessageRegistry,
    ) -> None:
        super().__init__(subscription, services, settlements, cancellations, known)
        self._time = services.clock.time
        self._show(settlements)

    @classmethod
    def beside(cls, runner: HandlerRunner, observers: Observers) -> "ObservedRunner":
        """One that shares all that `runner` remembers, to do its work for a while.

        What is under way when that begins or ends is finished by the one that has begun it.
        """
        beside = cls.__new__(cls)
        vars(beside).update(vars(runner))
        beside.observed = None
        beside._share(observers)  # noqa: SLF001 - it is being made
        return beside

    def _share(self, observers: Observers) -> None:
        settlements = ObservedSettlements.beside(self._settlements, observers)
        self._settlements = settlements
        self._time = self._services.clock.time
        self._show(settlements)

    def _show(self, settlements: ObservedSettlements) -> None:
        self._begin = settlements.observers.beginner
        self._end = settlements.observers.ended
        self._log_names = settlements.observers.log_names
        self._endings = settlements.endings
        self._under_way: dict[Place, _Begun] = {}

    @contextmanager
    def slot(self, consumer: Consumer, is_leaving: Callable[[], bool]) -> Iterator[WorkerSlot]:
        with super().slot(consumer, is_leaving) as slot:
            name_more_in_logs(self._log_names)
            yield slot

    async def _handle_with_care(self, delivery: Delivery, slot: WorkerSlot) -> Outcome:
        try:
            outcome = await super()._handle_with_care(delivery, slot)
        except MessagingError:  # it was not settled, and begins again
            self._endings.pop(delivery.place, None)
            raise
        self._ended(delivery)  # where no handler has begun
        return outcome

    async def _not_begun(self, delivery: Delivery, error: MessagingError) -> Outcome:
        outcome = await super()._not_begun(delivery, error)
        self._ended(delivery)
        return outcome

    async def _run(
        self,
        delivery: Delivery,
        target: Target,
        message: BaseModel,
        slot: WorkerSlot,
        contender: Contender | None = None,
        *,
        is_first: bool = True,
    ) -> Outcome:
        envelope, place = delivery.envelope, delivery.place
        waited_s = _waited_s(envelope.id, self._time())
        attempt = 1 if is_first else attempt_of(delivery)
        handling = Handling(envelope, self._group, attempt, waited_s)
        variables = copy_context()
        token = None if self._begin is None else self._begin(handling)
        self._under_way[place] = (handling, token, perf_counter())
        try:
            outcome = await super()._run(
                delivery, target, message, slot, contender, is_first=is_first
            )
        except asyncio.CancelledError as error:
            if slot.is_leaving():  # otherwise another worker settles it
                self._interrupted(delivery, error)
            raise
        except MessagingError as error:
            self._interrupted(delivery, error)
            raise
        if slot.is_leaving():  # its handler has swallowed that
            self._interrupted(delivery, None)
        else:
            self._ended(delivery)
        if token is not None and have_changed(variables):
            slot.is_worn = True
        return outcome

    async def settle(self, left: UnsettledError, slot: WorkerSlot) -> Outcome:
        outcome = await super().settle(left, slot)
        self._ended(left.delivery)
        return outcome

    async def give_up_on(self, delivery: Delivery, error: BaseException) -> Outcome:
        outcome = await super().give_up_on(delivery, error)
        self._ended(delivery)
        return outcome

    def conflicted(self, settlement: Settlement) -> None:
        super().conflicted(settlement)
        self._endings[settlement.delivery.place] = Ending("conflicted")
        self._ended(settlement.delivery)

    def let_go(self, deliveries: Iterable[Delivery]) -> None:
        deliveries = tuple(deliveries)
        super().let_go(deliveries)
        for delivery in deliveries if self._under_way else ():
            self._interrupted(delivery, None)

    def _interrupted(self, delivery: Delivery, error: BaseException | None) -> None:
        if delivery.place in self._under_way:
            self._endings[delivery.place] = Ending("interrupted", error)
            self._ended(delivery)
        else:
            self._endings.pop(delivery.place, None)

    def _ended(self, delivery: Delivery) -> None:
        begun = self._under_way.pop(delivery.place, None)
        ending = self._endings.pop(delivery.place, None) if self._endings else None
        if begun is not None:
            handling, token, at_s = begun
            outcome, error, _ = ending or _HANDLED
            ending = Ending(outcome, error, perf_counter() - at_s)
            self._end(handling, ending, token)
        elif ending is not None:  # nothing was decided about a timer that has come due
            self._end(self._handling(delivery, attempt_of(delivery)), ending, None)

    def _handling(self, delivery: Delivery, attempt: int) -> Handling:
        envelope = delivery.envelope
        return Handling(envelope, self._group, attempt, _waited_s(envelope.id, self._time()))


def _waited_s(message_id: str, now: float) -> float | None:
    """Seconds from when the message was made until `now`; None where its id does not tell."""
    if message_id[_ID_VERSION : _ID_VERSION + 1] != _WITH_TIME:
        return None
    waited_s = now - int(message_id[:_ID_VERSION], 16) / 1_000
    return waited_s if waited_s > 0 else 0.0
