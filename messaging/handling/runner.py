"""From a delivery to its settlement: look at it, decode it, hand it to its handler."""

import asyncio
import decimal
import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import Any

from pydantic import BaseModel

from messaging.backend import Consumer, Delivery, Place, Settlement
from messaging.control.cancellation import Cancellations
from messaging.errors import (
    BackendUnavailableError,
    DeadlineExceededError,
    FencedError,
    HandlerTimeoutError,
    HandlingCancelledError,
    HopLimitError,
    LostWorkerError,
    MessagingError,
    StateConflictError,
    UnknownTypeError,
    WireError,
)
from messaging.handling.context import Context, HandlerServices, have_changed
from messaging.handling.handler_table import HandlerTable, Target
from messaging.handling.log_context import in_hand, name_in_logs
from messaging.handling.settlement import Outcome, RetryInPlace, SettlementBuilder
from messaging.handling.starts import Starts, attempt_of, is_first_start, numbered
from messaging.handling.subscription import Result, Subscription
from messaging.handling.unhandled import tell_of_answer
from messaging.handling.watch import Watch
from messaging.handling.worker_slot import UnsettledError, WorkerSlot
from messaging.process.logs import get_logger
from messaging.process.threads import Threads
from messaging.state.contender import Contender
from messaging.state.state import State
from messaging.state.steps import Journal
from messaging.state.timers import is_timer
from messaging.wire.envelope import Envelope, split_tags
from messaging.wire.message import MessageRegistry, decode

log = get_logger()


