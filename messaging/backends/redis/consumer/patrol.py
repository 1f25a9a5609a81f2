"""Looks for what wake-ups failed to tell: one question for all consumers of a process.

A reader is woken when something is published, and otherwise sleeps. A wake-up can be lost all the
same, a stream be deleted, a server be emptied. So every few seconds the server is asked once
which of all the streams that are read here have moved, and the registry whether it is still there.
"""

import asyncio
from collections.abc import Iterable

from messaging.backends.redis.consumer.interest import Interest
from messaging.backends.redis.registry.registry import TopicRegistry
from messaging.backends.redis.server import Server
from messaging.errors import BackendError
from messaging.process.logs import get_logger

LOOK_EVERY_S = 2.0
STREAMS_AT_ONCE = 1_000

log = get_logger()


class Patrol:
    """Wakes each interest whose topics have moved since the last look."""

    def __init__(self, server: Server, registry: TopicRegistry) -> None:
        self._server = server
        self._registry = registry
        self._interests: set[Interest] = set()
        self._last: dict[str, bytes] = {}
        self._walking: asyncio.Task[None] | None = None
        server.connection.on_live.append(self._rouse_all)

    def add(self, interest: Interest) -> None:
        """Look after it until it is over."""
        self._interests.add(interest)
        if self._walking is None:
            self._walking = asyncio.get_running_loop().create_task(self._walk(), name="patrol")

    async def close(self) -> None:
        if self._walking is not None:
            self._walking.cancel()
            await asyncio.gather(self._walking, return_exceptions=True)

    async def _walk(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self._look()
            except BackendError as error:  # reads and beats tell of it, and of more
                log.debug("bus.patrol_failed", error=str(error))
            except Exception:  # a bug of ours must not leave lost wake-ups lost for good
                log.exception("bus.patrol_broken")

    async def _look(self) -> None:
        await self._registry.refresh_if_older(LOOK_EVERY_S / 2)
        self._interests = {interest for interest in self._interests if not interest.is_over}
        readers: dict[str, list[Interest]] = {}
        for interest in self._interests:
            if interest.end_offsets:  # it may have come to the end of what it is still owed
                interest.rouse_to_care()
            for topic in interest.topics:
                readers.setdefault(topic, []).append(interest)
        self._last = {topic: last for topic, last in self._last.items() if topic in readers}
        for topic, last in (await self._moved(readers)).items():
            self._last[topic] = last
            for interest in readers[topic]:
                interest.wake((topic,))

    async def _moved(self, topics: Iterable[str]) -> dict[str, bytes]:
        """Where topics end that do not end where they did; b"" for one that is not there."""
        names, moved = list(topics), dict[str, bytes]()
        for start in range(0, len(names), STREAMS_AT_ONCE):
            some = names[start : start + STREAMS_AT_ONCE]
            found = await self._server.run(
                self._server.scripts.moved,
                [*map(self._server.keys.stream, some)],
                *[self._last.get(topic, b"") for topic in some],
            )
            moved |= {some[number - 1]: last for number, last in found}
        return moved

    def _rouse_all(self) -> None:
        """Behind a new connection may be another server; every reader has to see to that."""
        for interest in self._interests:
            interest.rouse()
