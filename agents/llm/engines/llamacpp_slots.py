"""Which of the server's slots serves which answer: one that has read the prompt's beginning."""

from collections.abc import Sequence

_SHARED = 0.1  # of a prompt, from which on what was read before is worth more than a fresh slot


class Slots:
    """The slots of a server; each remembers what it has read last.

    The server would choose by itself, but an answer that is asked for token by token must find its
    own slot again.
    """

    def __init__(self, count: int) -> None:
        self._read: list[Sequence[int]] = [()] * count
        self._free = list(range(count))  # the one that has been free for longest comes first

    def take(self, prompt_ids: Sequence[int]) -> int:
        """The best free slot for a prompt."""
        best = max(self._free, key=lambda slot: _shared(self._read[slot], prompt_ids))
        if _shared(self._read[best], prompt_ids) < _SHARED * len(prompt_ids):
            best = self._free[0]
        self._free.remove(best)
        self._read[best] = prompt_ids
        return best

    def give_back(self, slot: int) -> None:
        """Leave a slot to others."""
        self._free.append(slot)


def _shared(read: Sequence[int], prompt_ids: Sequence[int]) -> int:
    """The length of their common beginning."""
    pairs = zip(read, prompt_ids, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(read), len(prompt_ids)))
