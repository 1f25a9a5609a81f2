"""Whether the server still knows that a consumer joined, and how often it has beaten.

A consumer that is fenced was taken over, or was unsubscribed; or the server came back with data
from before it joined. The server keeps for a day which consumers joined, and no take-over erases
that. So a consumer that cannot be found there knows that what it had committed is gone as well.
"""

import asyncio
from contextlib import suppress

from messaging.backends.redis.consumer.session import ConsumerSession
from messaging.errors import MessagingError

JOINED_S = 86_400


class Presence:
    """What one consumer remembers of its place at the server.

    Attributes:
        beats: how many of its beats the server has counted, as it said last.
    """

    def __init__(self, session: ConsumerSession) -> None:
        self._server = session.server
        self._registry = session.registry
        self._group = session.group
        self._incarnation = session.incarnation
        self._loop = asyncio.get_running_loop()
        self._joined_at_s = self._loop.time()
        self._losses = self._registry.losses
        self.beats = 0
        self._looking: asyncio.Task[None] | None = None

    def joined(self) -> None:
        """From now on the server knows it."""
        self._joined_at_s, self._losses = self._loop.time(), self._registry.losses

    def beaten(self, before: int, count: int) -> None:
        """The server has counted so many beats; it had counted `before` when this one was sent."""
        self.beats = max(self.beats, count)
        if count <= before:
            self.beats = count
            self._look(is_behind=True)

    def fenced(self) -> None:
        """The server does not know it any more: look why, in the background."""
        if self._loop.time() - self._joined_at_s < JOINED_S:
            self._look(is_behind=False)

    def leaves(self) -> None:
        """It goes by itself, and whatever the server says of it now means nothing."""
        self._joined_at_s = -JOINED_S

    def _look(self, *, is_behind: bool) -> None:
        if self._looking is None or self._looking.done():
            self._looking = self._loop.create_task(self._announce_if_lost(is_behind=is_behind))

    async def _announce_if_lost(self, *, is_behind: bool) -> None:
        with suppress(MessagingError):  # the bus is closed, or the server is away again
            await self._registry.refresh()
            if self._registry.losses != self._losses:
                return  # that was announced, with all that it means
            if is_behind or not await self._has_joined():
                self._server.announce_commits_lost(self._group)

    async def _has_joined(self) -> bool:
        joined = await self._server.connection.call(
            "ZSCORE", self._server.keys.joined, self._incarnation
        )
        return joined is not None
