"""Keeps one replica of a group at work, at the group itself and at its share of the partitions."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from functools import partial

from messaging.backend import Backend, Consumer
from messaging.consuming.assignment import PartitionAssignment
from messaging.consuming.balance import share_of
from messaging.consuming.consumer_loop import ConsumerLoop
from messaging.consuming.heartbeat import Heart
from messaging.consuming.lifecycle import Lifecycle
from messaging.consuming.partition_router import PartitionRouter
from messaging.consuming.partitions import WHOLE, in_force
from messaging.consuming.rejoin import RejoiningConsumer, Work
from messaging.control.cancellation import Cancellations
from messaging.control.followers import Followers
from messaging.control.incidents import Incidents
from messaging.control.pausing import Pauses
from messaging.errors import BusForkedError
from messaging.handling.context import Ask, HandlerServices
from messaging.handling.emitter import Emitter
from messaging.handling.runner import HandlerRunner
from messaging.handling.settlement import SettlementBuilder
from messaging.handling.subscription import Subscription, SubscriptionOptions
from messaging.handling.watch import Watch
from messaging.observing import Observers
from messaging.process.forks import keep_from_children
from messaging.state.contention import Contention
from messaging.wire.message import MessageRegistry


class Replica:
    """Joins the group and works, as a handler of its messages or as a router of them."""

    def __init__(
        self,
        subscription: Subscription,
        *,
        backend: Backend,
        guild_id: str,
        emitter: Emitter,
        ask: Ask,
        cancellations: Cancellations,
        incidents: Incidents,
        known: MessageRegistry,
        pauses: Pauses,
        followers: Followers,
        heart: Heart,
        contention: Contention,
        observers: Observers,
    ) -> None:
        self._subscription = subscription
        self._options = subscription.options
        self._group = subscription.group
        self._backend = backend
        self._emitter = emitter
        self._incidents = incidents
        self._heart = heart
        watch = Watch(subscription.group, observers, backend.clock)
        settlements = SettlementBuilder(
            subscription,
            backend.load_state,
            followers,
            by_reference=backend.by_reference,
            decided=watch.decided,
            traced=observers.tracer,
        )
        services = HandlerServices(
            group=subscription.group,
            guild_id=guild_id,
            by_reference=backend.by_reference,
            destinations=settlements.destinations,
            routed=settlements.routed,
            load_state=backend.load_state,
            emit=emitter.emit,
            ask=ask,
            loop=asyncio.get_running_loop(),
            clock=backend.clock,
            contention=contention,
            max_value_bytes=backend.max_value_bytes,
            neighbours=subscription.options.neighbours,
            traced=observers.tracer,
        )
        self._runner = HandlerRunner(
            subscription, services, settlements, cancellations, known, watch=watch
        )
        self._turns = asyncio.Semaphore(self._options.concurrency)  # whichever the partition
        self._pauses = pauses
        self._life = life = Lifecycle()
        self._consumer = RejoiningConsumer(self._group, self._join, self._begin, incidents, life)
        self._assignment = PartitionAssignment(self._open_partition, life)

    async def run(self) -> None:
        """Work until stopped, while the group is not paused."""
        self._pauses.watch(self._group, self._pause_changed)
        try:
            await self._consumer.run()
            await self._assignment.wait()
        finally:
            self._pauses.unwatch(self._group, self._pause_changed)
            await self._assignment.abandon()

    def look(self) -> None:
        """Heed which observers are there at this moment."""
        self._runner.look()

    def stop(self, *, hurry: bool = False) -> None:
        """Have `run` drain and return; with `hurry` running handlers are cancelled at once."""
        self._life.drain(hurry=hurry)

    def _pause_changed(self, is_paused: bool) -> None:
        (self._life.pause if is_paused else self._life.resume)()

    async def _join(self) -> Consumer:
        # Subscribing again changes nothing, unless a server came back without its data.
        await self._backend.subscribe(self._group, self._subscription.all_patterns)
        return await self._backend.join(self._group)

    async def _begin(self, consumer: Consumer, predecessor: str) -> Work:
        options = self._options
        if not options.ordered_by:
            return self._consumer_loop(consumer, predecessor, options, self._life)
        if await self._is_whole():
            self._assignment.work_at((), WHOLE)
            return self._consumer_loop(
                consumer, predecessor, options, self._life, may_handle=self._is_whole
            )
        return PartitionRouter(
            consumer,
            self._backend,
            self._runner,
            options,
            self._share_out,
            life=self._life,
            heart=self._heart,
            predecessor=predecessor,
        )

    def _consumer_loop(
        self,
        consumer: Consumer,
        predecessor: str,
        options: SubscriptionOptions,
        life: Lifecycle,
        *,
        may_handle: Callable[[], Awaitable[bool]] | None = None,
        turns: asyncio.Semaphore | None = None,
    ) -> ConsumerLoop:
        return ConsumerLoop(
            consumer,
            self._runner,
            options,
            self._emitter,
            self._incidents,
            life=life,
            heart=self._heart,
            predecessor=predecessor,
            may_handle=may_handle,
            turns=turns,
            clock=self._backend.clock,
        )

    async def _is_whole(self) -> bool:
        """Whether the leader handles by itself: partitions are not asked for, and none is left."""
        if self._options.partitions != WHOLE:
            return False
        return (await in_force(self._backend.load_state, self._group)).number == WHOLE

    def _share_out(self, replica: str, living: Collection[str], count: int) -> None:
        share = share_of(replica, living, count) if count > WHOLE else set[int]()
        self._assignment.work_at(share, count)

    def _open_partition(self, number: int, count: int, life: Lifecycle) -> RejoiningConsumer:
        prefetch = max(self._options.concurrency, self._options.prefetch // count)
        options = replace(self._options, prefetch=prefetch)

        async def begin(consumer: Consumer, predecessor: str) -> Work:
            return self._consumer_loop(consumer, predecessor, options, life, turns=self._turns)

        join = partial(self._backend.join, self._group, number)
        return RejoiningConsumer(self._group, join, begin, self._incidents, life)


class Running:
    """A subscription at work in this process."""

    def __init__(self, group: str, replica: Replica) -> None:
        self.group = group
        self._replica = replica
        self._task = asyncio.create_task(replica.run(), name=f"replica-{group}")
        self._is_draining = self._is_forked = False
        keep_from_children(self)

    def look(self) -> None:
        """See `Replica.look`."""
        self._replica.look()

    @property
    def done(self) -> bool:
        return self._task.done()

    async def wait(self) -> None:
        """Return when it was drained.

        Raises:
            BusForkedError: it is at work in the process from which this one was forked.
        """
        if self._is_forked:
            raise BusForkedError
        await asyncio.wait([self._task])

    async def drain(self) -> None:
        """Stop reading, let running handlers finish within `drain_s`, give back the rest.

        A second call, also one at the same time, does not wait for the handlers any longer.
        """
        if not self._is_forked:
            self.stop()
            await asyncio.wait([self._task])

    def stop(self) -> None:
        """What `drain` does, without waiting for its end."""
        self._replica.stop(hurry=self._is_draining)
        self._is_draining = True

    async def kill(self) -> None:
        """Stop as a crash would: nothing is committed, nothing given back. For tests."""
        self._task.cancel()
        await asyncio.wait([self._task])

    def forked(self) -> None:
        """Called in a child: it works in the parent."""
        self._is_forked = True