class HandlerRunner:
    """Handles the deliveries of one group; every outcome is a settlement.

    Attributes:
        noted: the lent deliveries of which more is remembered than that they are lent.
    """

    def __init__(
        self,
        subscription: Subscription,
        services: HandlerServices,
        settlements: SettlementBuilder,
        cancellations: Cancellations,
        known: MessageRegistry,
        *,
        watch: Watch,
    ) -> None:
        self._group = subscription.group
        self._inbox = subscription.inbox
        self._options = subscription.options
        self._table = HandlerTable(subscription, known)
        self._services = services
        self._contention = services.contention
        self._settlements = settlements
        attempts = subscription.options.retry.attempts
        self._starts = Starts(subscription.group, attempts, services.load_state)
        self._cancellations = cancellations
        self._threads = Threads(subscription.options.concurrency)
        self.noted: set[Place] = set()
        self._watch = watch
        self._begin = watch.begin

    def look(self) -> None:
        """Heed which observers are there at this moment."""
        self._watch.look()
        self._begin = self._watch.begin

    @property
    def is_slow(self) -> bool:
        """Whether other replicas should be the first to see what comes."""
        return self._settlements.is_slow

    @contextmanager
    def slot(self, consumer: Consumer, is_leaving: Callable[[], bool]) -> Iterator[WorkerSlot]:
        """For a worker's task: its place, and its name in what it logs."""
        name_in_logs(self._services.guild_id, self._group)
        decimal.getcontext()  # or the first handler that computes with it leaves the context worn
        slot = WorkerSlot(consumer, is_leaving)
        self._watch.prepare()
        self._cancellations.add(slot)
        try:
            yield slot
        finally:
            self._cancellations.remove(slot)

    def handle(self, delivery: Delivery, slot: WorkerSlot) -> Awaitable[Outcome]:
        """Work on `delivery` until it is settled or handled again.

        Raises:
            UnsettledError: its handler has ended, and another task than this one has to settle it.
            FencedError: its start could not be recorded, because it was taken over.
            BackendUnavailableError: neither could that, nor its history be read.
        """
        envelope = delivery.envelope
        target = self._table.targets.get((envelope.type, envelope.version))
        if (
            target is None
            or delivery.redelivery_count
            or delivery.fault
            or envelope.origin
            or envelope.attempt > 1
            or self._options.only_when_tagged
            or self._cancellations.reasons
            or self._contention.lost
        ):
            return self._handle_with_care(delivery, slot)
        in_hand.set(delivery)
        try:
            if envelope.deadline or envelope.hops > self._options.max_hops:
                self._check(delivery)
            message = envelope.message
            if message is None:
                message = decode(target.message_class, envelope.payload, version=target.version)
            elif type(message) is not target.message_class:
                message = target.message_in(envelope)
        except MessagingError as error:
            return self._not_begun(delivery, error)
        return self._run(delivery, target, message, slot)

    async def handle_in_turn(
        self, turns: asyncio.Semaphore, delivery: Delivery, slot: WorkerSlot
    ) -> Outcome:
        """The same, where one limit holds for all that use it."""
        async with turns:
            return await self.handle(delivery, slot)

    async def _handle_with_care(self, delivery: Delivery, slot: WorkerSlot) -> Outcome:
        """What may have been begun before, or may not be for this group."""
        if delivery.place in self._contention.lost:
            outcome = await self._handle_again(delivery, slot)
        else:
            outcome = await self._look_closely(delivery, slot)
        self._watch.ended(delivery)  # where no handler has begun
        return await self._without_record(outcome)

    async def _handle_again(self, delivery: Delivery, slot: WorkerSlot) -> Outcome:
        """What lost a conflict waits for its turn first."""
        try:
            contender = await self._contention.prepare(delivery, slot.consumer)
        except StateConflictError as error:
            return await self._settlements.failed(delivery, error)
        outcome = await self._look_closely(delivery, slot, contender)
        if not contender.is_over:  # its handler has not begun
            await self._contention.give_up(delivery)
        return outcome

    async def _look_closely(
        self, delivery: Delivery, slot: WorkerSlot, contender: Contender | None = None
    ) -> Outcome:
        envelope = delivery.envelope
        in_hand.set(delivery)
        if envelope.origin and is_timer(envelope):
            return await self._settlements.due(delivery)
        target = self._table.find(envelope)
        if not delivery.fault and self._is_ignored(envelope, target):
            ignored = self._ignored(delivery)
            return await self._settlements.forgetting(ignored) if envelope.origin else ignored
        reason = self._cancelled_reason(envelope) if self._cancellations.reasons else None
        if reason is not None:
            return await self._settlements.cancelled(delivery, reason)
        try:
            self._check(delivery)
            if isinstance(target, UnknownTypeError):
                raise target
            assert target is not None
            if delivery.redelivery_count:  # before its payload is read: that may kill it, too
                self.noted.add(delivery.place)
                delivery = await self._starts.begin(delivery, slot.consumer.journal)
                in_hand.set(delivery)
            message = target.message_in(envelope)
        except (FencedError, BackendUnavailableError):
            raise
        except MessagingError as error:
            return await self._not_begun(delivery, error)
        is_first = is_first_start(delivery)
        return await self._run(delivery, target, message, slot, contender, is_first=is_first)

    async def _without_record(self, outcome: Outcome) -> Outcome:
        """`outcome` with what removes the record of starts, if it settles and there may be one."""
        if isinstance(outcome, RetryInPlace) or not outcome.delivery.redelivery_count:
            return outcome
        return await self._starts.forgotten(outcome)

    async def give_up_on(self, delivery: Delivery, error: BaseException) -> Outcome:
        """Settle what was handled and cannot be committed."""
        outcome = await self._fail(delivery, error)
        self._watch.ended(delivery)
        return await self._without_record(outcome)

    async def _fail(self, delivery: Delivery, error: BaseException) -> Outcome:
        self.noted.add(delivery.place)
        await self._contention.give_up(delivery)
        return await self._settlements.failed(delivery, error)

    def interrupted(
        self, delivery: Delivery, slot: WorkerSlot, stray: asyncio.CancelledError
    ) -> UnsettledError:
        """What is left when `stray`, of a handler's making, reached an `await` of the bus's own."""
        failing = partial(self._fail, delivery, cancelled_from_within(delivery, stray))
        return UnsettledError(delivery, slot.settle or failing)

    async def settle(self, left: UnsettledError, slot: WorkerSlot) -> Outcome:
        """Settle what another task has left."""
        slot.settle = left.settle
        outcome = await left.settle()
        self._watch.ended(left.delivery, outcome)
        return await self._without_record(outcome)

    def conflicted(self, settlement: Settlement) -> None:
        """This was not committed, as the state that it writes has changed."""
        self._contention.conflicted(settlement)
        self._watch.decided(settlement.delivery, "conflicted")
        self._watch.ended(settlement.delivery)

    async def _not_begun(self, delivery: Delivery, error: MessagingError) -> Outcome:
        self.noted.add(delivery.place)
        if isinstance(error, UnknownTypeError):
            outcome = await self._settlements.unreadable(delivery, error)
        elif isinstance(error, LostWorkerError):
            outcome = await self._settlements.failed(numbered(delivery, error.starts), error)
        else:
            outcome = await self._settlements.failed(delivery, error)
        self._watch.ended(delivery)
        return outcome

    def take_back(self, deliveries: Iterable[Delivery], journal: Journal) -> Awaitable[None]:
        """Let these, which are about to be given back, count as never begun here."""
        return self._starts.take_back(deliveries, journal)

    def let_go(self, deliveries: Iterable[Delivery]) -> None:
        """Forget these: they were settled, given back, or taken over."""
        deliveries = tuple(deliveries)
        self._watch.let_go(deliveries)
        for delivery in deliveries:
            if delivery.place in self.noted:
                self.noted.remove(delivery.place)
                self._starts.let_go(delivery)
                self._settlements.let_go(delivery)
                self._contention.let_go(delivery)

    def _is_ignored(self, envelope: Envelope, target: Target | UnknownTypeError | None) -> bool:
        if target is None:
            return True
        if not self._options.only_when_tagged or envelope.published_to == self._inbox:
            return False
        return self._group not in split_tags(envelope.tags)

    def _ignored(self, delivery: Delivery) -> Settlement:
        envelope = delivery.envelope
        if envelope.published_to == self._inbox:
            tell_of_answer(self._services.guild_id, self._group, envelope)
        return self._settlements.ignored(delivery)

    def _cancelled_reason(self, envelope: Envelope) -> str | None:
        reason = self._cancellations.reason_for(envelope)
        # What the bus itself says must get through: an agent may clean up after a cancellation.
        return None if reason is None or envelope.type.startswith("bus.") else reason

    def _check(self, delivery: Delivery) -> None:
        envelope = delivery.envelope
        if delivery.fault:
            raise WireError(delivery.fault)
        if envelope.deadline and (late_s := self._services.clock.time() - envelope.deadline) > 0:
            raise DeadlineExceededError(
                f"{envelope.type} {envelope.id} was {late_s:.3g} s past its deadline"
            )
        if envelope.hops > self._options.max_hops:
            raise HopLimitError(
                f"{envelope.type} {envelope.id} came through {envelope.hops} handlings; "
                "do agents answer each other in a loop?"
            )

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
        begin = self._begin
        begun = None if begin is None else begin(delivery)
        attempt = 1 if is_first else attempt_of(delivery)
        context = Context(delivery, attempt, self._services, slot.consumer, contender)
        outbox: tuple[Envelope, ...] = ()
        error: BaseException | None = None
        slot.context = context
        given = (message, context) if target.takes_context else (message,)
        variables = copy_context()
        try:
            if target.is_async and self._options.timeout_s is None:
                result = await target.handler(*given)
            else:
                result = await self._call(target, given, context)
            if target.usual is not None and type(result) not in target.usual:
                target.check(self._group, result)
            if result is not None or context.sent:
                outbox = self._settlements.outbox(context, result)
        except BaseException as raised:  # noqa: BLE001 - `_conclude` decides what follows
            error = raised
        finally:
            slot.context = None
            context.over = context.over or "it has ended"
            if context.contender is not None:
                self.noted.add(delivery.place)
                self._contention.over(delivery, context.contender)
        if have_changed(variables):
            slot.is_worn = True
        is_plain = error is None and is_first and context.is_plain and slot.reason is None
        if is_plain and not slot.task.cancelling():
            settlement = Settlement(delivery, outbox)
            if begun is not None:
                self._watch.went_well(settlement, begun, slot)
            return settlement
        concluding = self._conclude(delivery, outbox, error, context, slot)
        if begun is not None:
            concluding = self._watch.settling(delivery, begun, slot, concluding)
        return await concluding

    async def _conclude(
        self,
        delivery: Delivery,
        outbox: tuple[Envelope, ...],
        error: BaseException | None,
        context: Context,
        slot: WorkerSlot,
    ) -> Outcome:
        """A handling that has failed, was cancelled, or has more to settle than what it sent."""
        if error is not None:
            error = _failure_in(delivery, error, slot)
        if slot.reason is not None:
            reason = await slot.settle_down()
            await self._contention.give_up(delivery)
            return await self._settlements.cancelled(delivery, reason)
        error = context.forgotten() if error is None else error
        slot.settle = partial(self._settle, delivery, outbox, error, context)
        # A task whose cancellation was not taken back must not await any more, and neither must one
        # that was given a GeneratorExit by what it awaits.
        if slot.task.cancelling() or isinstance(error, GeneratorExit):
            raise UnsettledError(delivery, slot.settle)
        return await slot.settle()

    async def _settle(
        self,
        delivery: Delivery,
        outbox: tuple[Envelope, ...],
        error: BaseException | None,
        context: Context,
    ) -> Outcome:
        """What becomes of a handling that has failed, or has more to settle than what it sent."""
        if error is not None:
            return await self._fail(delivery, error)
        if context.contender is not None:
            await self._keep_turns(delivery, context.contender, context.state)
        return await self._settlements.done(delivery, outbox, context)

    async def _keep_turns(self, delivery: Delivery, contender: Contender, state: State) -> None:
        """Those at what is written, until that is committed."""
        for key in state.unread:
            await self._contention.pass_by(contender, key)
        unused = self._contention.ended(delivery, contender, state.written)
        if unused is not None:
            await unused

    async def _call(self, target: Target, given: Sequence[Any], context: Context) -> Result:
        timeout_s = self._options.timeout_s
        if timeout_s is None:
            return await self._invoke(target, given)
        try:
            async with asyncio.timeout(timeout_s) as scope:
                context.patience = scope
                result = await self._invoke(target, given)
        # Where the handler has left a cancellation of its own, that of the scope stays one.
        except (TimeoutError, asyncio.CancelledError) as error:
            if not scope.expired():
                raise
            raise HandlerTimeoutError(self._group, context.envelope.type, timeout_s) from error
        if scope.expired():  # the handler has swallowed it
            raise HandlerTimeoutError(self._group, context.envelope.type, timeout_s)
        return result

    async def _invoke(self, target: Target, given: Sequence[Any]) -> Result:
        if target.is_async:
            result: Result = await target.handler(*given)
            return result
        result = await self._threads.run(target.handler, *given)
        return await result if inspect.isawaitable(result) else result


def _failure_in(delivery: Delivery, raised: BaseException, slot: WorkerSlot) -> BaseException:
    """What the handling has failed with; what ends the worker is raised again."""
    if isinstance(raised, asyncio.CancelledError):
        if slot.is_leaving():
            raise raised
        return cancelled_from_within(delivery, raised)
    if isinstance(raised, GeneratorExit) and not slot.is_at_work:
        raise raised
    return raised


def cancelled_from_within(delivery: Delivery, cause: BaseException) -> HandlingCancelledError:
    """The error of a handling that neither the bus nor a user has cancelled."""
    envelope = delivery.envelope
    error = HandlingCancelledError(
        f"the handler of {envelope.type} {envelope.id} was cancelled from within: by itself, or by "
        "a library that it uses"
    )
    error.__cause__ = cause
    return error
