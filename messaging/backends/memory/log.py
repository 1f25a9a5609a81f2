"""The entries of topics: durable ones owed to groups, ephemeral ones that expire."""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from itertools import islice

from messaging.backend import Delivery, Entry
from messaging.backends.memory.group import Group

NEWEST_ID = "g"  # behind every id


class Log:
    """One durable topic.

    Attributes:
        owed: by position, how many groups have yet to settle the entry.
        groups: who gets the next entry.
        keep_unclaimed: how many settled entries stay for observers until the next `trim`.
    """

    def __init__(self, groups: list[Group], keep_unclaimed: int) -> None:
        self.entries: deque[Delivery] = deque()
        self.owed: dict[str, int] = {}
        self.groups = groups
        self.keep_unclaimed = keep_unclaimed

    def append(self, delivery: Delivery) -> None:
        self.entries.append(delivery)
        groups = self.groups
        if groups:
            self.owed[delivery.place[1]] = len(groups)
            for group in groups:
                group.ready.append(delivery)
        if len(self.entries) > self.keep_unclaimed:
            self._drop_settled(self.keep_unclaimed)

    def settle(self, position: str) -> None:
        left = self.owed[position] - 1
        if left:
            self.owed[position] = left
        else:
            del self.owed[position]

    def trim(self, oldest_id: str) -> int:
        """Drop what is settled, except what was made since `oldest_id`."""
        return self._drop_settled(0 if self.groups else self.keep_unclaimed, oldest_id)

    def make_room(self, count: int, limit: int) -> None:
        """Drop settled entries, oldest first, until `count` more stay within `limit`."""
        self._drop_settled(max(0, limit - count))

    def _drop_settled(self, keep: int, oldest_id: str = NEWEST_ID) -> int:
        entries, before = self.entries, len(self.entries)
        while len(entries) > keep and entries[0].place[1] not in self.owed:
            if entries[0].envelope.id >= oldest_id:
                break
            entries.popleft()
        return before - len(entries)


class EphemeralLog:
    """One ephemeral topic: bounded, without groups, gone after `expires_at`."""

    def __init__(self, expires_at: float, max_entries: int) -> None:
        self.entries: deque[Delivery] = deque(maxlen=max_entries)
        self.expires_at = expires_at

    def append(self, delivery: Delivery) -> None:
        self.entries.append(delivery)


class EphemeralLogs:
    """The ephemeral topics that somebody opened and that have not expired."""

    def __init__(self) -> None:
        self._logs: dict[str, EphemeralLog] = {}
        self._purge_at = 64

    def open(self, topic: str, now: float, ttl_s: float, max_entries: int) -> None:
        log = self.find(topic, now)
        if log is None or log.entries.maxlen != max_entries:
            kept = log.entries if log else ()
            log = self._logs[topic] = EphemeralLog(now, max_entries)
            log.entries.extend(kept)
        log.expires_at = now + ttl_s
        if len(self._logs) >= self._purge_at:
            self._purge(now)

    def close(self, topic: str) -> None:
        self._logs.pop(topic, None)

    def find(self, topic: str, now: float) -> EphemeralLog | None:
        log = self._logs.get(topic)
        return log if log is not None and now < log.expires_at else None

    def _purge(self, now: float) -> None:
        self._logs = {topic: log for topic, log in self._logs.items() if now < log.expires_at}
        self._purge_at = 2 * len(self._logs) + 64  # amortised: one look per topic opened


def entries_after(entries: deque[Delivery], position: str, max_count: int) -> list[Entry]:
    """Up to `max_count` entries behind `position`; found from the end on if it is near there."""
    newest: list[Delivery] = []
    for delivery in islice(reversed(entries), min(max_count, len(entries)) + 1):
        if delivery.position <= position:
            break
        newest.append(delivery)
    found: Iterable[Delivery] = reversed(newest)
    if len(newest) > max_count:
        first = bisect_right(entries, position, key=_position)
        found = islice(entries, first, first + max_count)
    return [Entry(delivery.position, delivery.envelope) for delivery in found]


def _position(delivery: Delivery) -> str:
    return delivery.position
