"""Keeps one replica of a group at work: one incarnation after the other, whatever happens."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import structlog

from messaging.backend import Backend, Consumer, Incident
from messaging.cancellation import Cancellations
from messaging.context import Ask, Workplace
from messaging.emitter import Emitter
from messaging.errors import BackendError, BackendUnavailableError, FencedError
from messaging.handling import Handlers
from messaging.incidents import Incidents
from messaging.message import MessageRegistry
from messaging.pausing import Pauses
from messaging.settling import Settling
from messaging.subscription import Subscription
from messaging.tenure import LEAVE_S, Tenure

log = structlog.get_logger()

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0


class Dispatcher:
    """Joins the group, works, and joins again under a new name when it lost the old one."""

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
    ) -> None:
        self._subscription = subscription
        self._backend = backend
        self._emitter = emitter
        self._incidents = incidents
        settling = Settling(subscription, backend.load_state, by_reference=backend.by_reference)
        workplace = Workplace(
            group=subscription.group,
            guild_id=guild_id,
            by_reference=backend.by_reference,
            destinations=settling.destinations,
            load_state=backend.load_state,
            emit=emitter.emit,
            ask=ask,
            loop=asyncio.get_running_loop(),
            neighbours=subscription.options.neighbours,
        )
        self._handlers = Handlers(subscription, workplace, settling, cancellations, known)
        self._tenure: Tenure | None = None
        self._joining: asyncio.Timeout | None = None
        self._pauses = pauses
        self._may_work = asyncio.Event()
        self._may_work.set()
        self._stopping = asyncio.Event()
        self._hurry = False
        self._wait_s = FIRST_WAIT_S

    async def run(self) -> None:
        """Work until stopped, while the group is not paused."""
        group = self._subscription.group
        self._pauses.watch(group, self._pause_changed)
        try:
            await self._run()
        finally:
            self._pauses.unwatch(group, self._pause_changed)

    async def _run(self) -> None:
        predecessor = ""
        while not self._stopping.is_set():
            if not self._may_work.is_set():
                await self._may_work.wait()
                continue
            consumer: Consumer | None = None
            try:
                consumer = await self._join()
                await self._work(consumer, predecessor)
            except FencedError as error:
                self._report("fenced", f"{error}; it starts again under a new name")
            except BackendError as error:
                self._report("backend_away", f"{self._subscription.group} stopped: {error}")
                await self._pause()
            except Exception:  # a bug of ours must not silence an agent for good
                log.exception("dispatcher.failed", agent=self._subscription.group)
                await self._pause()
            if consumer is not None:
                predecessor = consumer.incarnation

    def stop(self, *, hurry: bool = False) -> None:
        """Have `run` drain and return; with `hurry` running handlers are cancelled at once."""
        self._hurry = self._hurry or hurry
        self._stopping.set()
        self._may_work.set()
        if self._joining is not None and not self._joining.expired():
            self._joining.reschedule(asyncio.get_running_loop().time() + LEAVE_S)
        if self._tenure is not None:
            self._tenure.stop(hurry=self._hurry)

    def _pause_changed(self, is_paused: bool) -> None:
        if is_paused and not self._stopping.is_set():
            self._may_work.clear()
        else:
            self._may_work.set()
        if self._tenure is not None:
            (self._tenure.pause if is_paused else self._tenure.resume)()

    async def _join(self) -> Consumer:
        group = self._subscription.group
        try:
            async with asyncio.timeout(None) as self._joining:
                # Subscribing again changes nothing, unless a server came back without its data.
                await self._backend.subscribe(group, self._subscription.all_patterns)
                return await self._backend.join(group)
        except TimeoutError as error:
            raise BackendUnavailableError(f"{group} was stopped before it could join") from error
        finally:
            self._joining = None

    async def _work(self, consumer: Consumer, predecessor: str) -> None:
        self._tenure = Tenure(
            consumer,
            self._handlers,
            self._subscription.options,
            self._emitter,
            self._incidents,
            predecessor=predecessor,
        )
        self._wait_s = FIRST_WAIT_S
        if self._stopping.is_set():
            self._tenure.stop(hurry=self._hurry)
        elif not self._may_work.is_set():
            self._tenure.pause()
        try:
            await self._tenure.run()
        finally:
            self._tenure = None

    async def _pause(self) -> None:
        wait_s, self._wait_s = self._wait_s, min(2 * self._wait_s, LONGEST_WAIT_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):  # wait_for of Python 3.11 may miss a cancellation
                await self._stopping.wait()

    def _report(self, event: str, text: str) -> None:
        self._incidents.report(Incident(event, text))


class Running:
    """A subscription at work in this process."""

    def __init__(self, group: str, dispatcher: Dispatcher) -> None:
        self.group = group
        self._dispatcher = dispatcher
        self._task = asyncio.create_task(dispatcher.run(), name=f"dispatcher-{group}")
        self._is_draining = False

    @property
    def done(self) -> bool:
        return self._task.done()

    async def wait(self) -> None:
        """Return when it was drained."""
        await asyncio.wait([self._task])

    async def drain(self) -> None:
        """Stop reading, let running handlers finish within `drain_s`, give back the rest.

        A second call, also one at the same time, does not wait for the handlers any longer.
        """
        self._dispatcher.stop(hurry=self._is_draining)
        self._is_draining = True
        await asyncio.wait([self._task])

    async def kill(self) -> None:
        """Stop as a crash would: nothing is committed, nothing given back. For tests."""
        self._task.cancel()
        await asyncio.wait([self._task])


async def drain_all(running: Iterable[Running]) -> None:
    await asyncio.gather(*(one.drain() for one in running))
