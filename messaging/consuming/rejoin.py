"""A place where one consumer of this process is at work: one incarnation after the other."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol, TypeVar

from messaging.backend import Consumer, Incident
from messaging.consuming.lifecycle import Lifecycle, Phase
from messaging.consuming.task_scope import LEAVE_S
from messaging.control.incidents import Incidents
from messaging.errors import BackendError, BackendUnavailableError, FencedError
from messaging.process.logs import get_logger

log = get_logger()

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0

T = TypeVar("T")


class Work(Protocol):
    """What one incarnation does, from joining until it leaves or is lost."""

    async def run(self) -> None: ...


class RejoiningConsumer:
    """Joins, works, and joins again under a new name when it lost the old one.

    Args:
        begin: makes the work of an incarnation; told the name of the one before it, "" at first.
        life: ends this, and what it begins; while it is paused, nothing is begun.
    """

    def __init__(
        self,
        group: str,
        join: Callable[[], Awaitable[Consumer]],
        begin: Callable[[Consumer, str], Awaitable[Work]],
        incidents: Incidents,
        life: Lifecycle,
    ) -> None:
        self.life = life
        self._group = group
        self._join = join
        self._begin = begin
        self._incidents = incidents
        self._wait_s = FIRST_WAIT_S

    async def run(self) -> None:
        """Work until the lifecycle ends it, while it is not paused."""
        predecessor = ""
        fenced: FencedError | None = None
        while not self.life.is_ending:
            if not self.life.is_running:
                await self.life.changed()
                continue
            consumer: Consumer | None = None
            try:
                consumer = await self._soon(self._join())
                if fenced is not None:  # by now the bus has told of a loss, if that was the reason
                    self._incidents.fenced(fenced)
                    fenced = None
                await self._work(consumer, predecessor)
            except FencedError as error:
                fenced = error
            except BackendUnavailableError as error:
                self._incidents.stopped(self._group, error)
                await self._rest()
            except BackendError as error:
                self._report("backend_away", f"{self._group} stopped: {error}")
                await self._rest()
            except Exception:  # a bug of ours must not silence an agent for good
                log.exception("dispatcher.failed", agent=self._group)
                await self._rest()
            finally:
                if consumer is not None:
                    predecessor = consumer.incarnation
                    consumer.abandon()
        if fenced is not None:
            self._incidents.fenced(fenced)

    async def _soon(self, coming: Awaitable[T]) -> T:
        """What `coming` returns; once this drains, it is not waited for much longer."""

        def shorten() -> None:
            if self.life.phase >= Phase.DRAINING and not limit.expired():
                limit.reschedule(asyncio.get_running_loop().time() + LEAVE_S)

        try:
            async with asyncio.timeout(None) as limit:
                with self.life.watched(shorten):
                    return await coming
        except TimeoutError as error:
            text = f"{self._group} was stopped before it could begin"
            raise BackendUnavailableError(text) from error

    async def _work(self, consumer: Consumer, predecessor: str) -> None:
        work = await self._soon(self._begin(consumer, predecessor))
        self._wait_s = FIRST_WAIT_S
        await work.run()

    async def _rest(self) -> None:
        wait_s, self._wait_s = self._wait_s, min(2 * self._wait_s, LONGEST_WAIT_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):  # wait_for of Python 3.11 may miss a cancellation
                while not self.life.is_ending:
                    await self.life.changed()

    def _report(self, event: str, text: str) -> None:
        self._incidents.report(Incident(event, text))
