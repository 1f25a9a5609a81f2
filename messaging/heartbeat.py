"""The beats of one consumer: one after the other goes out, whether answered or not.

An answer may have to wait behind a long message on a narrow link; the next beat may not.
"""

import asyncio
from collections.abc import Callable, Mapping

from messaging.backend import Consumer

MOST_UNANSWERED = 64


async def keep_beating(
    consumer: Consumer, pause_s: float, look: Callable[[Mapping[str, int]], None]
) -> None:
    """Beat every `pause_s` until cancelled, and have `look` see each answer.

    Raises:
        FencedError: the consumer was taken over.
        BackendError: the store stayed away.
    """
    loop = asyncio.get_running_loop()
    unanswered: set[asyncio.Task[Mapping[str, int]]] = set()
    try:
        while True:
            if len(unanswered) < MOST_UNANSWERED:
                unanswered.add(loop.create_task(consumer.beat()))
            next_at = loop.time() + pause_s
            while unanswered and (left_s := next_at - loop.time()) > 0:
                answered, unanswered = await asyncio.wait(
                    unanswered, timeout=left_s, return_when=asyncio.FIRST_COMPLETED
                )
                for beats in await asyncio.gather(*answered):
                    look(beats)
            await asyncio.sleep(next_at - loop.time())
    finally:
        for beat in unanswered:
            beat.cancel()
        await asyncio.gather(*unanswered, return_exceptions=True)
