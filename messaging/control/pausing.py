"""Pausing a group: a flag in the store that every process sees, soon told and looked up anyway."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from messaging.backend import Backend, Entry
from messaging.control.outages import Outages
from messaging.control.tail import Tail
from messaging.errors import BackendError
from messaging.process.logs import get_logger
from messaging.wire.envelope import seal
from messaging.wire.message import Message, wire_type_of
from messaging.wire.topic import CONTROL_TOPIC

log = get_logger()

LOOK_EVERY_S = 2.0

Watcher = Callable[[bool], None]
"""Called with whether the group is paused now, each time that changes."""


class PauseChanged(Message, wire_name="bus.pause_changed"):
    """A group was paused or resumed: look which."""


class Pauses:
    """Which groups are paused, as this process knows it."""

    def __init__(self, backend: Backend, tail: Tail, outages: Outages) -> None:
        self._backend = backend
        self._outages = outages
        self._paused: frozenset[str] = frozenset()
        self._watchers: dict[str, set[Watcher]] = {}
        self._told = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        tail.listen(CONTROL_TOPIC, self._receive)

    @property
    def is_looking(self) -> bool:
        return self._task is not None

    def start(self) -> None:
        """Go on looking in the background; starting again does nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep_looking(), name="pauses")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def change(self, group: str, *, is_paused: bool) -> None:
        """Pause or resume `group` everywhere, and tell every process."""
        await self._backend.set_paused(group, is_paused)
        log.info("agent.paused" if is_paused else "agent.resumed", agent=group)
        await self.look()
        notice = seal(PauseChanged(), CONTROL_TOPIC, by_reference=self._backend.by_reference)
        await self._backend.emit([notice])

    async def look(self) -> frozenset[str]:
        """The paused groups; watchers of those that changed are called."""
        paused = frozenset(await self._backend.paused())
        before, self._paused = self._paused, paused  # others may have looked meanwhile
        for group in before ^ self._paused:
            for watcher in tuple(self._watchers.get(group, ())):
                watcher(group in self._paused)
        return self._paused

    def watch(self, group: str, watcher: Watcher) -> None:
        """Call `watcher` at once if `group` is paused, and whenever that changes."""
        self._watchers.setdefault(group, set()).add(watcher)
        if group in self._paused:
            watcher(True)

    def unwatch(self, group: str, watcher: Watcher) -> None:
        self._watchers[group].discard(watcher)

    def _receive(self, entry: Entry) -> None:
        if entry.envelope.type == wire_type_of(PauseChanged).name:
            self._told.set()

    async def _keep_looking(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._told.wait()
            self._told.clear()
            try:
                await self.look()
            except BackendError as error:
                self._outages.warn("pauses.unknown", error)
            except Exception:  # a bug of ours must not leave this process blind to pauses for good
                log.exception("pauses.failed")
