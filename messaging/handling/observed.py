"""Handling that an observer sees. Without one, none of this is in the way of a message."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context as Variables
from contextvars import copy_context
from typing import Any, NamedTuple

from pydantic import BaseModel

from messaging.backend import Delivery, Place, Settlement, StateValue
from messaging.control.cancellation import Cancellations
from messaging.control.followers import Followers
from messaging.errors import MessagingError, UnknownTypeError
from messaging.handling.context import HandlerServices
from messaging.handling.handler_table import Target
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
        self.endings: dict[Place, Ending] = {}

    @classmethod
    def beside(cls, settlements: SettlementBuilder, observers: Observers) -> "ObservedSettlements":
        """One that shares all that `settlements` remembers."""
        beside = cls.__new__(cls)
        vars(beside).update(vars(settlements))
        beside.observers = observers
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
        return self.observers.traced(super()._answer(envelope, message, topic))


class _Begun(NamedTuple):
    """A handling under way.

    Attributes:
        variables: what the context held before the observer was told.
    """

    handling: Handling
    token: Any
    at_s: float
    variables: Variables


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
        self._show(settlements)

    def _show(self, settlements: ObservedSettlements) -> None:
        self._observers = settlements.observers
        self._endings = settlements.endings
        self._under_way: dict[Place, _Begun] = {}

    async def handle(self, delivery: Delivery, slot: WorkerSlot) -> Outcome:
        try:
            outcome = await super().handle(delivery, slot)
        except asyncio.CancelledError as error:
            if slot.is_leaving():  # otherwise another worker settles it
                self._interrupted(delivery, error)
            raise
        except MessagingError as error:
            self._interrupted(delivery, error)
            raise
        begun = self._under_way.get(delivery.place)
        if begun is not None and slot.is_leaving():  # its handler has swallowed that
            self._interrupted(delivery, None)
        else:
            self._ended(delivery)
        if begun is not None and have_changed(begun.variables):
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
        handling = self._handling(delivery, 1 if is_first else attempt_of(delivery))
        variables = copy_context()
        token = self._observers.begun(handling)
        begun = _Begun(handling, token, time.perf_counter(), variables)
        self._under_way[delivery.place] = begun
        return await super()._run(delivery, target, message, slot, contender, is_first=is_first)

    def _interrupted(self, delivery: Delivery, error: BaseException | None) -> None:
        if delivery.place in self._under_way:
            self._endings[delivery.place] = Ending("interrupted", error)
            self._ended(delivery)
        else:
            self._endings.pop(delivery.place, None)

    def _ended(self, delivery: Delivery) -> None:
        begun = self._under_way.pop(delivery.place, None)
        ending = self._endings.pop(delivery.place, None)
        if begun is not None:
            handled_s = time.perf_counter() - begun.at_s
            ending = (ending or Ending("handled"))._replace(handled_s=handled_s)
            self._observers.ended(begun.handling, ending, begun.token)
        elif ending is not None:  # nothing was decided about a timer that has come due
            self._observers.ended(self._handling(delivery, attempt_of(delivery)), ending, None)

    def _handling(self, delivery: Delivery, attempt: int) -> Handling:
        waited_s = _waited_s(delivery.envelope.id, self._services.clock.time())
        return Handling(delivery.envelope, self._group, attempt, waited_s)


def _waited_s(message_id: str, now: float) -> float | None:
    """Seconds from when the message was made until `now`; None where its id does not tell."""
    if message_id[_ID_VERSION : _ID_VERSION + 1] != _WITH_TIME:
        return None
    return max(0.0, now - int(message_id[:_ID_VERSION], 16) / 1_000)
