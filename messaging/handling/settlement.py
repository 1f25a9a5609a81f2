"""What a handling came to: its answer, another attempt, a dead letter, or a cancellation."""

import inspect
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from pydantic import BaseModel

from messaging.backend import (
    DeadLetter,
    Delivery,
    Settlement,
    StateValue,
    StateWrite,
    history_key,
    steps_key,
)
from messaging.control.followers import Followers
from messaging.errors import HandlerResultError, UnknownTypeError
from messaging.handling.context import Context
from messaging.handling.failure_record import HISTORY, Attempt, Reason
from messaging.handling.notices import passed_on, told_of
from messaging.handling.ordering_key import key_of
from messaging.handling.retry import MAX_ATTEMPTS
from messaging.handling.starts import attempt_of, is_first_start
from messaging.handling.subscription import Result, Subscription
from messaging.handling.unreadable import Unreadable
from messaging.process.error_text import described, text_of, traceback_of
from messaging.process.logs import get_logger
from messaging.state.timers import disarm, timer_key, timer_writes
from messaging.wire.envelope import Envelope, seal
from messaging.wire.message import encode
from messaging.wire.replies import Cancelled, RequestFailed
from messaging.wire.topic import is_reply_topic, retry_topic_of

log = get_logger()

MOST_ATTEMPTS_KEPT = 20


class RetryInPlace(NamedTuple):
    """Another attempt without a settlement in between: its successors have to wait for it."""

    delivery: Delivery
    wait_s: float


Outcome = Settlement | RetryInPlace

Decided = Callable[..., None]
"""Told what becomes of a message that is not simply handled; see `Watch.decided`."""


