"""Which samples make up a step: a pure function of seed and step, so that runs resume exactly."""

from collections.abc import Iterator

import torch
from torch import Tensor


class Batches:
    """Seeded shuffled batches over `size` samples, a new permutation in every epoch.

    There is no state to save but the number of the next step. A last batch of a single sample is
    left out of its epoch (batch normalisation cannot train on it) unless it is the only one.
    """

    def __init__(self, size: int, batch_size: int, *, seed: int) -> None:
        self._size, self._batch_size, self._seed = size, batch_size, seed
        full, rest = divmod(size, batch_size)
        self.steps_per_epoch = max(1, full + (1 if rest > 1 else 0))
        self._epoch = -1
        self._order_N = torch.empty(0, dtype=torch.long)

    def at(self, step: int) -> Tensor:
        """Return the positions of the samples of `step`, counted from 0 over all epochs."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._order_N = _permutation(self._size, self._seed, epoch)
            self._epoch = epoch
        start = position * self._batch_size
        return self._order_N[start : start + self._batch_size]

    def samples_in(self, steps: int) -> int:
        """Return how many samples the first `steps` steps have."""
        epochs, more = divmod(steps, self.steps_per_epoch)
        in_epoch = min(self._size, self.steps_per_epoch * self._batch_size)
        return epochs * in_epoch + more * self._batch_size


def micro_batches(positions: Tensor, size: int) -> list[Tensor]:
    """Cut a step into batches of `size`; a single sample left over joins the batch before it."""
    batches = list(torch.split(positions, size)) if len(positions) else []
    if len(batches) > 1 and len(batches[-1]) == 1 < size:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def in_order(size: int, batch_size: int) -> Iterator[Tensor]:
    """Yield the positions 0..size-1 in batches, for evaluation."""
    for start in range(0, size, batch_size):
        yield torch.arange(start, min(start + batch_size, size))


def _permutation(size: int, seed: int, epoch: int) -> Tensor:
    # A linear mix keeps (seed, epoch) pairs apart; torch scrambles the seed itself.
    mixed = (seed * 1_000_003 + epoch * 7_919 + 1) % 2**63
    return torch.randperm(size, generator=torch.Generator().manual_seed(mixed))
