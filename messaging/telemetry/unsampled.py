"""The current span while a message is handled whose trace is left out."""

from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, SpanContext

from messaging.telemetry.trace_text import read


class UnsampledSpan(NonRecordingSpan):
    """Records nothing, and has whatever a handler calls record nothing either.

    It is made for each handling of such a trace, so the text is read only when it is asked for.
    """

    def __init__(self, trace: str) -> None:
        super().__init__(INVALID_SPAN_CONTEXT)
        self._trace = trace

    def get_span_context(self) -> SpanContext:
        return read(self._trace) or INVALID_SPAN_CONTEXT
