"""What a process has learnt of a group's keys: which types only read them, which are contested."""

import asyncio
from collections.abc import Collection, Iterable

READS_OF_A_READER = 3
READS_AFTER_A_CONFLICT = 256
MOST_REMEMBERED = 1_000
CONTESTED_S = 2.0


class Readers:
    """Which types of message leave a key as it was: those that did so three times in a row."""

    def __init__(self) -> None:
        self._reads: dict[tuple[str, str], int] = {}  # by type and key, in a row

    def has(self, type_: str, key: str) -> bool:
        """Whether handlings of `type_` read `key` without a turn."""
        return self._reads.get((type_, key), 0) >= READS_OF_A_READER

    def learn(self, type_: str, read: Iterable[str], written: Collection[str]) -> list[str]:
        """A handling of `type_` has `read` and `written` these: what it only reads from now on."""
        only_read = []
        for key in read:
            if key in written and not self._reads:
                continue
            reads = self._reads.pop((type_, key), 0)
            if key in written:
                if reads < 0:
                    self._remember(type_, key, reads)
                continue
            self._remember(type_, key, reads + 1)
            if reads + 1 == READS_OF_A_READER:
                only_read.append(key)
        return only_read

    def conflicted(self, type_: str, key: str) -> None:
        """A handling of `type_` has written `key` after all: it needs turns for a good while."""
        self._remember(type_, key, READS_OF_A_READER - READS_AFTER_A_CONFLICT)

    def _remember(self, type_: str, key: str, reads: int) -> None:
        if len(self._reads) >= MOST_REMEMBERED:
            del self._reads[next(iter(self._reads))]
        self._reads[type_, key] = reads


class Contested:
    """The keys that another process has written to lately."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def add(self, key: str) -> None:
        now = asyncio.get_running_loop().time()
        if len(self._until) >= MOST_REMEMBERED:
            self._until = {key: end for key, end in self._until.items() if end > now}
        self._until[key] = now + CONTESTED_S

    def __contains__(self, key: str) -> bool:
        ends_at = self._until.get(key) if self._until else None
        if ends_at is None:
            return False
        if ends_at < asyncio.get_running_loop().time():
            del self._until[key]
            return False
        return True
