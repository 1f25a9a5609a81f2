"""What has been counted in this process, under labels whose number is bounded.

Agents and types are known by name only once a handler of theirs has begun: what strangers send, and
nobody handles, is counted as of type `other`. Beyond a number of each that no guild should need,
all is `other`.

Several threads may count. Where most is counted none waits for another: Python parts no line that
adds to what it reads, as long as it calls nothing in between.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

BOUNDS_S = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
    1800.0,
)  # fmt: skip
MOST_SERIES = 1_000
MOST_ERRORS = 20
OTHER = "other"
_HANDLED = ("handled", "")


class Seconds:
    """A histogram; the last of its counts is of what lies beyond all bounds."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.total_s = 0.0


class Series:
    """The handlings of one type by one agent.

    Attributes:
        handled: how often a message was handled, which is by far the most frequent outcome.
        took: seconds of the handlers.
        waited: seconds before the first attempt.
    """

    __slots__ = ("_lock", "_others", "handled", "took", "waited")

    def __init__(self) -> None:
        self.took = Seconds()
        self.waited = Seconds()
        self.handled = 0
        self._others: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def count(self, outcome: str, error: BaseException | None) -> None:
        """One of any other outcome."""
        key = (outcome, "" if error is None else type(error).__name__)
        with self._lock:
            if key not in self._others and len(self._others) >= MOST_ERRORS:
                key = (outcome, OTHER)
            self._others[key] += 1

    @property
    def outcomes(self) -> Mapping[tuple[str, str], int]:
        """By what became of the message, and the class of the error."""
        with self._lock:
            others = dict(self._others)
        return {_HANDLED: self.handled, **others} if self.handled else others


Key = tuple[str, str]
"""Agent and type."""


class Handlings(dict[Key, Series]):
    """The handlings of this process, by agent and type."""

    def known(self, agent: str, type_: str) -> Series:
        """Where to count those of a type that a handler has begun on."""
        key = (agent, type_ if len(self) < MOST_SERIES else OTHER)
        return self.setdefault(key if key in self or self._has_room else (OTHER, OTHER), Series())

    def unknown(self, agent: str, type_: str) -> Series:
        """Where to count what comes to no handler."""
        return self.get((agent, type_)) or self.known(agent, OTHER)

    @property
    def _has_room(self) -> bool:
        return len(self) < 2 * MOST_SERIES


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
