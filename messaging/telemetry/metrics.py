"""Metrics for Prometheus of what this process handles.

Each process counts what it does itself and answers for itself; Prometheus adds them up. They are
no metrics of `prometheus_client`'s own, whose locks cost more than all else here, so its directory
for several processes (`PROMETHEUS_MULTIPROC_DIR`) does not know them.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

from messaging.observing import Ending, Handling, Observer, Observers
from messaging.telemetry.series import BOUNDS_S, Handlings, Seconds, Tokens
from messaging.telemetry.spending import Spending, Spent
from messaging.wire.envelope import Envelope

_LABELS = ("agent", "type")
_BOUNDS = (*map(str, BOUNDS_S), "+Inf")


class MetricsObserver(Observers):
    """Counts handlings, how long they took and how long messages waited, and tokens.

    Labels are agents, types, outcomes, classes of errors and models, as many as a guild has. An id
    is never one, and what strangers send cannot make them more.

    Args:
        registry: where they can be seen.
        spending: tells what answers of language models have cost, such as
            `agents.llm.spent_on`.

    Raises:
        ValueError: another observer counts into this registry.
    """

    def __init__(self, registry: CollectorRegistry, *, spending: Spending | None = None) -> None:
        handlings, tokens = Handlings(), Tokens()
        counting: list[Observer] = [_CountsHandlings(handlings)]
        if spending is not None:
            counting.append(_CountsTokens(tokens, spending))
        super().__init__(*counting)
        try:
            registry.register(_Collector(handlings, tokens))
        except ValueError as error:
            raise ValueError(
                "this registry has the metrics of another MetricsObserver: give one observer to "
                "all guilds of a process, or each its own registry"
            ) from error


class _CountsHandlings(Observer):
    def __init__(self, handlings: Handlings) -> None:
        self._handlings = handlings

    def ended(self, handling: Handling, ending: Ending, _: None) -> None:
        envelope, agent, attempt, waited_s = handling
        outcome, error, handled_s = ending
        if handled_s is None:
            self._handlings.unknown(agent, envelope.type).count(outcome, error)
            return
        series = self._handlings.get((agent, envelope.type))
        if series is None:
            series = self._handlings.known(agent, envelope.type)
        took, waited = series.took, series.waited
        took.counts[bisect_left(BOUNDS_S, handled_s)] += 1
        took.total_s += handled_s
        if attempt == 1 and waited_s is not None:  # a later one has waited for its retry
            waited.counts[bisect_left(BOUNDS_S, waited_s)] += 1
            waited.total_s += waited_s
        if error is None and outcome == "handled":
            series.handled += 1
        else:
            series.count(outcome, error)


class _CountsTokens(Observer):
    """Counts each answer once, also one that goes to several topics."""

    def __init__(self, tokens: Tokens, spending: Spending) -> None:
        self._tokens = tokens
        self._spending = spending
        self._counted: dict[tuple[str, str], set[Spent]] = {}

    def sealed(self, envelope: Envelope) -> str:
        spent = self._spending(envelope) if envelope.cause else None
        if spent is not None:
            counted = self._counted.setdefault((envelope.sender, envelope.cause), set())
            if spent not in counted:
                counted.add(spent)
                self._count(envelope.sender, spent)
        return envelope.trace

    def ended(self, handling: Handling, _: Ending, __: None) -> None:
        if self._counted:
            self._counted.pop((handling.group, handling.envelope.id), None)

    def _count(self, agent: str, spent: Spent) -> None:
        kinds = (
            ("input", spent.input_tokens),
            ("output", spent.output_tokens),
            ("cached", spent.cached_tokens),
        )
        self._tokens.add(agent, spent.model, kinds)


class _Collector:
    def __init__(self, handlings: Handlings, tokens: Tokens) -> None:
        self._handlings = handlings
        self._tokens = tokens

    def describe(self) -> Iterable[Metric]:
        """Names, by which a registry knows that it has them already."""
        return _families()

    def collect(self) -> Iterator[Metric]:
        outcomes, handled, waited, tokens = _families()
        for key, series in tuple(self._handlings.items()):
            for (outcome, error), count in series.outcomes.items():
                outcomes.add_metric((*key, outcome, error), count)
            handled.add_metric(key, *_histogram(series.took))
            waited.add_metric(key, *_histogram(series.waited))
        for labels, count in self._tokens:
            tokens.add_metric(labels, count)
        yield from (outcomes, handled, waited, tokens)


def _families() -> tuple[
    CounterMetricFamily, HistogramMetricFamily, HistogramMetricFamily, CounterMetricFamily
]:
    return (
        CounterMetricFamily(
            "guildbus_handlings",
            "Handlings by what became of the message: handled, retried, dead_lettered and so on.",
            labels=(*_LABELS, "outcome", "error"),
        ),
        HistogramMetricFamily(
            "guildbus_handling_seconds", "Seconds that handlers took.", labels=_LABELS
        ),
        HistogramMetricFamily(
            "guildbus_queue_seconds",
            "Seconds from when a message was made until its first handling; delays count.",
            labels=_LABELS,
        ),
        CounterMetricFamily(
            "guildbus_tokens",
            "Tokens that answers of language models cost; cached ones are input, too.",
            labels=("agent", "model", "kind"),
        ),
    )


def _histogram(seconds: Seconds) -> tuple[Sequence[tuple[str, float]], float]:
    below = accumulate(seconds.counts)
    return tuple(zip(_BOUNDS, below, strict=True)), seconds.total_s
