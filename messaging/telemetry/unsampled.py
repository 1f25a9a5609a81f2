"""The current span while a message is handled whose trace is left out."""

from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, SpanContext

from messaging.handling.log_context import in_hand
from messaging.telemetry.trace_text import read, unsampled_trace_of


class UnsampledSpan(NonRecordingSpan):
    """Records nothing, and has whatever a handler calls record nothing either.

    One is enough for all handlings: it looks up which one is meant, as the names in log lines do.
    """

    def __init__(self) -> None:
        super().__init__(INVALID_SPAN_CONTEXT)

    def get_span_context(self) -> SpanContext:
        delivery = in_hand.get()
        if delivery is None:
            return INVALID_SPAN_CONTEXT
        envelope = delivery.envelope
        return read(envelope.trace or unsampled_trace_of(envelope)) or INVALID_SPAN_CONTEXT
