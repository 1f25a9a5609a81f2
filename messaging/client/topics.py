"""What lies in the topics; asked for once for many callers."""

import asyncio
import math
import time
from collections.abc import Sequence

from messaging.backend import Backend, TopicInfo

EVERY_S = 5.0


class TopicsReader:
    """Asks a backend for its topics, at most every few seconds however many callers there are."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._one_at_a_time = asyncio.Lock()
        self._topics: Sequence[TopicInfo] = ()
        self._asked_at = -math.inf

    async def read(self) -> Sequence[TopicInfo]:
        """Every topic, as it was at most `EVERY_S` ago. An error is raised, and not remembered."""
        async with self._one_at_a_time:
            now = time.monotonic()
            if now - self._asked_at >= EVERY_S:
                self._topics, self._asked_at = tuple(await self._backend.topics()), now
            return self._topics
