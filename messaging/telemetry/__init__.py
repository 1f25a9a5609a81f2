"""Traces and metrics of what happens on a bus; each is an observer, given as `observer=`.

`OpenTelemetryObserver` needs the extra `otel`, and `MetricsObserver` with `QueueMetrics` and
`render` the extra `metrics`. Nothing here sets or asks for anything global: tracer provider and
registry are the host's, and are given.
"""

from typing import TYPE_CHECKING

from messaging._lazy import lazily

if TYPE_CHECKING:
    from messaging.telemetry.metrics import MetricsObserver
    from messaging.telemetry.queues import QueueMetrics, render
    from messaging.telemetry.spending import Spending, Spent
    from messaging.telemetry.tracing import OpenTelemetryObserver

__all__ = [
    "MetricsObserver",
    "OpenTelemetryObserver",
    "QueueMetrics",
    "Spending",
    "Spent",
    "render",
]

__getattr__ = lazily(
    __name__,
    {
        "messaging.telemetry.metrics": ("MetricsObserver",),
        "messaging.telemetry.queues": ("QueueMetrics", "render"),
        "messaging.telemetry.spending": ("Spending", "Spent"),
        "messaging.telemetry.tracing": ("OpenTelemetryObserver",),
    },
)
