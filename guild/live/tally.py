"""Sums up what was handled in a second; how much that may hold is bounded whatever is handled."""

from collections import Counter
from collections.abc import Sequence

from guild.live.messages import Activity, Spread
from messaging.observing import Ending, Handling, Outcome

MOST_ACTIVITIES = 500
MOST_NAMES = 50
MOST_SAMPLES = 256
LONGEST_NAME = 200

OTHERS = ""
"""Stands for all types, senders or errors beyond the most that are named."""


class Tally:
    """What was handled since it was made."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], _Kind] = {}

    def add(self, handling: Handling, ending: Ending) -> None:
        """Count one, and how long it took."""
        envelope, error = handling.envelope, ending.error
        kind = self._kind(handling.group, envelope.type)
        kind.outcomes[ending.outcome] += 1
        kind.senders[_named(kind.senders, envelope.sender)] += 1
        if error is not None:
            kind.errors[_named(kind.errors, type(error).__name__)] += 1
        self.time(handling, ending)

    def count(self, group: str, type_: str, sender: str, number: int) -> None:
        """Count so many that were handled."""
        kind = self._kind(group, type_)
        kind.outcomes["handled"] += number
        kind.senders[_named(kind.senders, sender)] += number

    def time(self, handling: Handling, ending: Ending) -> None:
        """Take how long one took that is counted."""
        if ending.handled_s is not None:
            kind = self._kind(handling.group, handling.envelope.type)
            kind.handled_s.add(ending.handled_s)
            if handling.waited_s is not None:
                kind.waited_s.add(handling.waited_s)

    def activities(self) -> Sequence[Activity]:
        return [
            Activity(
                agent=agent,
                type=type_[:LONGEST_NAME],
                outcomes=dict(kind.outcomes),
                errors=dict(kind.errors),
                senders=dict(kind.senders),
                waited_s=kind.waited_s.spread(),
                handled_s=kind.handled_s.spread(),
            )
            for (agent, type_), kind in self._kinds.items()
        ]

    def _kind(self, group: str, type_: str) -> "_Kind":
        kind = self._kinds.get((group, type_))
        if kind is None:
            if len(self._kinds) >= MOST_ACTIVITIES:
                type_ = OTHERS  # there are no more agents than a spec has
            kind = self._kinds.setdefault((group, type_), _Kind())
        return kind


class _Kind:
    """Messages of one type at one agent."""

    __slots__ = ("errors", "handled_s", "outcomes", "senders", "waited_s")

    def __init__(self) -> None:
        self.outcomes = Counter[Outcome]()
        self.senders = Counter[str]()
        self.errors = Counter[str]()
        self.waited_s = _Seconds()
        self.handled_s = _Seconds()


class _Seconds:
    """Adds up seconds, and keeps each of them or, of many, one out of so many."""

    __slots__ = ("_count", "_max", "_sample", "_stride", "_sum")

    def __init__(self) -> None:
        self._count, self._stride = 0, 1
        self._sum = self._max = 0.0
        self._sample: list[float] = []

    def add(self, seconds: float) -> None:
        if self._count % self._stride == 0:
            self._sample.append(seconds)
            if len(self._sample) > MOST_SAMPLES:
                self._sample = self._sample[::2]
                self._stride *= 2
        self._count += 1
        self._sum += seconds
        self._max = max(self._max, seconds)

    def spread(self) -> Spread | None:
        if not self._count:
            return None
        ordered = sorted(self._sample)
        return Spread(
            count=self._count,
            sum_s=self._sum,
            max_s=self._max,
            p50_s=_percentile(ordered, 50),
            p95_s=_percentile(ordered, 95),
        )


def _percentile(ordered: Sequence[float], percent: int) -> float:
    """The nearest-rank one."""
    return ordered[-(-len(ordered) * percent // 100) - 1]


def _named(names: Counter[str], name: str) -> str:
    """What to count `name` as."""
    if name in names:
        return name
    return name[:LONGEST_NAME] if len(names) < MOST_NAMES else OTHERS
