"""A place where one consumer of this process is at work: one incarnation after the other."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol, TypeVar

from messaging.backend import Consumer, Incident
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

    def stop(self, *, hurry: bool = False) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class RejoiningConsumer:
    """Joins, works, and joins again under a new name when it lost the old one.

    Args:
        begin: makes the work of an incarnation; told the name of the one before it, "" at first.
    """

    def __init__(
        self,
        group: str,
        join: Callable[[], Awaitable[Consumer]],
        begin: Callable[[Consumer, str], Awaitable[Work]],
        incidents: Incidents,
    ) -> None:
        self.work: Work | None = None
        self._group = group
        self._join = join
        self._begin = begin
        self._incidents = incidents
        self._coming: asyncio.Timeout | None = None
        self._may_work = asyncio.Event()
        self._may_work.set()
        self._stopping = asyncio.Event()
        self._hurry = False
        self._wait_s = FIRST_WAIT_S

    async def run(self) -> None:
        """Work until stopped, while it is not paused."""
        predecessor = ""
        fenced: FencedError | None = None
        while not self._stopping.is_set():
            if not self._may_work.is_set():
                await self._may_work.wait()
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
            if consumer is not None:
                predecessor = consumer.incarnation
        if fenced is not None:
            self._incidents.fenced(fenced)

    def stop(self, *, hurry: bool = False) -> None:
        """Have `run` drain and return; with `hurry` running handlers are cancelled at once."""
        self._hurry = self._hurry or hurry
        self._stopping.set()
        self._may_work.set()
        if self._coming is not None and not self._coming.expired():
            self._coming.reschedule(asyncio.get_running_loop().time() + LEAVE_S)
        if self.work is not None:
            self.work.stop(hurry=self._hurry)

    def retire(self) -> None:
        """Have `run` begin nothing more and return, however long what runs may take."""
        self._stopping.set()
        self._may_work.set()
        if self.work is not None:
            self.work.pause()

    def pause(self) -> None:
        """Begin nothing more until resumed."""
        if not self._stopping.is_set():
            self._may_work.clear()
            if self.work is not None:
                self.work.pause()

    def resume(self) -> None:
        self._may_work.set()
        if self.work is not None and not self._stopping.is_set():
            self.work.resume()

    async def _soon(self, coming: Awaitable[T]) -> T:
        """What `coming` returns; once stopped, it is not waited for much longer."""
        try:
            async with asyncio.timeout(None) as self._coming:
                return await coming
        except TimeoutError as error:
            text = f"{self._group} was stopped before it could begin"
            raise BackendUnavailableError(text) from error
        finally:
            self._coming = None

    async def _work(self, consumer: Consumer, predecessor: str) -> None:
        self.work = await self._soon(self._begin(consumer, predecessor))
        self._wait_s = FIRST_WAIT_S
        if self._stopping.is_set():
            self.work.stop(hurry=self._hurry)
        elif not self._may_work.is_set():
            self.work.pause()
        try:
            await self.work.run()
        finally:
            self.work = None

    async def _rest(self) -> None:
        wait_s, self._wait_s = self._wait_s, min(2 * self._wait_s, LONGEST_WAIT_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):  # wait_for of Python 3.11 may miss a cancellation
                await self._stopping.wait()

    def _report(self, event: str, text: str) -> None:
        self._incidents.report(Incident(event, text))
