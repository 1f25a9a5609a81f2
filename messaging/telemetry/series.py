"""What has been counted in this process, under labels whose number is bounded.

Agents and types are known by name only once a handler of theirs has begun: what strangers send, and
nobody handles, is counted as of type `other`. Beyond a number of each that no guild should need,
all is `other`.

Each thread counts for itself, and what all have counted is added up when it is asked for: so
nothing waits, and nothing is lost.
"""

import threading
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

BOUNDS_S = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
    1800.0,
)  # fmt: skip
MOST_SERIES = 1_000
MOST_ERRORS = 20
OTHER = "other"


class Seconds:
    """A histogram; the last of its counts is of what lies beyond all bounds."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.total_s = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds

    def include(self, others: "Seconds") -> None:
        self.counts = [one + other for one, other in zip(self.counts, others.counts, strict=True)]
        self.total_s += others.total_s


class Series:
    """The handlings of one type by one agent.

    Attributes:
        outcomes: by what became of the message, and the class of the error.
    """

    __slots__ = ("handled", "outcomes", "waited")

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, str], int] = {}
        self.handled = Seconds()
        self.waited = Seconds()

    def count(self, outcome: str, error: BaseException | None) -> None:
        key = (outcome, "" if error is None else type(error).__name__)
        if key not in self.outcomes and len(self.outcomes) >= MOST_ERRORS:
            key = (outcome, OTHER)
        self.outcomes[key] = self.outcomes.get(key, 0) + 1

    def include(self, other: "Series") -> None:
        for key, count in tuple(other.outcomes.items()):
            self.outcomes[key] = self.outcomes.get(key, 0) + count
        self.handled.include(other.handled)
        self.waited.include(other.waited)


Key = tuple[str, str]
"""Agent and type."""


class _Own(threading.local):
    """What one thread has counted."""

    def __init__(self, everybody: "list[dict[Key, Series]]") -> None:
        self.series: dict[Key, Series] = {}
        everybody.append(self.series)  # outlives the thread: a counter never goes back


class Handlings:
    """The handlings of this process, by agent and type."""

    def __init__(self) -> None:
        self._all: list[dict[Key, Series]] = []
        self._own = _Own(self._all)

    def of(self, agent: str, type_: str, *, is_known: bool) -> Series:
        """Where this thread counts them.

        Args:
            agent: who handles.
            type_: wire name.
            is_known: whether a handler has begun on it.
        """
        own = self._own.series
        series = own.get((agent, type_))
        if series is not None:
            return series
        key = (agent, type_ if is_known and len(own) < MOST_SERIES else OTHER)
        if key not in own and len(own) >= 2 * MOST_SERIES:
            key = (OTHER, OTHER)
        return own.setdefault(key, Series())

    def __iter__(self) -> Iterator[tuple[Key, Series]]:
        """What all threads have counted until now."""
        total: defaultdict[Key, Series] = defaultdict(Series)
        for own in tuple(self._all):
            for key, series in tuple(own.items()):
                total[key].include(series)
        yield from total.items()


class Tokens:
    """Tokens that answers of language models have cost, by agent, model and kind."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # once for each answer of a model
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def add(self, agent: str, model: str, kinds: Sequence[tuple[str, int]]) -> None:
        with self._lock:
            if (agent, model, kinds[0][0]) not in self._counts and len(self._counts) >= MOST_SERIES:
                agent = model = OTHER
            for kind, count in kinds:
                self._counts[agent, model, kind] += count

    def __iter__(self) -> Iterator[tuple[tuple[str, str, str], int]]:
        with self._lock:
            counts = tuple(self._counts.items())
        yield from counts
