"""Cancelling: a word on the control topic that every process of the guild hears."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from messaging.backend import Backend, Entry
from messaging.control.tail import Tail
from messaging.errors import MessagingError
from messaging.process.logs import get_logger
from messaging.wire.decoding import Decoder
from messaging.wire.envelope import Envelope, seal
from messaging.wire.message import Message, MessageRegistry
from messaging.wire.topic import CONTROL_TOPIC

log = get_logger()

MOST_REMEMBERED = 10_000


class CancelRequested(Message, wire_name="bus.cancel"):
    """Stop handling this message and what followed from it."""

    message_id: str
    reason: str = ""


class Cancellable(Protocol):
    """Where handlers run, one after the other.

    Attributes:
        envelope: of the message whose handler runs; None between two of them.
    """

    @property
    def envelope(self) -> Envelope | None: ...

    def cancel(self, reason: str) -> None: ...


class Cancellations:
    """Cancels what runs here, and remembers what was cancelled before it could start.

    Attributes:
        reasons: why, by the id of a message or conversation that was cancelled.
    """

    def __init__(
        self, backend: Backend, tail: Tail, tell_requester: Callable[[str, str], None]
    ) -> None:
        self._backend = backend
        self._tell_requester = tell_requester
        self._decoder = Decoder(MessageRegistry(CancelRequested))
        self._slots: set[Cancellable] = set()
        self.reasons: OrderedDict[str, str] = OrderedDict()
        tail.listen(CONTROL_TOPIC, self._receive)

    async def cancel(self, message_id: str, reason: str) -> None:
        """Tell every process, this one first."""
        request = CancelRequested(message_id=message_id, reason=reason)
        self._apply(request)
        by_reference = self._backend.by_reference
        await self._backend.emit([seal(request, CONTROL_TOPIC, by_reference=by_reference)])

    def reason_for(self, envelope: Envelope) -> str | None:
        """Why `envelope` was cancelled; None if it was not."""
        reason = self.reasons.get(envelope.id)
        return self.reasons.get(envelope.conversation_id) if reason is None else reason

    @property
    def running(self) -> int:
        """How many handlers run here at this moment."""
        return sum(slot.envelope is not None for slot in self._slots)

    def add(self, slot: Cancellable) -> None:
        """From now on cancel what runs there."""
        self._slots.add(slot)

    def remove(self, slot: Cancellable) -> None:
        self._slots.discard(slot)

    def _receive(self, entry: Entry) -> None:
        try:
            request = self._decoder.read(entry.envelope)
        except MessagingError as error:
            log.warning("control.unreadable", error=str(error))
            return
        if isinstance(request, CancelRequested):
            self._apply(request)

    def _apply(self, request: CancelRequested) -> None:
        if request.message_id in self.reasons:
            return
        self.reasons[request.message_id] = request.reason
        if len(self.reasons) > MOST_REMEMBERED:
            self.reasons.popitem(last=False)
        for slot in tuple(self._slots):
            running = slot.envelope
            if running is not None and request.message_id in (running.id, running.conversation_id):
                slot.cancel(request.reason)
        self._tell_requester(request.message_id, request.reason)
