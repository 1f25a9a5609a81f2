"""Tokens and progress: collected for a loop tick, sent at most once, never waited for."""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from messaging.errors import MessagingError, WireError
from messaging.process.logs import get_logger
from messaging.wire.envelope import Envelope

log = get_logger()

MOST_WAITING = 10_000
MOST_AT_ONCE = 512


class Emitter:
    """A bounded queue in front of `send`; what does not fit pushes the oldest out.

    Attributes:
        waiting: what is not on its way yet.
        sending: the task that sends; None when there is nothing to send.
    """

    def __init__(self, send: Callable[[Sequence[Envelope]], Awaitable[None]]) -> None:
        self._send = send
        self.waiting: deque[Envelope] = deque(maxlen=MOST_WAITING)
        self.sending: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self.dropped = 0

    def open(self) -> None:
        """Work on the running loop from now on."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def emit(self, envelope: Envelope) -> None:
        """Have `envelope` sent soon. Callable from any thread."""
        if self._loop is None:
            return
        if len(self.waiting) == MOST_WAITING:
            self._count_drop(1)
        self.waiting.append(envelope)
        if self.sending is not None:
            return
        if threading.get_ident() == self._thread:
            self._start()
        else:
            self._loop.call_soon_threadsafe(self._start)

    async def flush(self) -> None:
        """Return once everything emitted so far was sent, or lost."""
        while self.waiting or self.sending is not None:
            self._start()
            if self.sending is not None:
                await asyncio.shield(self.sending)

    async def close(self) -> None:
        """Send what waits, then take no more."""
        await self.flush()
        self._loop = None

    def _start(self) -> None:
        if self.sending is None and self.waiting and self._loop is not None:
            self.sending = self._loop.create_task(self._send_all(), name="emit")

    async def _send_all(self) -> None:
        try:
            while self.waiting:
                count = min(len(self.waiting), MOST_AT_ONCE)
                batch = [self.waiting.popleft() for _ in range(count)]
                await self._send_batch(batch)
        finally:
            self.sending = None

    async def _send_batch(self, batch: Sequence[Envelope]) -> None:
        try:
            await self._send(batch)
        except MessagingError as error:
            if isinstance(error, WireError) and len(batch) > 1:
                for each in batch:  # one that is too long takes no others with it
                    await self._send_batch([each])
            else:
                self._count_drop(len(batch), error)

    def _count_drop(self, count: int, error: MessagingError | None = None) -> None:
        # One line for the first and then for each thousandth: a flood must not flood the log too.
        if self.dropped // 1000 != (self.dropped + count) // 1000 or not self.dropped:
            log.warning("emit.dropped", count=self.dropped + count, error=str(error or "too many"))
        self.dropped += count
