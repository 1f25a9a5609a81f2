"""Entries of one topic on their way to the server."""

import asyncio

BATCH_ENTRIES = 512
BATCH_BYTES = 1 << 20


class Batch:
    """Entries that are stored together, for one or more callers.

    Attributes:
        answer: what the server said to it last, or why it said nothing; None while that is open.
        producer: who stores it; together with `first`, the sequence of its first entry on this
            topic, it is stored once however often it is sent.
        was_accepted: it was stored before, and the server has forgotten it.
        is_once: it is one message under an id of its caller's, and its own producer.
        is_unasked: it is that, and no request: the producer is remembered as one step further.
    """

    is_once = is_unasked = False

    def __init__(self, topic: str, give_up_at: float) -> None:
        self.topic = topic
        self.give_up_at = give_up_at
        self.count = 0
        self.parts: list[bytes] = []  # header, payload, header, payload …
        self.delays: list[str] = []  # "number:milliseconds" of those that are held back
        self.size_bytes = 0
        self.callers: list[asyncio.Future[None]] = []
        self.producer = ""
        self.first = 0
        self.answer: int | Exception | None = None
        self.was_accepted = False

    @property
    def last(self) -> int:
        """The sequence of its last entry."""
        return self.first + self.count - 1

    @property
    def reached(self) -> int:
        """What is remembered of its producer."""
        return self.last + self.is_unasked

    @property
    def length_after(self) -> int | None:
        """How long the topic is, if the server said that the batch is stored."""
        return self.answer if isinstance(self.answer, int) and self.answer >= 0 else None

    def has_room_for(self, count: int) -> bool:
        return self.count + count <= BATCH_ENTRIES and self.size_bytes < BATCH_BYTES

    def add(self, header: bytes, payload: bytes, delay_s: float) -> None:
        self.count += 1
        self.parts += (header, payload)
        self.size_bytes += len(payload)
        if delay_s > 0 and (delay_ms := int(delay_s * 1000)):
            self.delays.append(f"{self.count}:{delay_ms}")

    def settle(self, error: BaseException | None = None) -> None:
        for caller in self.callers:
            if caller.done():
                continue
            if error is None:
                caller.set_result(None)
            else:
                caller.set_exception(error)