class SettlementBuilder:
    """Builds the settlements of one group.

    The history of failed attempts is kept in the group's state, in the same commit as the retry,
    so that it outlives the process and follows the message to any replica. Where an order is kept
    it stays here with the message, and who is lent that next knows nothing of it.
    """

    def __init__(
        self,
        subscription: Subscription,
        load_state: Callable[[str, str], Awaitable[StateValue | None]],
        followers: Followers,
        *,
        by_reference: bool,
        decided: Decided,
        traced: Callable[[Envelope], Envelope] | None = None,
    ) -> None:
        self._group = subscription.group
        self._options = subscription.options
        self._subscription = subscription
        self._load_state = load_state
        self._with_copies = followers.with_copies
        self._by_reference = by_reference
        self._decided = decided
        self._traced = traced
        self._histories: dict[str, tuple[Attempt, ...]] = {}
        self._unreadable = Unreadable(self._group, self._options.lease_s, load_state)

    def destinations(
        self, envelope: Envelope, message: BaseModel
    ) -> Sequence[tuple[str, BaseModel]]:
        """Where `message`, made while handling `envelope`, goes when nobody asked for it."""
        output = (self._subscription.output_topic_for(envelope), message)
        return (output, *self.routed(envelope, message))

    def outbox(self, context: Context, result: Result) -> tuple[Envelope, ...]:
        """What the handler sent, then its answer.

        Raises:
            HandlerResultError: `result` is not a message.
        """
        if result is None:
            return self._with_copies(tuple(context.sent)) if context.sent else ()
        envelope = context.envelope
        sent = [*context.sent]
        for message in _messages_in(result):
            for topic, shaped in self._targets(envelope, message):
                sent.append(self._answer(envelope, shaped, topic))
        return self._with_copies(tuple(sent))

    def ignored(self, delivery: Delivery) -> Settlement:
        """There is no handler for it here; a notice that somebody waits for is passed on."""
        self._decided(delivery, "ignored")
        envelope = delivery.envelope
        if not envelope.waiter or envelope.published_to != self._subscription.inbox:
            return Settlement(delivery)
        return Settlement(delivery, self._with_copies(passed_on(envelope)))

    async def forgetting(self, settlement: Settlement) -> Settlement:
        """`settlement` with what removes all that was kept of earlier attempts and pauses."""
        envelope = settlement.delivery.envelope
        if not envelope.was_handled:
            return settlement
        return settlement._replace(state=(*settlement.state, *await self._forget_history(envelope)))

    async def done(
        self, delivery: Delivery, outbox: tuple[Envelope, ...], context: Context
    ) -> Settlement:
        """The handler did what it was there for."""
        writes = context.writes()
        if context.timers:
            writes += timer_writes(context.timers)
        if context.took_steps or not is_first_start(delivery):
            writes += await context.steps.forget()
        if delivery.envelope.was_handled:
            writes += await self._forget_history(delivery.envelope)
        return Settlement(delivery, outbox, writes)

    async def due(self, delivery: Delivery) -> Settlement:
        """The time of a timer has come: it is sent, unless it was called off or set anew."""
        envelope, name = disarm(delivery.envelope)
        stored = await self._load_state(self._group, timer_key(name))
        if stored is None or stored.value != envelope.id.encode():
            return Settlement(delivery)
        return Settlement(
            delivery, (envelope,), (StateWrite(timer_key(name), None, stored.version),)
        )

    async def failed(self, delivery: Delivery, error: BaseException) -> Outcome:
        """The handling ended in `error`: another attempt, or none."""
        outcome = await self._failed(delivery, error)
        is_over = not isinstance(outcome, RetryInPlace) and outcome.dead is not None
        self._decided(delivery, "dead_lettered" if is_over else "retried", error)
        return outcome

    async def _failed(self, delivery: Delivery, error: BaseException) -> Outcome:
        envelope, attempt = delivery.envelope, delivery.envelope.attempt
        if self._options.ordered_by and key_of(delivery, self._options.ordered_by):
            return await self._failed_in_order(delivery, error)
        history, version = await self._load_history(envelope)
        history = (*history, _attempt(attempt, error))[-MOST_ATTEMPTS_KEPT:]
        key = history_key(envelope.id)
        if not self._options.retry.allows_another(error, attempt):
            forget = (StateWrite(key, None, version),) if version else ()
            pauses = await self._forget_pauses(envelope)
            return self._dead(delivery, error, history, (*forget, *pauses))
        wait_s = self._options.retry.wait_s(attempt)
        log.warning("delivery.retried", wait_s=round(wait_s, 3), **described(error))
        retry = envelope._replace(
            topic=retry_topic_of(self._group),
            origin=envelope.published_to,
            attempt=min(attempt + 1, MAX_ATTEMPTS),
            delay_s=wait_s,
        )
        write = StateWrite(key, HISTORY.dump_json(history), version)
        return Settlement(delivery, (retry,), (write,))

    async def _failed_in_order(self, delivery: Delivery, error: BaseException) -> Outcome:
        envelope, attempt = delivery.envelope, delivery.envelope.attempt
        history = (*self._histories.pop(envelope.id, ()), _attempt(attempt, error))
        if not self._options.retry.allows_another(error, attempt):
            before, version = await self._load_history(envelope)  # from before it was requeued
            forget = (StateWrite(history_key(envelope.id), None, version),) if version else ()
            pauses = await self._forget_pauses(envelope)
            history = (*before, *history)[-MOST_ATTEMPTS_KEPT:]
            return self._dead(delivery, error, history, (*forget, *pauses))
        self._histories[envelope.id] = history[-MOST_ATTEMPTS_KEPT:]
        wait_s = self._options.retry.wait_s(attempt)
        log.warning("delivery.retried", wait_s=round(wait_s, 3), **described(error))
        envelope = envelope._replace(attempt=min(envelope.attempt + 1, MAX_ATTEMPTS))
        return RetryInPlace(delivery._replace(envelope=envelope), wait_s)

    @property
    def is_slow(self) -> bool:
        """Whether other replicas should be the first to see what comes: they may read more."""
        return self._unreadable.is_slow

    async def unreadable(self, delivery: Delivery, error: UnknownTypeError) -> Outcome:
        """This process does not know its type: others may, until two leases have passed."""
        outcome: Outcome | None
        if self._options.ordered_by and key_of(delivery, self._options.ordered_by):
            pause_s = self._unreadable.held_s(delivery, error)
            outcome = None if pause_s is None else RetryInPlace(delivery, pause_s)
        else:
            outcome = await self._unreadable.left(delivery, error)
        if outcome is None:
            return await self.failed(delivery, error)
        self._decided(delivery, "left_to_others", error)
        return outcome

    async def cancelled(self, delivery: Delivery, reason: str) -> Settlement:
        """Somebody cancelled it: no further attempt, and whoever waits for it is told."""
        envelope = delivery.envelope
        log.info("delivery.cancelled", reason=reason)
        self._decided(delivery, "cancelled")
        notice = Cancelled(message_id=envelope.id, reason=reason)
        writes = await self._forget_history(envelope) if envelope.was_handled else ()
        writes += await self._forget_steps(envelope)
        return Settlement(delivery, self._told(envelope, notice), writes)

    def let_go(self, delivery: Delivery) -> None:
        """Forget the attempts at what is no longer lent to this process."""
        self._unreadable.let_go(delivery)
        self._histories.pop(delivery.envelope.id, None)

    def _dead(
        self,
        delivery: Delivery,
        error: BaseException,
        history: tuple[Attempt, ...],
        writes: tuple[StateWrite, ...],
    ) -> Settlement:
        envelope = delivery.envelope
        log.error("delivery.dead_lettered", **described(error))
        reason = Reason(
            error_type=type(error).__name__,
            text=text_of(error),
            traceback=traceback_of(error),
            agent=self._group,
            attempts=history,
        )
        failure = RequestFailed(
            message_id=envelope.id,
            error_type=reason.error_type,
            text=reason.text,
            agent=self._group,
            attempts=attempt_of(delivery),
        )
        letter = DeadLetter(envelope, self._group, encode(reason), time.time())
        return Settlement(delivery, self._told(envelope, failure), writes, letter)

    def _targets(self, envelope: Envelope, message: BaseModel) -> Sequence[tuple[str, BaseModel]]:
        if not envelope.reply_to:
            if self._options.answers == "requester":
                return self.routed(envelope, message)
            return self.destinations(envelope, message)
        return ((envelope.reply_to, message), *self.routed(envelope, message))

    def routed(self, envelope: Envelope, message: BaseModel) -> Sequence[tuple[str, BaseModel]]:
        """Where `message` goes besides, as a route says."""
        route = self._options.route
        return route(envelope, message) if route is not None else ()

    def _told(self, envelope: Envelope, notice: BaseModel) -> tuple[Envelope, ...]:
        notices = (
            self._answer(envelope, notice, told.topic)._replace(
                cause=told.cause, waiter=told.waiter, tags=envelope.type
            )
            for told in told_of(envelope)
        )
        return self._with_copies(tuple(notices))

    def _answer(self, envelope: Envelope, message: BaseModel, topic: str) -> Envelope:
        waiter = envelope.waiter
        if envelope.reply_to:  # rare where agents pass on what nobody asked for
            waiter = "" if is_reply_topic(topic) else envelope.waiter_beyond
        answer = seal(
            message,
            topic,
            by_reference=self._by_reference,
            sender=self._group,
            cause=envelope.id,
            conversation=envelope.conversation_id,
            hops=min(envelope.hops + 1, 255),
            trace=envelope.trace,
            waiter=waiter,
            priority=envelope.priority,
        )
        return answer if self._traced is None else self._traced(answer)

    async def _load_history(self, envelope: Envelope) -> tuple[tuple[Attempt, ...], int]:
        stored = await self._load_state(self._group, history_key(envelope.id))
        return ((), 0) if stored is None else (HISTORY.validate_json(stored.value), stored.version)

    async def _forget_history(self, envelope: Envelope) -> tuple[StateWrite, ...]:
        self._histories.pop(envelope.id, None)
        _, version = await self._load_history(envelope)
        forget = (StateWrite(history_key(envelope.id), None, version),) if version else ()
        return forget + await self._unreadable.forgotten(envelope)

    async def _forget_pauses(self, envelope: Envelope) -> tuple[StateWrite, ...]:
        return await self._unreadable.forgotten(envelope) if envelope.was_handled else ()

    async def _forget_steps(self, envelope: Envelope) -> tuple[StateWrite, ...]:
        key = steps_key(envelope.id)
        stored = await self._load_state(self._group, key)
        return (StateWrite(key, None, stored.version),) if stored else ()


def _attempt(number: int, error: BaseException) -> Attempt:
    return Attempt(
        number=number, error_type=type(error).__name__, text=text_of(error), at=time.time()
    )


def _messages_in(result: Result) -> Sequence[BaseModel]:
    if result is None:
        return ()
    if isinstance(result, BaseModel):
        return (result,)
    if isinstance(result, list | tuple) and all(isinstance(item, BaseModel) for item in result):
        return result
    hint = ""
    if inspect.iscoroutine(result):
        result.close()  # or Python warns of it when nobody knows any more whose it was
        hint = "; is there an `await` missing?"
    raise HandlerResultError(
        "a handler returns a message, a list of messages or None, not "
        f"{type(result).__name__}{hint}"
    )
