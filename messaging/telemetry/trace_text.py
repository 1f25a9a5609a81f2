"""The trace of an envelope as text: a W3C `traceparent` and, behind a space, the `tracestate`.

What others have written is read with care: a text that is no trace is taken for none, and a
`tracestate` that cannot be read is dropped.

Source: https://www.w3.org/TR/trace-context/ (level 1).
"""

import re

from opentelemetry.trace import SpanContext, TraceFlags, TraceState

from messaging.observing import LONGEST_TRACE

_PARENT = re.compile(
    r"(?P<version>(?!ff)[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-[^ ]*)?(?: (?P<state>.*))?"
)
# As above in the version that exists, and its last bit says that it is not recorded.
_UNSAMPLED = re.compile(
    r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f][02468ace](?: |\Z)"
)

is_unsampled = _UNSAMPLED.match
"""Whether a text is a trace that its beginner has left out; says so without reading the rest."""


def unsampled_trace_of(message_id: str) -> str:
    """A trace that is left out and begins with this message; its id is that of the message."""
    return f"00-{message_id}-{message_id[16:]}-00"


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
        trace_state=TraceState.from_header([match["state"]]) if match["state"] else None,
    )


def write(context: SpanContext) -> str:
    """The text that names a span; without a `tracestate` that is too long to travel."""
    trace = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 1:02x}"
    if not context.trace_state:
        return trace
    whole = f"{trace} {context.trace_state.to_header()}"
    return whole if len(whole) <= LONGEST_TRACE else trace
