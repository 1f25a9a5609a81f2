"""Which replicas have died, as far as one of them can tell by its own clock."""

from collections.abc import Mapping

from messaging.backends.incarnation import has_surely_died

LOOKS_PER_LEASE = 4
UNREGISTERED = -1


class Watch:
    """Counts for how long each incarnation has not beaten while we were looking.

    Time in which this process itself was stopped or blocked does not count: otherwise processes
    that wake up together would declare each other dead.
    """

    def __init__(self, own: str, lease_s: float) -> None:
        self._own = own
        self._lease_s = lease_s
        self._most_per_look_s = 1.5 * lease_s / LOOKS_PER_LEASE
        self._looked_at: float | None = None
        self._beats: dict[str, int] = {}
        self._silent_s: dict[str, float] = {}

    def look(self, beats: Mapping[str, int], now_s: float) -> list[str]:
        """Which incarnations to take over, given each one's count of beats at `now_s`.

        Those that hold deliveries without being registered (-1) need no waiting, nor do those
        whose process is known to be gone.
        """
        since_s = 0.0 if self._looked_at is None else now_s - self._looked_at
        self._looked_at = now_s
        seen_s = min(since_s, self._most_per_look_s)
        self._silent_s = {
            name: self._silent_s.get(name, 0.0) + seen_s if self._beats.get(name) == count else 0.0
            for name, count in beats.items()
            if name != self._own
        }
        self._beats = dict(beats)
        return [
            name
            for name, silent_s in self._silent_s.items()
            if silent_s >= self._lease_s or beats[name] == UNREGISTERED or has_surely_died(name)
        ]
