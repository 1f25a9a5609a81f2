"""One incarnation of a consumer: how it begins, beats and leaves, whatever its work is."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence

from messaging.backend import Consumer, Delivery
from messaging.consuming.heartbeat import Heart
from messaging.consuming.lifecycle import Lifecycle
from messaging.consuming.liveness import LOOKS_PER_LEASE, Watch
from messaging.consuming.task_scope import TaskScope, farewell
from messaging.handling.subscription import SubscriptionOptions


class Incarnation(ABC):
    """At work from joining until it leaves or is lost.

    It leaves in this order: nothing more is read; what runs may finish; that is committed; the rest
    is given back.
    """

    def __init__(
        self,
        name: str,
        consumer: Consumer,
        options: SubscriptionOptions,
        life: Lifecycle,
        heart: Heart,
    ) -> None:
        self._consumer = consumer
        self._options = options
        self._life = life
        self._heart = heart
        self._loop = asyncio.get_running_loop()
        self._scope = TaskScope(f"{name}-{consumer.incarnation}")

    async def run(self) -> None:
        """Work until the lifecycle ends it, or the work itself; then leave.

        Raises:
            FencedError: another consumer took this one's work over.
            BackendError: the store stayed away, or refused. On leaving it is not waited for long.
        """
        reader = self._scope.start(self._read())
        beat = self._scope.start(self._beat())
        others = self._start()
        try:
            with self._life.watched(self._heed):
                self._heed()
                await self._scope.wait()
                await self._let_finish()
                await self._leave(reader, beat)
        finally:
            self._stop()
            for task in (beat, *others):
                task.cancel()
            await self._end_handlers()
            # A read must not be cancelled: it would swallow what it was about to lend.
            await asyncio.gather(reader, beat, *others, return_exceptions=True)

    async def _leave(self, reader: asyncio.Task[None], beat: asyncio.Task[None]) -> None:
        async with farewell(self._consumer.group):
            await reader
            unhandled = await self._settle_up()
            beat.cancel()
            await self._consumer.leave(unhandled)

    async def _beat(self) -> None:
        watch = Watch(self._consumer.incarnation, self._options.lease_s)

        def look(beats: Mapping[str, int]) -> None:
            self._look(beats, watch.look(beats, self._loop.time()))

        pause_s = self._options.lease_s / LOOKS_PER_LEASE
        await self._heart.keep_beating(self._consumer, pause_s, look)

    def _stop(self) -> None:
        """Have `run` come to its end."""
        self._scope.stop()
        self._consumer.rouse()

    # What the work is

    @abstractmethod
    async def _read(self) -> None:
        """Read until stopped."""

    @abstractmethod
    def _start(self) -> Sequence[asyncio.Task[None]]:
        """Begin what goes on beside that, and return what is cancelled in the end."""

    @abstractmethod
    def _heed(self) -> None:
        """The lifecycle has changed, or this begins."""

    @abstractmethod
    def _look(self, beats: Mapping[str, int], lost: Collection[str]) -> None:
        """These beat, and of them these are lost."""

    @abstractmethod
    async def _let_finish(self) -> None:
        """Return when what runs has ended, or had its time."""

    @abstractmethod
    async def _settle_up(self) -> Sequence[Delivery]:
        """Commit what has ended, and return what is given back."""

    @abstractmethod
    async def _end_handlers(self) -> None:
        """Cancel what still runs: nothing that it does counts any more."""
