"""Guilds that differ in what observes them, each to be measured in a process of its own."""

from collections.abc import Mapping, Sequence

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio, Sampler
from prometheus_client import CollectorRegistry

from benchmarks.guildbus_peer import GuildPeer
from messaging import Observer
from messaging.telemetry import MetricsObserver, OpenTelemetryObserver


class Off(GuildPeer):
    """Nobody looks."""

    def __init__(self, url: str) -> None:
        super().__init__(url, f"bench-{type(self).__name__.lower()}", self.observer())

    def observer(self) -> Observer | None:
        return None


class Metrics(Off):
    def observer(self) -> Observer:
        return MetricsObserver(CollectorRegistry())


class Hundredth(Off):
    """Traces of 1 in 100."""

    def observer(self) -> Observer:
        return _traces(share=0.01)


class Sampled(Off):
    """The same by a sampler of the SDK, which is asked about each trace."""

    def observer(self) -> Observer:
        return _traces(sampler=ParentBasedTraceIdRatio(0.01))


class All(Off):
    """All traces."""

    def observer(self) -> Observer:
        return _traces()


OFF, METRICS, HUNDREDTH, SAMPLED, ALL = (
    "off",
    "metrics",
    "traces of 1 in 100",
    "the same by a sampler of the SDK",
    "all traces",
)
OBSERVED: Mapping[str, type[Off]] = {
    OFF: Off,
    METRICS: Metrics,
    HUNDREDTH: Hundredth,
    SAMPLED: Sampled,
    ALL: All,
}


class _ThrownAway(SpanExporter):
    """Takes spans and does nothing: what it costs to send them is the exporter's doing."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def _traces(share: float = 1.0, sampler: Sampler | None = None) -> Observer:
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_ThrownAway()))
    return OpenTelemetryObserver(provider, share=share)
