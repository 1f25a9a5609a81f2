"""Prompts that are read together, chunk by chunk, and which of them are read next.

Suffixes: B batch, T tokens of a chunk, W tokens of the longest prompt, V vocabulary.
"""

# ruff: noqa: N806  shape suffixes in names

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from agents.llm.engines.forward import Forward

GROUP_TOKENS = 2048
_PADDING_SHARE = 1.3
_PADDING_TOKENS = 64

S = TypeVar("S")


class Reading(Generic[S]):
    """Tokens on their way into a cache of their own: one row for each state.

    Args:
        states: whose tokens they are.
        tokens: what is to be read, per state; shorter ones are padded on the left.
        make_cache: makes the cache when the reading begins; it makes None to read everything at
            once and remember nothing.
        past: how many tokens that cache holds already; only for a single state.
    """

    def __init__(
        self,
        states: Sequence[S],
        tokens: Sequence[Sequence[int]],
        make_cache: Callable[[], Any],
        past: int = 0,
    ) -> None:
        assert past == 0 or len(states) == 1
        self.states = list(states)
        self.lengths = [past + len(ids) for ids in tokens]
        self.cache: Any = None
        self._make_cache = make_cache
        self._past = past
        width = max(map(len, tokens))
        self._ids_BW = torch.zeros((len(tokens), width), dtype=torch.long)
        for row, ids in enumerate(tokens):
            self._ids_BW[row, width - len(ids) :] = torch.tensor(ids)
        self._padding_B = torch.tensor([width - len(ids) for ids in tokens])
        self._is_padded = len(set(self.lengths)) > 1
        self._at = 0

    @property
    def remaining(self) -> int:
        """How many tokens have not been read, padding included."""
        return self._ids_BW.shape[0] * (self._ids_BW.shape[1] - self._at)

    def read(self, forward: Forward, budget: int | None) -> Tensor | None:
        """Read the next chunk, of about `budget` tokens; the last one gives the next scores."""
        rows, width = self._ids_BW.shape
        after = width if budget is None else min(width, self._at + max(1, budget // rows))
        if self._at == 0:
            self.cache = self._make_cache()
        ids_BT = self._ids_BW[:, self._at : after].to(forward.device)
        positions_BT, is_token_BK = self._positions(after)
        mask_BK = is_token_BK.to(forward.device) if self._is_padded else None
        logits_BV = forward(ids_BT, positions_BT.to(forward.device), self.cache, mask_BK)
        self._at = after
        return logits_BV if after == width else None

    def _positions(self, after: int) -> tuple[Tensor, Tensor]:
        """Where the next tokens stand in their rows, and which of all tokens are no padding."""
        padding_B1 = self._padding_B[:, None]
        positions_BT = torch.arange(self._at, after)[None] - padding_B1 + self._past
        mask_BK = torch.arange(after)[None] >= padding_B1
        return positions_BT.clamp(min=0), mask_BK


def group_by_length(states: Iterable[S], length: Callable[[S], int]) -> list[list[S]]:
    """Groups in which padding costs little, the shortest first."""
    groups: list[list[S]] = []
    total = 0
    for state in sorted(states, key=length):
        longest = length(state)
        total += longest
        if groups:
            padded = longest * (len(groups[-1]) + 1)
            if padded <= min(GROUP_TOKENS, _PADDING_SHARE * total + _PADDING_TOKENS):
                groups[-1].append(state)
                continue
        groups.append([state])
        total = longest
    return groups


class Turns(Generic[S]):
    """Whose prompt is read next: by turns the one that is done soonest, and the oldest.

    So short prompts pass long ones, and no prompt waits for ever.
    """

    def __init__(self) -> None:
        self.readings: list[Reading[S]] = []  # the oldest first
        self._takes_oldest = False

    def __len__(self) -> int:
        return len(self.readings)

    def add(self, reading: Reading[S]) -> None:
        self.readings.append(reading)

    def next(self) -> Reading[S]:
        """One that has tokens left; there must be one."""
        self._takes_oldest = not self._takes_oldest
        if not self._takes_oldest:
            return self.readings[0]
        return min(self.readings, key=lambda reading: reading.remaining)

    def remove(self, reading: Reading[S]) -> None:
        self.readings.remove(reading)

    def drop(self, is_superfluous: Callable[[Reading[S]], bool]) -> None:
        self.readings = [r for r in self.readings if not is_superfluous(r)]
