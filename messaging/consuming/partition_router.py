"""One incarnation of a replica at a group with partitions: it is counted, and perhaps it leads.

While it leads, it hands on what the group is lent, to the partition of each key. It handles nothing
but what cannot be handed on.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

from messaging.backend import Backend, Consumer, Delivery, Settlement
from messaging.backends.sizes import first_batch
from messaging.consuming.heartbeat import Heart
from messaging.consuming.incarnation import Incarnation
from messaging.consuming.lifecycle import Lifecycle
from messaging.consuming.liveness import LOOKS_PER_LEASE, UNREGISTERED
from messaging.consuming.partitions import WHOLE, InForce, handed_on, in_force, owed_in_partitions
from messaging.errors import (
    BackendUnavailableError,
    BusFullError,
    FencedError,
    MessagingError,
)
from messaging.handling.runner import HandlerRunner
from messaging.handling.settlement import RetryInPlace
from messaging.handling.subscription import SubscriptionOptions
from messaging.process.logs import get_logger

log = get_logger()

READ_WAIT_S = 300.0  # as good as for ever: `rouse` ends it
STAND_BY_S = 0.2
FULL_WAIT_S = 0.25
MOST_AT_ONCE = 512

Seen = Callable[[str, Collection[str], int], None]
"""Called with this replica, all that live, and how many partitions are in force."""


class PartitionRouter(Incarnation):
    """Watches over the group's replicas, leads when it can, and then routes."""

    def __init__(
        self,
        consumer: Consumer,
        backend: Backend,
        runner: HandlerRunner,
        options: SubscriptionOptions,
        seen: Seen,
        *,
        life: Lifecycle,
        heart: Heart,
        predecessor: str = "",
    ) -> None:
        super().__init__("router", consumer, options, life, heart)
        self._backend = backend
        self._runner = runner
        self._seen = seen
        self._wait_s = min(STAND_BY_S, options.lease_s / LOOKS_PER_LEASE)
        self._is_routing = False
        self._may_have_left_some = True
        self._in_hand: Sequence[Delivery] = ()
        self._living: Collection[str] = ()
        self._lost: dict[str, None] = {predecessor: None} if predecessor else {}
        self._look_now = asyncio.Event()

    def _start(self) -> Sequence[asyncio.Task[None]]:
        return (self._scope.start(self._watch()),)

    def _heed(self) -> None:
        if not self._life.is_running:
            self._stop()  # which takes no time

    async def _let_finish(self) -> None:
        """Nothing takes long here."""

    async def _settle_up(self) -> Sequence[Delivery]:
        return self._in_hand

    async def _end_handlers(self) -> None:
        """No handler runs here; the runner forgets what is not settled."""
        self._runner.let_go(self._in_hand)

    # Routing

    async def _read(self) -> None:
        while not self._scope.is_stopping and not await self._consumer.lead():
            await self._scope.linger(self._wait_s)
        await self._bring_into_force()
        if self._options.partitions == WHOLE:
            self._stop()  # a leader handles from now on
        self._is_routing = not self._scope.is_stopping
        while not self._scope.is_stopping:
            await self._hand_on(await self._lend())
            await asyncio.sleep(0)  # a store that never waits must not keep the loop from others

    async def _bring_into_force(self) -> None:
        """Have as many partitions as wanted; whatever there are must have been emptied first."""
        wanted = self._options.partitions
        while not self._scope.is_stopping:
            present = await in_force(self._backend.load_state, self._consumer.group)
            needed = await owed_in_partitions(self._backend, self._consumer.group)
            if needed > present.number:  # a loss of data took the number back
                await self._change(present, needed)
            elif present.number == wanted:
                return
            elif needed:
                await self._scope.linger(self._wait_s)
            else:
                await self._change(present, wanted)

    async def _change(self, present: InForce, number: int) -> None:
        await self._consumer.journal(present.changed_to(number))
        self._look_now.set()

    async def _lend(self) -> list[Delivery]:
        if self._may_have_left_some:  # what lost leaders held is older than what is new
            self._may_have_left_some = False
            lent = await self._consumer.inherit(MOST_AT_ONCE)
            self._may_have_left_some |= bool(lent)
            return lent
        return await self._consumer.read(MOST_AT_ONCE, READ_WAIT_S)

    async def _hand_on(self, deliveries: Sequence[Delivery]) -> None:
        """Settle `deliveries` in order; what cannot be stored holds up all behind it."""
        self._in_hand, at_once, dead = deliveries, MOST_AT_ONCE, None
        while self._in_hand and not self._scope.is_stopping:
            batch, rest = self._in_hand[:at_once], self._in_hand[at_once:]
            try:
                settlements = [dead] if dead else [await self._settlement_of(one) for one in batch]
                count = first_batch(settlements)
                settlements = settlements[:count]
                batch, rest = batch[:count], self._in_hand[count:]
                skipped = await self._consumer.commit(settlements)
            except (FencedError, BackendUnavailableError):
                raise
            except MessagingError as error:
                if len(batch) > 1:
                    at_once = len(batch) // 2
                elif isinstance(error, BusFullError):
                    log.warning("router.held", error=str(error))
                    await self._scope.linger(FULL_WAIT_S)
                elif dead is None:
                    dead = await self._given_up(batch[0], error)
                else:
                    raise
            else:
                dead, at_once = None, min(2 * at_once, MOST_AT_ONCE)
                self._runner.let_go(batch)
                self._in_hand = (*(batch[index] for index in skipped), *rest)

    async def _settlement_of(self, delivery: Delivery) -> Settlement:
        if not delivery.fault:
            group, ordered_by = self._consumer.group, self._options.ordered_by
            return Settlement(
                delivery, (handed_on(delivery, group, ordered_by, self._options.partitions),)
            )
        with self._runner.slot(self._consumer, self._is_leaving) as slot:
            outcome = await self._runner.handle(delivery, slot)
        assert isinstance(outcome, Settlement), "nothing can be read better by another attempt"
        return outcome

    def _is_leaving(self) -> bool:
        return self._scope.is_stopping

    async def _given_up(self, delivery: Delivery, error: MessagingError) -> Settlement:
        outcome = await self._runner.give_up_on(delivery, error)
        if isinstance(outcome, RetryInPlace):
            raise error
        return outcome

    # Watching

    def _look(self, beats: Mapping[str, int], lost: Collection[str]) -> None:
        self._lost.update(dict.fromkeys(lost))
        self._living = [name for name in beats if beats[name] != UNREGISTERED]
        self._look_now.set()

    async def _watch(self) -> None:
        while True:
            await self._look_now.wait()
            self._look_now.clear()
            living = [name for name in self._living if name not in self._lost]
            while self._lost:  # any of them may have led, and never will again
                incarnation = next(iter(self._lost))
                await self._consumer.take_over(incarnation, 0)
                del self._lost[incarnation]
                self._may_have_left_some = True
                self._consumer.rouse()
            if living:
                await self._look_at_partitions(living)

    async def _look_at_partitions(self, living: Collection[str]) -> None:
        was_routing, wanted = self._is_routing, self._options.partitions
        number = (await in_force(self._backend.load_state, self._consumer.group)).number
        self._seen(self._consumer.incarnation, living, number)
        if number == wanted == WHOLE or (was_routing and number != wanted):
            self._stop()  # it is up to a handler now, or a loss of data took the number back
