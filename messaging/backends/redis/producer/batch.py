"""Entries of one topic on their way to the server."""

import asyncio
from collections.abc import Sequence

BATCH_ENTRIES = 512
BATCH_BYTES = 1 << 20


class Batch:
    """Entries that are stored together, for one or more callers.

    Attributes:
        parts: header, payload, header, payload …
        delays: "number:milliseconds" of those that are held back.
        callers: each waits for itself, since one of them may be cancelled.
        producer: who stores it; together with `first`, the sequence of its first entry on this
            topic, it is stored once however often it is sent.
        last: the sequence of its last entry.
        reached: what is remembered of its producer; past `last` for a message under an id of its
            caller's that is no request.
        answer: what the server said to it last, or why it said nothing; None while that is open.
        was_accepted: it was stored before, and the server has forgotten it.
        is_once: it is one message under an id of its caller's, and its own producer.
    """

    count = size_bytes = first = last = reached = 0
    producer = ""
    delays: tuple[str, ...] = ()
    answer: int | Exception | None = None
    was_accepted = is_once = False

    def __init__(self, topic: str, give_up_at: float) -> None:
        self.topic = topic
        self.give_up_at = give_up_at
        self.parts: list[bytes] = []
        self.callers: list[asyncio.Future[None]] = []

    @property
    def length_after(self) -> int | None:
        """How long the topic is, if the server said that the batch is stored."""
        return self.answer if isinstance(self.answer, int) and self.answer >= 0 else None

    def add(self, entries: Sequence[tuple[bytes, bytes, float]]) -> None:
        """Take in some entries: of each the header, the payload, and for how long it is held."""
        delays: list[str] = []
        for header, payload, delay_s in entries:
            self.count += 1
            self.parts += (header, payload)
            self.size_bytes += len(payload)
            if delay_s > 0 and (delay_ms := int(delay_s * 1000)):
                delays.append(f"{self.count}:{delay_ms}")
        if delays:  # once for all of them: a tuple is written anew each time
            self.delays = (*self.delays, *delays)

    def settle(self, error: BaseException | None = None) -> None:
        for caller in self.callers:
            if caller.done():
                continue
            if error is None:
                caller.set_result(None)
            else:
                caller.set_exception(error)
