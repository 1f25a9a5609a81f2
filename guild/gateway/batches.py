"""What comes quickly, told a few times a second: the last of it, and how much was left off."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

EVERY_S = 0.25
MOST = 50
MOST_BYTES = 1024 * 1024


class Batch(NamedTuple, Generic[T]):
    """What came since the batch before.

    Attributes:
        left_off: of how much more nothing is told, as it came earlier than `items`.
    """

    items: list[T]
    left_off: int


def nothing(_: object) -> int:
    """The size of what is small."""
    return 0


class Last(Generic[T]):
    """The last of what came: no more is kept than `most`, or `MOST_BYTES`; but one, however large.

    Args:
        most: items.
        size_of: bytes that an item takes.
    """

    def __init__(self, most: int, size_of: Callable[[T], int] = nothing) -> None:
        self._most = most
        self._size_of = size_of
        self._kept: deque[T] = deque()
        self._bytes = self._came = 0

    def __bool__(self) -> bool:
        return bool(self._kept)

    def add(self, item: T) -> None:
        self._kept.append(item)
        self._bytes += self._size_of(item)
        self._came += 1
        while len(self._kept) > self._most or (self._bytes > MOST_BYTES and len(self._kept) > 1):
            self._bytes -= self._size_of(self._kept.popleft())

    def take(self) -> Batch[T]:
        """All that is kept, and is not any more."""
        batch = Batch(list(self._kept), self._came - len(self._kept))
        self._kept.clear()
        self._bytes = self._came = 0
        return batch


async def in_batches(
    source: AsyncGenerator[T, None],
    *,
    every_s: float = EVERY_S,
    most: int = MOST,
    size_of: Callable[[T], int] = nothing,
) -> AsyncGenerator[Batch[T], None]:
    """At most one batch in `every_s`, and none where nothing came; it ends with `source`."""
    last = Last(most, size_of)
    changed = asyncio.Event()

    async def pull() -> None:
        try:
            async with aclosing(source) as items:
                async for item in items:
                    last.add(item)
                    changed.set()
        finally:
            changed.set()

    pulling = asyncio.create_task(pull())
    try:
        while not pulling.done() or last:
            await changed.wait()
            if not pulling.done():
                await asyncio.wait({pulling}, timeout=every_s)
            changed.clear()
            if last:
                yield last.take()
        pulling.result()
    finally:
        pulling.cancel()
        await asyncio.gather(pulling, return_exceptions=True)
