"""Handling that an observer sees. Without one, none of this is in the way of a message."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from functools import lru_cache, partial
from time import perf_counter
from typing import Any, Self, cast

from pydantic import BaseModel

from messaging.backend import Consumer, Delivery, Place, Settlement, StateValue
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
        self._traced = observers.tracer
        self._chooser = observers.chooser
        self.endings: dict[Place, Ending] = {}

    @classmethod
    def beside(cls, settlements: SettlementBuilder, observers: Observers) -> "ObservedSettlements":
        """One that shares all that `settlements` remembers."""
        beside = cls.__new__(cls)
        vars(beside).update(vars(settlements))
        beside.observers = observers
        beside._traced = observers.tracer  # noqa: SLF001 - it is being made
        beside._chooser = None  # noqa: SLF001 - likewise
        beside.endings = {}
        return beside

    def ignored(self, delivery: Delivery) -> Settlement:
        self.note(delivery, Ending("ignored"))
        return super().ignored(delivery)

    async def cancelled(self, delivery: Delivery, reason: str) -> Settlement:
        self.note(delivery, Ending("cancelled"))
        return await super().cancelled(delivery, reason)

    async def unreadable(self, delivery: Delivery, error: UnknownTypeError) -> Outcome:
        self.note(delivery, Ending("left_to_others", error))
        return await super().unreadable(delivery, error)  # which may give it up

    async def failed(self, delivery: Delivery, error: BaseException) -> Outcome:
        outcome = await super().failed(delivery, error)
        is_over = not isinstance(outcome, RetryInPlace) and outcome.dead is not None
        self.note(delivery, Ending("dead_lettered" if is_over else "retried", error))
        return outcome

    @property
    def wants_all(self) -> bool:
        return self._chooser is None

    def wants(self, envelope: Envelope) -> bool:
        """Whether an observer is to be told of the handling of this message."""
        return self._chooser is None or self._chooser(envelope)

    def note(self, delivery: Delivery, ending: Ending) -> None:
        """What was decided about a delivery, where it is not that it is done."""
        if self.wants(delivery.envelope):
            self.endings[delivery.place] = ending

    def _answer(self, envelope: Envelope, message: BaseModel, topic: str) -> Envelope:
        answer = super()._answer(envelope, message, topic)
        return answer if self._traced is None else self._traced(answer)


_Begun = tuple[Handling, Any, float]  # with its token, and when it was
_HANDLED = Ending("handled")

# Each message takes these ways, so they are the shortest there are: `super()` and the constructor
# of a named tuple take twice as long, and many ids are made within one millisecond.
_run = HandlerRunner._run  # noqa: SLF001 - as above
_handling = cast(
    "Callable[[tuple[Envelope, str, int, float | None]], Handling]",
    partial(tuple.__new__, Handling),
)
_ending = cast(
    "Callable[[tuple[str, BaseException | None, float]], Ending]", partial(tuple.__new__, Ending)
)
_milliseconds = lru_cache(maxsize=8)(partial(int, base=16))


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
    def beside(cls, runner: HandlerRunner, observers: Observers) -> Self:
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
        self._prepare = settlements.observers.prepared
        self._endings = settlements.endings
        self._note = settlements.note
        self._under_way: dict[Place, _Begun] = {}

    @contextmanager
    def slot(self, consumer: Consumer, is_leaving: Callable[[], bool]) -> Iterator[WorkerSlot]:
        with super().slot(consumer, is_leaving) as slot:
            self._prepare()
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
        handling = _handling((envelope, self._group, attempt, waited_s))
        variables = copy_context()
        token = None if self._begin is None else self._begin(handling)
        if self._endings:  # of an attempt that nobody wanted when it began
            self._endings.pop(place, None)
        at_s = perf_counter()
        self._under_way[place] = (handling, token, at_s)
        try:
            outcome = await _run(
                self, delivery, target, message, slot, contender, is_first=is_first
            )
        except asyncio.CancelledError as error:
            if slot.is_leaving():  # otherwise another worker settles it
                self._interrupted(delivery, error)
            raise
        except MessagingError as error:
            self._interrupted(delivery, error)
            raise
        if slot.task.cancelling() and slot.is_leaving():  # its handler has swallowed that
            self._interrupted(delivery, None)
        elif self._endings:
            self._ended(delivery)
        elif self._under_way.pop(place, None) is not None:
            self._end(handling, _ending(("handled", None, perf_counter() - at_s)), token)
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
        self._note(settlement.delivery, Ending("conflicted"))
        self._ended(settlement.delivery)

    def let_go(self, deliveries: Iterable[Delivery]) -> None:
        deliveries = tuple(deliveries)
        super().let_go(deliveries)
        for delivery in deliveries if self._under_way or self._endings else ():
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


_run_seen = ObservedRunner._run  # noqa: SLF001 - as above


class ChoosyRunner(ObservedRunner):
    """The same, where not every handling is wanted: the others cost next to nothing."""

    def __init__(
        self,
        subscription: Subscription,
        services: HandlerServices,
        settlements: ObservedSettlements,
        cancellations: Cancellations,
        known: MessageRegistry,
    ) -> None:
        super().__init__(subscription, services, settlements, cancellations, known)
        self._wants = settlements.wants

    def _run(
        self,
        delivery: Delivery,
        target: Target,
        message: BaseModel,
        slot: WorkerSlot,
        contender: Contender | None = None,
        *,
        is_first: bool = True,
    ) -> Coroutine[Any, Any, Outcome]:
        run = _run_seen if self._wants(delivery.envelope) else _run
        return run(self, delivery, target, message, slot, contender, is_first=is_first)


def _waited_s(message_id: str, now: float) -> float | None:
    """Seconds from when the message was made until `now`; None where its id does not tell."""
    if message_id[_ID_VERSION : _ID_VERSION + 1] != _WITH_TIME:
        return None
    waited_s: float = now - _milliseconds(message_id[:_ID_VERSION]) / 1_000
    return waited_s if waited_s > 0 else 0.0
