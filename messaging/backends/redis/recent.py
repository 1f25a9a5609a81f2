"""What was accepted a moment ago, kept for a server that comes back without it.

With `appendfsync everysec` a server whose disk is behind answers up to two seconds before it
writes, and a replica that is promoted may lag: killed then, the server forgets what it had accepted
last. Whoever published it still has it here, and the sequences say what has to be sent again.
"""

import asyncio
from collections import deque

from messaging.backends.redis.batch import Batch
from messaging.backends.redis.keys import Keys
from messaging.backends.redis.pipeline import Pipeline, pack

KEPT_S = 5.0
KEPT_BYTES = 8 * 1024 * 1024


class Recent:
    """Accepted batches of the last seconds before the latest one, up to a few megabytes."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._kept: deque[tuple[float, Batch]] = deque()
        self._size_bytes = 0

    def keep(self, batch: Batch, now_s: float) -> None:
        """Remember that `batch` was accepted now."""
        kept = self._kept
        kept.append((now_s, batch))
        self._size_bytes += batch.size_bytes
        while kept and (kept[0][0] < now_s - KEPT_S or self._size_bytes > KEPT_BYTES):
            self._size_bytes -= kept.popleft()[1].size_bytes

    async def forgotten(self, pipeline: Pipeline) -> list[Batch]:
        """What the server behind `pipeline` does not have, in order; it is kept no longer."""
        kept, self._kept = self._kept, deque()
        producers = list({batch.producer: None for _, batch in kept})
        asked = [pack(("HGETALL", self._keys.producer(producer))) for producer in producers]
        try:
            replies = await asyncio.gather(*map(pipeline.send, asked))
        except BaseException:
            self._kept.extendleft(reversed(kept))
            raise
        stored = {
            (producer, stream): int(last)
            for producer, flat in zip(producers, replies, strict=True)
            for stream, last in zip(flat[::2], flat[1::2], strict=True)
        }

        def is_stored(batch: Batch) -> bool:
            return stored.get((batch.producer, self._keys.stream(batch.topic)), 0) >= batch.last

        self._kept.extendleft((at, batch) for at, batch in reversed(kept) if is_stored(batch))
        self._size_bytes = sum(batch.size_bytes for _, batch in self._kept)
        return [batch for _, batch in kept if not is_stored(batch)]
