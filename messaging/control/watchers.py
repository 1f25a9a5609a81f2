"""Which ephemeral topics are watched: what would be told there is not even made while none looks.

A watcher says on the control topic which topic it reads, again and again. Each time is a lease: a
watcher that dies says nothing more, and when the lease has run out the processes stop telling. How
long that is each counts by itself, so that it does not matter what any clock shows.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from messaging.backend import Backend, Entry
from messaging.control.tail import Tail
from messaging.errors import MessagingError
from messaging.process.logs import get_logger
from messaging.wire.decoding import Decoder
from messaging.wire.envelope import seal
from messaging.wire.message import Message, MessageRegistry
from messaging.wire.topic import CONTROL_TOPIC

log = get_logger()

LEASE_S = 10.0
RENEW_EVERY_S = 3.0

WatchListener = Callable[[bool], None]
"""Called with whether the topic is watched now, each time that changes."""


class WatchRequested(Message, wire_name="bus.watch"):
    """Tell on this ephemeral topic what there is to be told, for a while: somebody reads it."""

    topic: str


class Watchers:
    """Which topics are watched at this moment, as this process has heard."""

    def __init__(self, backend: Backend, tail: Tail) -> None:
        self._backend = backend
        self._decoder = Decoder(MessageRegistry(WatchRequested))
        self._listeners: dict[str, list[WatchListener]] = {}
        self._leases: dict[str, asyncio.TimerHandle] = {}
        tail.listen(CONTROL_TOPIC, self._receive)

    async def announce(self, topic: str) -> None:
        """Tell every process, this one first, that `topic` is watched for the next `LEASE_S`."""
        request = WatchRequested(topic=topic)
        self._apply(request)
        by_reference = self._backend.by_reference
        await self._backend.emit([seal(request, CONTROL_TOPIC, by_reference=by_reference)])

    def listen(self, topic: str, listener: WatchListener) -> None:
        """Call `listener` whenever `topic` begins or ceases to be watched."""
        self._listeners.setdefault(topic, []).append(listener)

    def unlisten(self, topic: str, listener: WatchListener) -> None:
        """Call `listener` no more."""
        self._listeners[topic].remove(listener)
        if not self._listeners[topic]:
            del self._listeners[topic]
            self._forget(topic)

    def is_watched(self, topic: str) -> bool:
        """Whether somebody watches `topic`; always False where nothing listens for that here."""
        return topic in self._leases

    def close(self) -> None:
        for topic in tuple(self._leases):
            self._end(topic)

    def _receive(self, entry: Entry) -> None:
        with suppress(MessagingError):  # whoever cancels reports it
            request = self._decoder.read(entry.envelope)
            if isinstance(request, WatchRequested):
                self._apply(request)

    def _apply(self, request: WatchRequested) -> None:
        topic = request.topic
        if topic not in self._listeners:
            return
        is_new = not self._forget(topic)
        loop = asyncio.get_running_loop()
        self._leases[topic] = loop.call_later(LEASE_S, self._end, topic)
        if is_new:
            self._tell(topic, True)

    def _end(self, topic: str) -> None:
        if self._forget(topic):
            self._tell(topic, False)

    def _forget(self, topic: str) -> bool:
        lease = self._leases.pop(topic, None)
        if lease is not None:
            lease.cancel()
        return lease is not None

    def _tell(self, topic: str, is_watched: bool) -> None:
        for listener in tuple(self._listeners.get(topic, ())):
            try:
                listener(is_watched)
            except Exception:  # a listener is somebody else's code, called from our loop
                log.exception("bus.listener_failed", watched=topic)
