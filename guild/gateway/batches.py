"""What comes quickly, told a few times a second: the last of it, and how much was left off."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

EVERY_S = 0.25
MOST = 50


class Batch(NamedTuple, Generic[T]):
    """What came since the batch before.

    Attributes:
        left_off: of how much more nothing is told, as it came earlier than `items`.
    """

    items: list[T]
    left_off: int


async def in_batches(
    source: AsyncGenerator[T, None], *, every_s: float = EVERY_S, most: int = MOST
) -> AsyncGenerator[Batch[T], None]:
    """At most one batch in `every_s`, and none where nothing came; it ends with `source`."""
    kept: deque[T] = deque(maxlen=most)
    came = 0
    changed = asyncio.Event()

    async def pull() -> None:
        nonlocal came
        try:
            async with aclosing(source) as items:
                async for item in items:
                    kept.append(item)
                    came += 1
                    changed.set()
        finally:
            changed.set()

    pulling = asyncio.create_task(pull())
    try:
        while not pulling.done() or kept:
            await changed.wait()
            if not pulling.done():
                await asyncio.wait({pulling}, timeout=every_s)
            changed.clear()
            batch = Batch(list(kept), came - len(kept))
            kept.clear()
            came = 0
            if batch.items:
                yield batch
        pulling.result()
    finally:
        pulling.cancel()
        await asyncio.gather(pulling, return_exceptions=True)
