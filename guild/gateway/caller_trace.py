"""The trace that a caller has begun: what it sends goes on in it, where spans are made here."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.datastructures import Headers


@contextmanager
def in_trace_of(headers: Headers) -> Iterator[None]:
    """A block in which the span that `traceparent` names is the current one.

    Unless the host has made one of its own for the request. Without OpenTelemetry, which an
    observer of this process would have loaded, no span is made, and nothing is done. A header that
    names no span, or comes twice, is taken for none (https://www.w3.org/TR/trace-context/).
    """
    parents = headers.getlist("traceparent")
    if len(parents) != 1 or "opentelemetry.trace" not in sys.modules:
        yield
        return
    from opentelemetry.context import attach, detach  # noqa: PLC0415  only where it is in use
    from opentelemetry.trace import (  # noqa: PLC0415  likewise
        NonRecordingSpan,
        get_current_span,
        set_span_in_context,
    )

    from messaging.telemetry.trace_text import read  # noqa: PLC0415  likewise

    states = ",".join(headers.getlist("tracestate"))
    parent = read(f"{parents[0]} {states}" if states else parents[0])
    if parent is None or get_current_span().get_span_context().is_valid:
        yield
        return
    token = attach(set_span_in_context(NonRecordingSpan(parent)))
    try:
        yield
    finally:
        detach(token)
