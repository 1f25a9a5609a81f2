"""What a bus must be able to do to take part in a benchmark."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence

from pydantic import BaseModel, ConfigDict

AWAITED = "awaited publish to handled, 64 publishers"
BULK = "bulk publish to stored"
HANDLED = "bulk publish to handled and acknowledged"
PROCESS = "consume, process, produce"
REQUEST = "request/reply, one at a time"
REQUEST_64 = "request/reply, 64 at once"
ALL = (AWAITED, BULK, HANDLED, PROCESS, REQUEST, REQUEST_64)
ACKNOWLEDGED = (AWAITED, HANDLED, PROCESS)
"""Rounds that last until the server is owed no acknowledgement any more."""


class Note(BaseModel):
    """The message everybody carries: about 200 bytes of JSON."""

    model_config = ConfigDict(frozen=True)

    number: int
    author: str = "somebody"
    text: str = "The quick brown fox jumps over the lazy dog, and again, and again. " * 2


class Contestant(ABC):
    """One bus, open between `open` and `close`, with its consumers running.

    Attributes:
        scenarios: the ones it takes part in; nobody asks it for the others.
        is_on_server: whether it uses the server, so that the server's CPU time is its doing.
        share: it gets one message of so many, because it is so much slower.
    """

    scenarios: Sequence[str]
    is_on_server = True
    share = 1

    @abstractmethod
    async def open(self) -> None: ...

    @abstractmethod
    async def close(self) -> None: ...

    async def publish_awaited(self, notes: Sequence[Note], publishers: int) -> None:
        """Publish each note with an await of its own from `publishers` tasks, and return when the
        consumer has handled all of them."""
        raise NotImplementedError

    async def publish_bulk(self, notes: Sequence[Note]) -> None:
        """Hand all notes over at once and return when the server has acknowledged them."""
        raise NotImplementedError

    async def publish_handled(self, notes: Sequence[Note]) -> None:
        """Hand all notes over at once and return when the consumer has handled all of them."""
        raise NotImplementedError

    async def process(self, notes: Sequence[Note]) -> None:
        """Hand all notes to an agent that sends each one on, and return when they all arrived."""
        raise NotImplementedError

    async def request(self, note: Note) -> Note:
        """Ask the consumer and return its answer."""
        raise NotImplementedError

    async def unacknowledged(self) -> int:
        """How many messages the server still holds for consumers; 0 where none acknowledges."""
        return 0


async def publish_each(
    publish: Callable[[Note], Awaitable[object]], notes: Sequence[Note], publishers: int
) -> None:
    """Each note with an await of its own, from so many tasks."""

    async def publish_share(share: Sequence[Note]) -> None:
        for note in share:
            await publish(note)

    await asyncio.gather(*(publish_share(notes[at::publishers]) for at in range(publishers)))


class Tally:
    """Counts what a consumer has handled."""

    def __init__(self) -> None:
        self._missing = 0
        self._is_complete = asyncio.Event()

    def expect(self, count: int) -> None:
        self._missing = count
        self._is_complete.clear()

    def count(self, number: int = 1) -> None:
        self._missing -= number
        if self._missing == 0:
            self._is_complete.set()

    async def complete(self) -> None:
        await self._is_complete.wait()
