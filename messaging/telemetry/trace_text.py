"""The trace of an envelope as text: a W3C `traceparent` and, behind a space, the `tracestate`.

Beside it, what is current in a handler whose trace is left out, and what log lines say of a trace.

What others have written is read with care: a text that is no trace is taken for none, and a
`tracestate` that cannot be read is dropped.

Source: https://www.w3.org/TR/trace-context/ (level 1).
"""

import re

from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    TraceState,
    format_trace_id,
    get_current_span,
)

from messaging.handling.log_context import in_hand
from messaging.observing import LONGEST_TRACE
from messaging.wire.envelope import Envelope

_PARENT = re.compile(
    r"(?P<version>(?!ff)[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-[^ ]*)?(?: (?P<state>.*))?"
)
_KEY = r"[a-z0-9][a-z0-9_\-*/@]{0,255}"
_VALUE = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER = rf"[ \t]*({_KEY}={_VALUE}[ \t]*)?"
_STATE = re.compile(rf"{_MEMBER}(,{_MEMBER})*")
_LEFT_OUT, _LENGTH = "-00", 55


def is_unsampled(trace: str) -> bool:
    """Whether a text says that its trace is left out.

    Asked for each message, so what comes before is not read: nothing is made of it anyway.
    """
    return trace[-3:] == _LEFT_OUT and len(trace) == _LENGTH


def unsampled_trace_of(envelope: Envelope) -> str:
    """A trace that is left out: its id is that of the conversation."""
    return f"00-{envelope.conversation_id}-{envelope.id[16:]}-00"


def read(trace: str) -> SpanContext | None:
    """The span that a text names; None if it names none."""
    match = _PARENT.fullmatch(trace)
    if match is None or (match["version"] == "00" and match["more"]):
        return None
    return SpanContext(
        trace_id=int(match["trace"], 16),
        span_id=int(match["span"], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(match["flags"], 16) & TraceFlags.SAMPLED),
        trace_state=_state_in(match["state"] or ""),
    )


def _state_in(text: str) -> TraceState | None:
    """What it says, looked at first: OpenTelemetry logs as a whole what it cannot read."""
    return TraceState.from_header([text]) if text and _STATE.fullmatch(text) else None


def write(context: SpanContext) -> str:
    """The text that names a span; without a `tracestate` that is too long to travel."""
    trace = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 1:02x}"
    if not context.trace_state:
        return trace
    whole = f"{trace} {context.trace_state.to_header()}"
    return whole if len(whole) <= LONGEST_TRACE else trace


class UnsampledSpan(NonRecordingSpan):
    """Current while a message is handled whose trace is left out: what the handler calls with
    OpenTelemetry records nothing either.

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


class TraceIdName:
    """Reads as the id of the trace that is current when a line is written."""

    __slots__ = ()

    def __structlog__(self) -> str | None:
        """What JSON lines show."""
        context = get_current_span().get_span_context()
        return format_trace_id(context.trace_id) if context.is_valid else None

    def __repr__(self) -> str:
        return str(self.__structlog__())
