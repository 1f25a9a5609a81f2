"""Metrics for Prometheus of what this process handles.

Each process counts what it does itself and answers for itself; Prometheus adds them up. They are
no metrics of `prometheus_client`'s own, whose locks cost more than all else here, so its directory
for several processes (`PROMETHEUS_MULTIPROC_DIR`) does not know them.

The number of labels is bounded. Agents and types are known by name only once a handler of theirs
has begun: what strangers send, and nobody handles, is counted as of type `other`. Beyond a number
of each that no guild should need, all is `other`.
"""

import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

from messaging.observing import TIME, Ending, Handled, Handling, Observer, made_at
from messaging.telemetry.spending import Spending, Spent

BOUNDS_S = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
    1800.0,
)  # fmt: skip
MOST_SERIES = 1_000
MOST_ERRORS = 20
OTHER = "other"
_BOUNDS = (*map(str, BOUNDS_S), "+Inf")
_LABELS = ("agent", "type")


class MetricsObserver(Observer):
    """Counts handlings, how long they took and how long messages waited, and tokens.

    Labels are agents, types, outcomes, classes of errors and models, as many as a guild has. An id
    is never one, and what strangers send cannot make them more.

    Args:
        registry: where they can be seen.
        spending: tells what answers of language models have cost, such as
            `agents.llm.spent_on`. It is asked about what handlings that went well have sent.

    Raises:
        ValueError: another observer counts into this registry.
    """

    def __init__(self, registry: CollectorRegistry, *, spending: Spending | None = None) -> None:
        self._spending = spending
        self._series: dict[tuple[str, str], _Series] = {}
        self._tokens = Counter[tuple[str, str, str]]()
        self._lock = threading.Lock()  # buses of several threads may share an observer
        try:
            registry.register(self)
        except ValueError as error:
            raise ValueError(
                "this registry has the metrics of another MetricsObserver: give one observer to "
                "all guilds of a process, or each its own registry"
            ) from error

    def handled(self, group: str, handlings: Sequence[Handled], epoch_s: float) -> None:
        types = {each[0].type for each in handlings}
        with self._lock:
            for type_ in types:
                those = handlings
                if len(types) > 1:
                    those = [each for each in handlings if each[0].type == type_]
                self._named(group, type_).add(those, epoch_s)
        if self._spending is not None:
            self._count_spending(group, handlings, self._spending)

    def ended(self, handling: Handling, ending: Ending, _: None) -> None:
        envelope, agent, attempt, waited_s = handling
        with self._lock:
            if ending.handled_s is None:
                series = self._series.get((agent, envelope.type)) or self._named(agent, OTHER)
            else:
                series = self._named(agent, envelope.type)
                series.took.add([ending.handled_s])
                if attempt == 1 and waited_s is not None:  # a later one has waited for its retry
                    series.waited.add([waited_s])
            series.count(ending.outcome, ending.error)

    def describe(self) -> Iterable[Metric]:
        """Names, by which a registry knows that it has them already."""
        return _families()

    def collect(self) -> Iterator[Metric]:
        """What is counted at this moment."""
        outcomes, handled, waited, tokens = families = _families()
        with self._lock:
            for key, series in self._series.items():
                for (outcome, error), count in series.outcomes.items():
                    outcomes.add_metric((*key, outcome, error), count)
                handled.add_metric(key, *series.took.buckets())
                waited.add_metric(key, *series.waited.buckets())
            for labels, count in self._tokens.items():
                tokens.add_metric(labels, count)
        yield from families

    def _named(self, agent: str, type_: str) -> "_Series":
        """Where to count messages of a type that a handler has begun on, and of the others."""
        key = (agent, type_)
        series = self._series.get(key)
        if series is not None:
            return series
        if len(self._series) >= MOST_SERIES:
            key = (agent, OTHER)
        if key not in self._series and len(self._series) >= 2 * MOST_SERIES:
            key = (OTHER, OTHER)
        return self._series.setdefault(key, _Series())

    def _count_spending(self, agent: str, handlings: Sequence[Handled], spending: Spending) -> None:
        """Each answer once, also one that goes to several topics."""
        told = {
            (envelope.id, spent)
            for envelope, _, outbox, _, _ in handlings
            if outbox
            for sent in outbox
            if (spent := spending(sent)) is not None
        }
        for _, spent in told:
            self._count_tokens(agent, spent)

    def _count_tokens(self, agent: str, spent: Spent) -> None:
        kinds = (
            ("input", spent.input_tokens),
            ("output", spent.output_tokens),
            ("cached", spent.cached_tokens),
        )
        model = spent.model
        with self._lock:
            if (agent, model, "input") not in self._tokens and len(self._tokens) >= MOST_SERIES:
                agent = model = OTHER
            for kind, count in kinds:
                self._tokens[agent, model, kind] += count


class _Seconds:
    """A histogram; the last of its counts is of what lies beyond all bounds."""

    __slots__ = ("_counts", "_total_s")

    def __init__(self) -> None:
        self._counts = [0] * len(_BOUNDS)
        self._total_s = 0.0

    def add(self, seconds: list[float]) -> None:
        """Count these, and leave them sorted."""
        seconds.sort()
        self._total_s += sum(seconds)
        counted = 0
        for place, bound in enumerate(BOUNDS_S):
            if counted == len(seconds):
                return
            below = bisect_right(seconds, bound, counted)
            self._counts[place] += below - counted
            counted = below
        self._counts[-1] += len(seconds) - counted

    def buckets(self) -> tuple[Sequence[tuple[str, float]], float]:
        """How many lie below each bound, and the sum of all."""
        return tuple(zip(_BOUNDS, accumulate(self._counts), strict=True)), self._total_s


class _Series:
    """The handlings of one type by one agent.

    Attributes:
        outcomes: how many, by what became of the message and the class of the error.
        took: seconds of the handlers.
        waited: seconds before the first attempt.
    """

    __slots__ = ("outcomes", "took", "waited")

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.took = _Seconds()
        self.waited = _Seconds()

    def add(self, handlings: Sequence[Handled], epoch_s: float) -> None:
        """Count what went well."""
        self.outcomes["handled", ""] += len(handlings)
        self.took.add([ended_s - begun_s for _, _, _, begun_s, ended_s in handlings])
        self.waited.add(
            [
                waited_s if (waited_s := begun_s + epoch_s - made_s) > 0 else 0.0
                for envelope, attempt, _, begun_s, _ in handlings
                if attempt == 1 and (made_s := made_at(envelope.id[TIME]))
            ]
        )

    def count(self, outcome: str, error: BaseException | None) -> None:
        key = (outcome, "" if error is None else type(error).__name__)
        if key not in self.outcomes and len(self.outcomes) >= MOST_ERRORS:
            key = (outcome, OTHER)
        self.outcomes[key] += 1


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
