"""Spans that were recorded, to be looked at."""

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler

from messaging.testing import eventually


class Spans:
    """A tracer provider, and what was exported by it."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def all(self) -> Sequence[ReadableSpan]:
        """In the order in which they ended."""
        return self._exporter.get_finished_spans()

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.all]

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span

    async def until(self, name: str, count: int = 1) -> Sequence[ReadableSpan]:
        """Those of this name, once there are so many."""
        await eventually(lambda: len(self.named(name)) >= count)
        return self.named(name)


def traces_of(spans: Sequence[ReadableSpan]) -> set[int]:
    return {span.context.trace_id for span in spans if span.context is not None}


def orphans_in(spans: Sequence[ReadableSpan]) -> list[str]:
    """Names of the spans whose parent is not among them."""
    known = {span.context.span_id for span in spans if span.context is not None}
    return [
        span.name for span in spans if span.parent is not None and span.parent.span_id not in known
    ]


def parent_of(span: ReadableSpan, spans: Sequence[ReadableSpan]) -> str:
    """The name of a span's parent; "" for the root of a trace."""
    if span.parent is None:
        return ""
    return next(
        other.name
        for other in spans
        if other.context is not None and other.context.span_id == span.parent.span_id
    )
