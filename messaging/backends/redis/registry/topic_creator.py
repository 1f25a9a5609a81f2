"""Topics that come into being: all that are asked for at the same time in one call."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

MOST_AT_ONCE = 256

Create = Callable[[Sequence[str]], Awaitable[Mapping[str, Exception]]]
"""Create these topics, and return those that cannot be created, with the reason."""


class TopicCreator:
    """While a call is on its way, further callers wait for the next one together."""

    def __init__(self, create: Create) -> None:
        self._create = create
        self._wanted: dict[str, asyncio.Future[None]] = {}
        self._working: asyncio.Task[None] | None = None

    async def bring(self, topic: str) -> None:
        """Return when `topic` is there.

        Raises:
            MessagingError: it cannot be created, or the store is away.
        """
        loop = asyncio.get_running_loop()
        born = self._wanted.get(topic)
        if born is None:
            born = self._wanted[topic] = loop.create_future()
        if self._working is None or self._working.done():
            self._working = loop.create_task(self._work(), name="topic-creator")
        await asyncio.shield(born)

    async def close(self) -> None:
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)
        for born in self._wanted.values():
            born.cancel()

    async def _work(self) -> None:
        while self._wanted:
            topics = list(self._wanted)[:MOST_AT_ONCE]
            born = {topic: self._wanted.pop(topic) for topic in topics}
            try:
                failed = await self._create(topics)
            except Exception as error:  # noqa: BLE001 - those who wait are told
                failed = dict.fromkeys(topics, error)
            except BaseException:
                for waiting in born.values():
                    waiting.cancel()
                raise
            for topic, waiting in born.items():
                if (reason := failed.get(topic)) is None:
                    waiting.set_result(None)
                else:
                    waiting.set_exception(reason)
                    waiting.exception()  # its waiter may have been cancelled
