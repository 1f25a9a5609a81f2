"""The working life of one incarnation of a consumer: read, handle, commit, beat, take over."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from messaging.backend import Consumer, Delivery, Place, Settlement
from messaging.consuming.committer import Committer
from messaging.consuming.heartbeat import Heart
from messaging.consuming.key_order import Lanes
from messaging.consuming.liveness import LOOKS_PER_LEASE, Watch
from messaging.consuming.prefetch import Prefetch
from messaging.consuming.ready_queue import ReadyQueue
from messaging.consuming.takeover import Takeover
from messaging.consuming.task_scope import TaskScope, farewell
from messaging.consuming.workers import Workers
from messaging.control.incidents import Incidents
from messaging.errors import MessagingError
from messaging.handling.emitter import Emitter
from messaging.handling.runner import HandlesDeliveries, WorkerSlot
from messaging.handling.settlement import RetryInPlace
from messaging.handling.subscription import SubscriptionOptions
from messaging.handling.unsettled import UnsettledError
from messaging.process.clock import SYSTEM, Clock
from messaging.process.logs import get_logger

log = get_logger()

READ_WAIT_S = 300.0  # as good as for ever: whoever wants the reader back rouses it
STAND_BY_S = 0.2
SLICE_S = 0.002
SLOW_S = 0.05


class ConsumerLoop:
    """One incarnation at work, from joining until it leaves or is lost.

    Args:
        may_handle: asked where order is kept, by whoever stands by and whoever comes to lead: once
            it says no, there are partitions, and whoever leads must not handle.
        clock: by which a message waits here for another attempt.
    """

    def __init__(
        self,
        consumer: Consumer,
        runner: HandlesDeliveries,
        options: SubscriptionOptions,
        emitter: Emitter,
        incidents: Incidents,
        *,
        heart: Heart,
        predecessor: str = "",
        may_handle: Callable[[], Awaitable[bool]] | None = None,
        clock: Clock = SYSTEM,
    ) -> None:
        self._clock = clock
        self._consumer = consumer
        self._heart = heart
        self._may_handle = may_handle
        self._runner = runner
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._committer = Committer(
            consumer,
            emitter,
            incidents,
            refused=self._give_up_on,
            settled=self._settled,
            conflicted=self._run_again,
        )
        self._prefetch = Prefetch(2 * options.concurrency, options.prefetch)
        self._lent: dict[Place, Delivery] = {}
        self._ready = ReadyQueue()
        self._lanes = Lanes(options.ordered_by) if options.ordered_by else None
        self._idle: list[asyncio.Future[None]] = []
        self._slice_ends_at = 0.0
        self._wakes = 0
        self._is_waking = False
        self._has_room = asyncio.Event()
        self._scope = TaskScope(f"consumer-loop-{consumer.incarnation}")
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
        self._is_paused = False
        self._patience: asyncio.Timeout | None = None
        self._hurry = False

    async def run(self) -> None:
        """Work until stopped; then finish what runs, commit, and give back the rest.

        Raises:
            FencedError: another consumer took this one's work over.
            BackendError: the store stayed away, or refused. To who leaves, it is away soon.
        """
        scope = self._scope
        reader = scope.start(self._read())
        committer = scope.start(self._committer.run())
        for _ in range(self._options.concurrency):
            self._workers.start()
        self._workers.adopt(scope.start(self._takeover.run()))
        beat = scope.start(self._beat())
        try:
            await scope.wait()
            await self._let_finish()
            await self._leave(reader, committer, beat)
        finally:
            self._end()
            committer.cancel()
            beat.cancel()
            await self._workers.end()
            # A read must not be cancelled: it would swallow what it was about to lend.
            await asyncio.gather(reader, committer, beat, return_exceptions=True)
            self._runner.let_go(self._lent.values())

    def stop(self, *, hurry: bool = False) -> None:
        """Have `run` come to its end; with `hurry` running handlers are cancelled at once."""
        self._hurry = self._hurry or hurry
        if hurry and self._patience is not None and not self._patience.expired():
            self._patience.reschedule(self._loop.time())
        self._end()

    def pause(self) -> None:
        """Begin nothing more. When everything that runs has ended, `run` comes to its end."""
        self._is_paused = True
        self._consumer.rouse()
        self._leave_if_paused()

    def resume(self) -> None:
        """Go on, unless `run` has come to its end meanwhile."""
        self._is_paused = False
        self._has_room.set()
        self._wake(len(self._ready))

    def _leave_if_paused(self) -> None:
        if self._is_paused and len(self._idle) == self._options.concurrency:
            self.stop()

    # Reading

    async def _read(self) -> None:
        if self._lanes is not None:
            await self._come_to_lead()
        while not self._scope.is_stopping:
            room = self._room()
            if not room:
                self._has_room.clear()
                await self._has_room.wait()
                continue
            deliveries = await self._lend(room)
            if len(deliveries) == room:
                self._prefetch.filled(self._loop.time())
            self._take(deliveries)

    async def _lend(self, room: int) -> list[Delivery]:
        if self._lanes is None:
            wait_s = READ_WAIT_S
            if self._has_company and self._runner.is_slow:  # others, which wait, come first
                await self._scope.linger(SLOW_S)
                wait_s = 0.0
            return await self._consumer.read(room, wait_s)
        async with self._takeover.turn:  # what is inherited is older than what is read
            return await self._consumer.read(room, READ_WAIT_S)

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
            self.stop()

    def _room(self) -> int:
        if self._is_paused:
            return 0
        if self._lanes is None:
            return self._prefetch.room(len(self._lent))
        # Whoever waits for a predecessor must not keep other keys from being read.
        room = self._prefetch.room(len(self._lent) - self._lanes.waiting)
        return max(0, min(room, self._options.prefetch - len(self._lent)))

    def _take(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self._lent[delivery.place] = delivery
        if self._lanes is not None:
            deliveries = [delivery for delivery in deliveries if self._lanes.enter(delivery)]
        self._ready.put(deliveries)
        self._wake_some()

    def _end(self) -> None:
        self._scope.stop()
        self._consumer.rouse()
        self._has_room.set()
        self._takeover.end()
        self._wake(len(self._idle))

    def _wake_some(self) -> None:
        """Wake one worker now; twice as many in each later tick while there is work for them.

        A worker whose handlers never wait empties the queue by itself, and waking the others for
        nothing would cost more than handling.
        """
        self._wakes = 1
        if not self._is_waking:
            self._wake_next()

    def _wake_next(self) -> None:
        waiting = len(self._ready)
        self._wake(min(self._wakes, waiting))
        self._is_waking = waiting > self._wakes and bool(self._idle)
        if self._is_waking:
            self._wakes *= 2
            self._loop.call_soon(self._wake_next)

    def _wake(self, count: int) -> None:
        while self._idle and count > 0:
            sleeper = self._idle.pop()
            if not sleeper.done():
                sleeper.set_result(None)
                count -= 1

    # Handling

    async def _work(self, left: UnsettledError | None) -> None:
        """The life of one worker; another one follows when a handler has spoilt it."""
        with self._runner.slot(self._consumer, self._is_leaving) as slot:
            try:
                left = await self._serve(slot, left)
            except UnsettledError as unsettled:
                left = unsettled
        if left is not None or not self._scope.is_stopping:
            self._workers.start(left)

    async def _serve(self, slot: WorkerSlot, left: UnsettledError | None) -> UnsettledError | None:
        """Handle until the end, or until this task had better not; what it leaves to the next."""
        delivery: Delivery | None = None
        try:
            while left is not None or not (self._scope.is_stopping or slot.is_worn):
                if left is not None:
                    delivery, handling = left.delivery, self._runner.settle(left, slot)
                    left = None
                elif self._is_paused or not self._ready:
                    await self._rest()
                    continue
                else:
                    delivery, slot.settle = self._ready.take(), None
                    handling = self._runner.handle(delivery, slot)
                outcome = await handling
                if self._workers.is_ending:  # the handler has swallowed that it was cancelled
                    break
                delivery = None
                if isinstance(outcome, RetryInPlace):
                    self._attempt_later(outcome)
                else:
                    self._committer.add(outcome)
                # Handlers that never wait would keep the loop from reading, beating, committing.
                if self._loop.time() > self._slice_ends_at:
                    await asyncio.sleep(0)
                    self._slice_ends_at = self._loop.time() + SLICE_S
        except asyncio.CancelledError as stray:
            if self._workers.is_ending:
                raise
            if delivery is not None:
                return self._runner.interrupted(delivery, slot, stray)
        return None

    def _is_leaving(self) -> bool:
        return self._workers.is_ending

    async def _rest(self) -> None:
        """Return when this worker is woken: there may be something to do, or it is the end."""
        sleeper = self._loop.create_future()
        self._idle.append(sleeper)
        self._leave_if_paused()
        try:
            await sleeper
        except asyncio.CancelledError:
            if sleeper in self._idle:
                self._idle.remove(sleeper)
            raise

    async def _give_up_on(self, delivery: Delivery, error: MessagingError) -> Settlement | None:
        """Another settlement; None when there is another attempt to come."""
        outcome = await self._runner.give_up_on(delivery, error)
        if isinstance(outcome, RetryInPlace):
            self._attempt_later(outcome)
            return None
        return outcome

    def _attempt_later(self, again: RetryInPlace) -> None:
        self._lent[again.delivery.place] = again.delivery
        self._clock.call_later(again.wait_s, self._put_first, again.delivery)

    def _settled(self, settlements: Sequence[Settlement]) -> None:
        deliveries = [settlement.delivery for settlement in settlements]
        for delivery in deliveries:
            del self._lent[delivery.place]
        self._runner.let_go(deliveries)
        if self._lanes is not None:
            for delivery in deliveries:
                successor = self._lanes.leave(delivery)
                if successor is not None:
                    self._put_first(successor)
        self._takeover.settled(settlements)
        if self._room():
            self._has_room.set()

    def _run_again(self, settlement: Settlement) -> None:
        self._runner.conflicted(settlement)
        self._put_first(settlement.delivery)

    def _put_first(self, delivery: Delivery) -> None:
        self._ready.put_first(delivery)
        self._wake_some()

    # Staying alive

    async def _beat(self) -> None:
        watch = Watch(self._consumer.incarnation, self._options.lease_s)

        def look(beats: Mapping[str, int]) -> None:
            self._has_company = len(beats) > 1
            self._takeover.add(watch.look(beats, self._loop.time()))

        pause_s = self._options.lease_s / LOOKS_PER_LEASE
        await self._heart.keep_beating(self._consumer, pause_s, look)

    async def _wait_for_room(self) -> None:
        while not self._room() and not self._scope.is_stopping:
            self._has_room.clear()
            await self._has_room.wait()

    # Leaving

    async def _leave(
        self,
        reader: asyncio.Task[None],
        committer: asyncio.Task[None],
        beat: asyncio.Task[None],
    ) -> None:
        async with farewell(self._consumer.group):
            await reader
            self._committer.finish()
            await committer
            beat.cancel()
            unhandled = tuple(self._lent.values())
            await self._runner.take_back(unhandled, self._consumer.journal)
            await self._consumer.leave(unhandled)

    async def _let_finish(self) -> None:
        patience_s = 0.0 if self._hurry else self._options.drain_s
        try:
            async with asyncio.timeout(patience_s) as self._patience:
                await self._workers.wait()
        except TimeoutError:
            log.warning("drain.impatient", agent=self._consumer.group, after_s=patience_s)
        finally:
            self._patience = None  # whoever hurries later has nothing to hasten
        await self._workers.end()
