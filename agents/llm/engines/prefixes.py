"""Beginnings of texts that a model has read before, so that it need not read them again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agents.llm.engines import snapshot
from agents.llm.engines.snapshot import Snapshot

MIN_TOKENS = 32  # shorter ones are read again sooner than they are looked for
_MOST_TEXTS = 4096  # each is compared with each new prompt, whether it is in memory or in a file

Ids = NDArray[np.int64]


class PrefixFiles(Protocol):
    """Where beginnings outlive the process."""

    def known(self) -> list[Ids]:
        """The texts of which there are snapshots, the least recently used first."""
        ...

    def load(self, ids: Ids) -> Snapshot | None:
        """A snapshot; None where it is missing or damaged."""
        ...

    def save(self, ids: Ids, taken: Snapshot) -> None:
        """Keep a snapshot; other readers see all of it or nothing."""
        ...


@dataclass(frozen=True)
class Found:
    """The first `length` tokens of a text, which had been read."""

    length: int
    taken: Snapshot


@dataclass(eq=False)
class _Entry:
    ids: Ids
    taken: Snapshot | None  # None: it is in a file and was not needed yet
    is_filed: bool = False

    @property
    def nbytes(self) -> int:
        return snapshot.size(self.taken) if self.taken else 0


class Prefixes:
    """The snapshots of a model, the least recently used given up first.

    A beginning that two texts share is kept in a file, where there are `files`; with
    `files_prompts` every prompt is, too.

    Args:
        max_bytes: what they may occupy in memory; 0 keeps none.
        can_crop: whether a snapshot serves each shorter beginning of its text, too.
        files: where beginnings outlive the process.
        files_prompts: whether prompts are kept there before another text shares them.
    """

    def __init__(
        self,
        max_bytes: int,
        *,
        can_crop: bool,
        files: PrefixFiles | None = None,
        files_prompts: bool = False,
    ) -> None:
        self._max_bytes = max_bytes
        self._can_crop = can_crop
        self._files = files
        self._files_prompts = files_prompts
        self._filed: list[Ids] = files.known() if files is not None and max_bytes else []
        # The least recently used first.
        self._entries = [_Entry(ids, None, is_filed=True) for ids in self._filed]
        self.nbytes = 0

    def find(self, token_ids: Sequence[int]) -> Found | None:
        """The longest known beginning, which leaves at least one token to be read."""
        ids = np.asarray(token_ids, dtype=np.int64)
        while best := self._best(ids):
            length, entry = best
            taken = self._loaded(entry)
            if taken is None:
                self._entries.remove(entry)
                self._filed = [filed for filed in self._filed if filed is not entry.ids]
                continue
            self._entries.remove(entry)
            self._entries.append(entry)
            if length < len(entry.ids):
                taken = snapshot.crop(taken, length)
            self._file(entry, ids[:length], taken)
            self._shrink()
            return Found(length, taken)
        return None

    def shared(self, token_ids: Sequence[int]) -> int:
        """How many first tokens a text shares with one that was read, though none can be used."""
        ids = np.asarray(token_ids, dtype=np.int64)
        longest = max((_common(ids, entry.ids) for entry in self._entries), default=0)
        return min(longest, len(ids) - 1) if longest >= MIN_TOKENS and not self._can_crop else 0

    def add(
        self, token_ids: Sequence[int], take: Callable[[], Snapshot], *, is_prompt: bool = False
    ) -> None:
        """Remember a text that has been read."""
        ids = np.asarray(token_ids, dtype=np.int64)
        if len(ids) < MIN_TOKENS or not self._max_bytes or self._has(ids):
            return
        entry = _Entry(ids, taken := take())
        if is_prompt and self._files_prompts:
            self._file(entry, ids, taken)
        if self._can_crop:  # what the new one covers is superfluous
            self._entries = [
                e for e in self._entries if e.is_filed or _common(ids, e.ids) < len(e.ids)
            ]
        self._entries.append(entry)
        self._shrink()

    def clear(self) -> None:
        """Give up what is in memory."""
        for entry in self._entries:
            entry.taken = None
        self._entries = [entry for entry in self._entries if entry.is_filed]
        self.nbytes = 0

    def _has(self, ids: Ids) -> bool:
        return any(
            _common(ids, entry.ids) == len(ids) and (self._can_crop or len(entry.ids) == len(ids))
            for entry in self._entries
        )

    def _best(self, ids: Ids) -> tuple[int, _Entry] | None:
        best: tuple[int, _Entry] | None = None
        for entry in self._entries:
            length = min(_common(ids, entry.ids), len(ids) - 1)
            if length < MIN_TOKENS or (length < len(entry.ids) and not self._can_crop):
                continue
            if best is None or length > best[0]:
                best = length, entry
        return best

    def _loaded(self, entry: _Entry) -> Snapshot | None:
        if entry.taken is None and self._files is not None:
            entry.taken = self._files.load(entry.ids)
        return entry.taken

    def _file(self, entry: _Entry, ids: Ids, taken: Snapshot) -> None:
        if self._files is None or entry.is_filed:
            return
        filed = max((self._served(ids, other) for other in self._filed), default=0)
        if len(ids) - filed >= MIN_TOKENS:  # else hardly more than what is filed already
            entry.is_filed = len(ids) == len(entry.ids)
            self._files.save(ids, taken)
            self._filed.append(ids)

    def _served(self, ids: Ids, filed: Ids) -> int:
        """How many of the first tokens a filed text spares."""
        common = _common(ids, filed)
        return common if self._can_crop or common == len(filed) else 0

    def _shrink(self) -> None:
        del self._entries[:-_MOST_TEXTS], self._filed[:-_MOST_TEXTS]
        self.nbytes = sum(entry.nbytes for entry in self._entries)
        for entry in list(self._entries):
            if self.nbytes <= self._max_bytes:
                return
            self.nbytes -= entry.nbytes
            if entry.is_filed:
                entry.taken = None
            else:
                self._entries.remove(entry)


def _common(a: Ids, b: Ids) -> int:
    length = min(len(a), len(b))
    differing = np.flatnonzero(a[:length] != b[:length])
    return int(differing[0]) if differing.size else length
