"""How often a handler has begun on a message, as far as that is certain.

A message that kills its process has to be given up some day, and one that only happened to be lent
to processes that died must not be. So starts are counted, not deliveries. The first delivery of a
message leaves no record: that would be a write for each message. From the second one on, each
start is recorded before the handler begins, in the group's state, and what is recorded is what is
compared with `RetryPolicy.attempts`. The record goes with the settlement of the message.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from messaging.backend import Delivery, Place, Settlement, StateValue, StateWrite
from messaging.backend import starts_key as key_of
from messaging.errors import LostWorkerError
from messaging.handling.retry import MAX_ATTEMPTS
from messaging.state.steps import Journal


class _Start(NamedTuple):
    """A start that this process has recorded, and what the record said before its first one."""

    number: int
    version: int
    before: StateValue | None


class Starts:
    """The recorded starts of one group.

    Args:
        attempts: a message that was begun so often, and is lent once more, is given up.
    """

    def __init__(
        self,
        group: str,
        attempts: int,
        load_state: Callable[[str, str], Awaitable[StateValue | None]],
    ) -> None:
        self._group = group
        self._attempts = attempts
        self._load_state = load_state
        self._begun: dict[Place, _Start] = {}

    async def begin(self, delivery: Delivery, journal: Journal) -> Delivery:
        """`delivery` with the number of the start that is about to be, once that is recorded.

        Only for what was handed out before. One that is handled again by the process that has
        recorded its start, because its commit met a conflict, is not counted again.

        Raises:
            LostWorkerError: it was begun as often as it may be.
            FencedError, BackendUnavailableError, StateConflictError: as `Consumer.journal`.
        """
        envelope, place = delivery.envelope, delivery.place
        begun = self._begun.get(place)
        if begun is not None and envelope.attempt <= begun.number:
            return numbered(delivery, begun.number)
        if begun is None:
            begun = await self._load(delivery)
            if begun.number >= self._attempts:
                raise LostWorkerError(envelope.type, envelope.id, begun.number)
        number = min(max(envelope.attempt, begun.number + 1), MAX_ATTEMPTS)
        # Noted first: when cancelled meanwhile, the record has to be taken back.
        self._begun[place] = begun._replace(number=number)
        write = StateWrite(key_of(envelope.id), str(number).encode(), begun.version)
        version = await journal(write)
        self._begun[place] = _Start(number, version, begun.before)
        return numbered(delivery, number)

    async def forgotten(self, settlement: Settlement) -> Settlement:
        """`settlement` with what removes the record."""
        delivery = settlement.delivery
        version = (self._begun.get(delivery.place) or await self._load(delivery)).version
        if not version:
            return settlement
        forget = StateWrite(key_of(delivery.envelope.id), None, version)
        return settlement._replace(state=(*settlement.state, forget))

    async def take_back(self, deliveries: Iterable[Delivery], journal: Journal) -> None:
        """Remove what this process has recorded of `deliveries`, which it is about to give back."""
        for delivery in deliveries:
            begun = self._begun.pop(delivery.place, None)
            if begun is not None:
                present = await self._load(delivery)
                if present.before != begun.before:
                    value = begun.before.value if begun.before else None
                    key = key_of(delivery.envelope.id)
                    await journal(StateWrite(key, value, present.version))

    def let_go(self, delivery: Delivery) -> None:
        """It is settled, given back or taken over."""
        self._begun.pop(delivery.place, None)

    async def _load(self, delivery: Delivery) -> _Start:
        stored = await self._load_state(self._group, key_of(delivery.envelope.id))
        return _Start(int(stored.value), stored.version, stored) if stored else _Start(0, 0, None)


def numbered(delivery: Delivery, number: int) -> Delivery:
    """`delivery` as that certain start of a handler."""
    return delivery._replace(envelope=delivery.envelope._replace(attempt=number))


def attempt_of(delivery: Delivery) -> int:
    """Which start of a handler this may be: 1 when it is surely the first."""
    return delivery.envelope.attempt + (delivery.redelivery_count > 0)


def is_first_start(delivery: Delivery) -> bool:
    """Whether no handler can have begun on the message before: neither a retry nor a requeue."""
    envelope = delivery.envelope
    if envelope.attempt > 1 or delivery.redelivery_count:
        return False
    return not (envelope.origin and envelope.was_handled)
