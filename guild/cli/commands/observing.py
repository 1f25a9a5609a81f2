"""What can be seen of a guild that a command runs: metrics beside HTTP, and traces on demand."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from guild.cli.calling.call import Call
from messaging.bus import Bus
from messaging.observing import Observer, Observers

if TYPE_CHECKING:
    from messaging.telemetry.spending import Spending

GROUP = "guildbus.spending"
"""Entry points that tell what answers of language models have cost: see `Spending`."""

Metrics = Callable[[str], Awaitable[tuple[bytes, str]]]
MetricsOf = Callable[[Bus], Metrics]


class Sight(NamedTuple):
    """What is observed.

    Attributes:
        observer: for the launch; None where nothing is.
        metrics_of: shows the metrics, and those of the queues of a bus; None without metrics.
    """

    observer: Observer | None
    metrics_of: MetricsOf | None


@asynccontextmanager
async def sight_of(call: Call, *, metrics: bool, traces: bool) -> AsyncIterator[Sight]:
    """A block in which a guild can be observed; at its end the last spans are sent.

    Args:
        call: of the command.
        metrics: count, if the package for it is installed.
        traces: make spans, as the environment variables of OpenTelemetry say.

    Raises:
        MissingExtraError: what traces need is not installed.
        SettingsError: the variables name something that is not there.
    """
    observers: list[Observer] = []
    metrics_of: MetricsOf | None = None
    async with AsyncExitStack() as stack:
        if traces:
            observers.append(_tracing(call, stack))
        if metrics and find_spec("prometheus_client") is not None:
            counting, metrics_of = _counting()
            observers.append(counting)
        yield Sight(Observers(*observers) if observers else None, metrics_of)


def _tracing(call: Call, stack: AsyncExitStack) -> Observer:
    from guild.running.traces import tracer_provider_of  # noqa: PLC0415  extras
    from messaging.telemetry import OpenTelemetryObserver  # noqa: PLC0415  likewise

    provider = tracer_provider_of(call.plan.environ, call.plan.spec.id)
    stack.push_async_callback(asyncio.to_thread, provider.shutdown)
    return OpenTelemetryObserver(provider, spending=_spending())


def _counting() -> tuple[Observer, MetricsOf]:
    from prometheus_client import CollectorRegistry, ProcessCollector  # noqa: PLC0415  an extra

    from messaging.telemetry import MetricsObserver, QueueMetrics, render  # noqa: PLC0415  likewise

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)

    def metrics_of(bus: Bus) -> Metrics:
        queues = QueueMetrics(bus, registry)

        async def show(accept: str) -> tuple[bytes, str]:
            await queues.refresh()
            return render(registry, accept)

        return show

    return MetricsObserver(registry, spending=_spending()), metrics_of


def _spending() -> "Spending | None":
    """What the first of the installed ones says; a guild has one kind of language models."""
    told: list[Spending] = [entry.load() for entry in entry_points(group=GROUP)]
    if len(told) < 2:  # noqa: PLR2004
        return next(iter(told), None)
    return lambda envelope: next(filter(None, (spent(envelope) for spent in told)), None)
