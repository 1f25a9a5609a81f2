"""The working life of one incarnation of a consumer: read, handle, commit, beat, take over."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial

from messaging.backend import Consumer, Delivery, Place, Settlement
from messaging.consuming.committer import Committer
from messaging.consuming.heartbeat import Heart
from messaging.consuming.incarnation import Incarnation
from messaging.consuming.key_order import Lanes
from messaging.consuming.lifecycle import Lifecycle, Phase
from messaging.consuming.liveness import LOOKS_PER_LEASE
from messaging.consuming.ready_queue import Prefetch, ReadyQueue
from messaging.consuming.takeover import Takeover
from messaging.consuming.workers import Workers
from messaging.control.incidents import Incidents
from messaging.handling.emitter import Emitter
from messaging.handling.runner import HandlerRunner
from messaging.handling.settlement import Outcome, RetryInPlace
from messaging.handling.subscription import SubscriptionOptions
from messaging.handling.worker_slot import UnsettledError, WorkerSlot
from messaging.process.clock import SYSTEM, Clock
from messaging.process.logs import get_logger

log = get_logger()

READ_WAIT_S = 300.0  # as good as for ever: `rouse` ends it
STAND_BY_S = 0.2
SLICE_S = 0.002
SLOW_S = 0.05

Handle = Callable[[Delivery, WorkerSlot], Awaitable[Outcome]]


class ConsumerLoop(Incarnation):
    """One incarnation that handles what it is lent.

    Args:
        may_handle: asked where order is kept, while standing by and on coming to lead: once it says
            no, there are partitions, and the leader must not handle.
        turns: limits how many handlers run at a time, here and elsewhere.
        clock: by which a message waits here for another attempt.
    """

    def __init__(
        self,
        consumer: Consumer,
        runner: HandlerRunner,
        options: SubscriptionOptions,
        emitter: Emitter,
        incidents: Incidents,
        *,
        life: Lifecycle,
        heart: Heart,
        predecessor: str = "",
        may_handle: Callable[[], Awaitable[bool]] | None = None,
        turns: asyncio.Semaphore | None = None,
        clock: Clock = SYSTEM,
    ) -> None:
        super().__init__("consumer-loop", consumer, options, life, heart)
        self._clock = clock
        self._may_handle = may_handle
        self._runner = runner
        self._handle: Handle = runner.handle
        if turns is not None:
            self._handle = partial(runner.handle_in_turn, turns)
        self._committer = Committer(
            consumer,
            emitter,
            incidents,
            is_alone=self._is_alone,
            refused=runner.give_up_on,
            settled=self._settled,
            conflicted=self._run_again,
            again=self._attempt_later,
        )
        self._prefetch = Prefetch(2 * options.concurrency, options.prefetch)
        self._asked_for = 0
        self._lent: dict[Place, Delivery] = {}
        self._ready = ReadyQueue()
        self._lanes = Lanes(options.ordered_by) if options.ordered_by else None
        self._slice_ends_at = 0.0
        self._has_room = asyncio.Event()
        self._lacks_room = False
        self._workers = Workers(consumer.group, self._scope, self._work)
        self._takeover = Takeover(
            consumer,
            self._scope,
            incidents,
            attempts=options.retry.attempts,
            in_order=self._lanes is not None,
            room=self._room,
            room_comes=self._wait_for_room,
            take=self._take,
        )
        if predecessor:
            self._takeover.add([predecessor])
        self._has_company = False
        self._patience: asyncio.Timeout | None = None

    def _start(self) -> Sequence[asyncio.Task[None]]:
        for _ in range(self._options.concurrency):
            self._workers.start()
        self._workers.adopt(self._scope.start(self._takeover.run()))
        self._committing = self._scope.start(self._committer.run())
        return (self._committing,)

    def _heed(self) -> None:
        if self._life.is_running:
            self._has_room.set()
            self._ready.wake(self._ready.count)
        elif self._life.phase <= Phase.RETIRING:
            self._consumer.rouse()
            self._leave_if_all_rest()
        else:
            self._stop()
            patience = self._patience
            is_hurried = self._life.phase is Phase.HURRIED
            if is_hurried and patience is not None and not patience.expired():
                patience.reschedule(self._loop.time())

    def _stop(self) -> None:
        super()._stop()
        self._has_room.set()
        self._takeover.end()
        self._ready.wake(len(self._ready.resting))

    def _leave_if_all_rest(self) -> None:
        if len(self._ready.resting) == self._options.concurrency:
            self._stop()

    # Reading

    async def _read(self) -> None:
        if self._lanes is not None:
            await self._come_to_lead()
        while not self._scope.is_stopping:
            room = self._room()
            if not room:
                await self._room_comes()
                continue
            self._asked_for = room
            if deliveries := await self._lend(room):
                self._take_read(deliveries)

    def _lend(self, room: int) -> Awaitable[list[Delivery]]:
        if self._lanes is not None:
            return self._lend_in_turn(room)
        if self._has_company and self._runner.is_slow:
            return self._lend_after_others(room)
        return self._consumer.read(room, READ_WAIT_S, self._take_read)

    async def _lend_in_turn(self, room: int) -> list[Delivery]:
        async with self._takeover.turn:  # what is inherited is older than what is read
            return await self._consumer.read(room, READ_WAIT_S)

    async def _lend_after_others(self, room: int) -> list[Delivery]:
        await self._scope.linger(SLOW_S)
        return await self._consumer.read(room, 0.0)

    async def _come_to_lead(self) -> None:
        """Stand by until this is the group's only reader, then begin with what others left."""
        wait_s = min(STAND_BY_S, self._options.lease_s / LOOKS_PER_LEASE)
        look_at = self._loop.time()
        while not self._scope.is_stopping and not await self._consumer.lead():
            if self._loop.time() >= look_at:
                look_at = self._loop.time() + self._options.lease_s / LOOKS_PER_LEASE
                await self._stop_unless_whole()
            await self._scope.linger(wait_s)
        await self._stop_unless_whole()
        await self._takeover.lead()

    async def _stop_unless_whole(self) -> None:
        may_handle = self._may_handle
        if may_handle is not None and not self._scope.is_stopping and not await may_handle():
            self._stop()

    def _room(self) -> int:
        if not self._life.is_running:
            return 0
        blocked = 0 if self._lanes is None else self._lanes.waiting
        return self._prefetch.room(len(self._lent), blocked)

    async def _wait_for_room(self) -> None:
        while not self._room() and not self._scope.is_stopping:
            await self._room_comes()

    async def _room_comes(self) -> None:
        """Return when there may be some, or it is the end."""
        self._lacks_room = True
        self._has_room.clear()
        await self._has_room.wait()

    def _take_read(self, deliveries: Sequence[Delivery]) -> None:
        if len(deliveries) == self._asked_for:
            self._prefetch.filled(self._loop.time())
        self._take(deliveries)

    def _take(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self._lent[delivery.place] = delivery
        if self._lanes is not None:
            deliveries = [delivery for delivery in deliveries if self._lanes.enter(delivery)]
        self._ready.put(deliveries)

    # Handling

    async def _work(self, left: UnsettledError | None) -> None:
        """The life of one worker; another one follows when a handler has spoilt it."""
        delivery: Delivery | None = None
        handling: Awaitable[Outcome]
        with self._runner.slot(self._consumer, self._is_leaving) as slot:
            try:
                # Until the end, or until this task had better not.
                while left is not None or not (self._scope.is_stopping or slot.is_worn):
                    if left is not None:
                        delivery, handling = left.delivery, self._runner.settle(left, slot)
                        left = None
                    elif not (self._life.is_running and self._ready.count):
                        rest = self._ready.rest()
                        if not self._life.is_running:
                            self._leave_if_all_rest()
                        await rest
                        continue
                    else:
                        delivery, slot.settle = self._ready.take(), None
                        handling = self._handle(delivery, slot)
                    outcome = await handling
                    if self._workers.is_ending:  # the handler has swallowed that it was cancelled
                        break
                    delivery = None
                    self._committer.add(outcome)
                    # Handlers that never wait would keep the loop from reading and committing.
                    if self._loop.time() > self._slice_ends_at:
                        await asyncio.sleep(0)
                        self._slice_ends_at = self._loop.time() + SLICE_S
            except UnsettledError as unsettled:
                left = unsettled
            except asyncio.CancelledError as stray:
                left = self._left_by(stray, delivery, slot)
        if left is not None or not self._scope.is_stopping:
            self._workers.start(left)

    def _left_by(
        self, stray: asyncio.CancelledError, delivery: Delivery | None, slot: WorkerSlot
    ) -> UnsettledError | None:
        """What a worker that was cancelled leaves to the next, unless all of them are to end."""
        if self._workers.is_ending:
            raise stray
        self._ready.forget_cancelled()
        return None if delivery is None else self._runner.interrupted(delivery, slot, stray)

    def _is_leaving(self) -> bool:
        return self._workers.is_ending

    def _is_alone(self) -> bool:
        return len(self._lent) == 1

    def _attempt_later(self, again: RetryInPlace) -> None:
        self._lent[again.delivery.place] = again.delivery
        self._clock.call_later(again.wait_s, self._ready.put_first, again.delivery)

    def _settled(self, settlements: Sequence[Settlement]) -> None:
        for settlement in settlements:
            del self._lent[settlement.delivery.place]
        if self._runner.noted or self._takeover.alone or self._lanes is not None:
            self._let_go([settlement.delivery for settlement in settlements])
        if self._lacks_room and self._room():
            self._lacks_room = False
            self._has_room.set()

    def _let_go(self, deliveries: Sequence[Delivery]) -> None:
        """They are settled for good: what waited for them goes on."""
        self._runner.let_go(deliveries)
        self._takeover.settled(deliveries)
        if self._lanes is not None:
            for delivery in deliveries:
                successor = self._lanes.leave(delivery)
                if successor is not None:
                    self._ready.put_first(successor)

    def _run_again(self, settlement: Settlement) -> None:
        self._runner.conflicted(settlement)
        self._ready.put_first(settlement.delivery)

    def _look(self, beats: Mapping[str, int], lost: Collection[str]) -> None:
        self._has_company = len(beats) > 1
        self._takeover.add(lost)

    # Leaving

    async def _let_finish(self) -> None:
        patience_s = 0.0 if self._life.phase is Phase.HURRIED else self._options.drain_s
        try:
            async with asyncio.timeout(patience_s) as self._patience:
                await self._workers.wait()
        except TimeoutError:
            log.warning("drain.impatient", agent=self._consumer.group, after_s=patience_s)
        finally:
            self._patience = None  # from here on there is nothing to hasten
        await self._workers.end()

    async def _settle_up(self) -> Sequence[Delivery]:
        self._committer.finish()
        await self._committing
        unhandled = tuple(self._lent.values())
        await self._runner.take_back(unhandled, self._consumer.journal)
        return unhandled

    async def _end_handlers(self) -> None:
        self._committer.abandon()
        await self._workers.end()
        self._runner.let_go(self._lent.values())
