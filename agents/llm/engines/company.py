"""Answers that are decoded together: one forward for all of them at each step.

Suffixes: B batch, K columns, V vocabulary.
"""

# ruff: noqa: N803, N806  shape suffixes in names

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from agents.llm.engines.answer import Answer
from agents.llm.engines.forward import Forward
from agents.llm.engines.pool import Pool
from agents.llm.engines.snapshot import Snapshot, take

Scores = Tensor | Exception  # of the next tokens, one row for each answer
Scored = tuple[list[Answer], Scores]


class Company:
    """Answers in the rows of a pool; they come and go between steps."""

    def __init__(self, forward: Forward, pool: Pool) -> None:
        self._forward = forward
        self._pool = pool
        self.answers: list[Answer] = []  # by row

    def __len__(self) -> int:
        return len(self.answers)

    @property
    def nbytes(self) -> int:
        return self._pool.nbytes

    def join(self, answers: Sequence[Answer], cache: Any, rows: Sequence[int]) -> None:
        """Take in answers, whose tokens are these rows of `cache`."""
        lengths = [answer.read for answer in answers]
        self._pool.join(cache, list(zip(rows, lengths, strict=True)))
        for answer in answers:
            answer.row = len(self.answers)
            self.answers.append(answer)

    def leave(self, answer: Answer) -> None:
        """Let go of an answer."""
        row = answer.row
        assert row is not None
        self._pool.leave(row)
        last = self.answers.pop()
        if last is not answer:
            self.answers[row], last.row = last, row
        answer.row = None

    def take(self, answer: Answer) -> Snapshot:
        """A copy of what has been read of an answer."""
        assert answer.row is not None
        cache = self._forward.new_cache()
        self._pool.extract(answer.row, cache)
        return take(cache, 0, answer.read)

    def extract(self, answer: Answer) -> Any:
        """Let go of an answer; what it has read, in a cache of its own."""
        assert answer.row is not None
        cache = self._forward.new_cache()
        self._pool.extract(answer.row, cache)
        self.leave(answer)
        return cache

    def decode(self) -> list[Scored]:
        """Read one token more of each answer."""
        if not self.answers:
            return []
        try:
            self._pool.make_room()
        except Exception as error:  # noqa: BLE001  the newest one makes room for the others
            return [([self.answers[-1]], error)]
        device = self._forward.device
        ids = [[answer.ids[answer.read]] for answer in self.answers]
        ids_B1 = torch.tensor(ids, device=device)
        starts_B1 = torch.tensor([[start] for start in self._pool.starts], device=device)
        scored = list(self._halved(ids_B1, starts_B1, 0, len(self.answers)))
        self._pool.advance()
        for answer in self.answers:
            answer.read += 1
        return scored

    def _halved(
        self, ids_B1: Tensor, starts_B1: Tensor, first: int, after: int
    ) -> Iterator[Scored]:
        """All rows at once; where that fails, halves of them, down to the row that is to blame."""
        answers = self.answers[first:after]
        scores: Scores
        try:
            scores = self._rows(ids_B1, starts_B1, first, after)
        except Exception as error:  # noqa: BLE001  fails one row, not those beside it
            scores = error
        if isinstance(scores, Tensor) or len(answers) == 1:
            yield answers, scores
            return
        torch.cuda.empty_cache()
        middle = (first + after) // 2
        yield from self._halved(ids_B1, starts_B1, first, middle)
        yield from self._halved(ids_B1, starts_B1, middle, after)

    def _rows(self, ids_B1: Tensor, starts_B1: Tensor, first: int, after: int) -> Tensor:
        pool = self._pool
        pool.look_at(first, after)
        starts_B1 = starts_B1[first:after]
        positions_B1 = pool.end - starts_B1
        mask_BK = None
        if pool.has_columns and max(pool.starts[first:after]) > pool.begin:
            mask_BK = torch.arange(pool.begin, pool.end + 1, device=ids_B1.device) >= starts_B1
        scores_BV = self._forward(ids_B1[first:after], positions_B1, pool.cache, mask_BK)
        pool.keep()
        return scores_BV
