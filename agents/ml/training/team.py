"""Several processes that train one model, each on its share of every batch.

`torchrun` starts them. A step has the same samples, and up to rounding the same gradient, however
many there are: each process weighs its share as its samples weigh, and what they have is summed.
Of a step too small for all some have no share. The first one measures, writes and decides; the
others are told.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol, TypeVar

import torch
from torch import Tensor, distributed, nn

from agents.ml.errors import TeamError

T = TypeVar("T")

_LEAST_SAMPLES = 2  # of a share: batch normalisation cannot train on one
# The first process measures while the others wait. One that has died is noticed without it.
_PATIENCE = timedelta(days=1)


class Team(Protocol):
    """The processes that train together; `rank` 0 is the first."""

    rank: int
    device: str | None

    def share(self, positions: Tensor) -> Tensor:
        """Return this process's part of a step's samples."""
        ...

    def sum_step(
        self, model: nn.Module, loss: float, weight: float, *, share: float
    ) -> tuple[float, float]:
        """Sum gradients, average buffers such as running means; return the sums of the others.

        Args:
            model: as it is after this process's part of a step.
            loss: of that part.
            weight: of its samples.
            share: its part of the step's samples, from 0 to 1.
        """
        ...

    def any(self, *, is_so: bool) -> bool:
        """Say whether it is so for one of them at least."""
        ...

    def told(self, tell: Callable[[], T]) -> T:
        """Return what `tell` returns in the first process; the others do not call it."""
        ...

    def gathered(self, value: T) -> list[T]:
        """Return the value of each process."""
        ...

    def own(self, values: Sequence[T]) -> T:
        """Return this process's value of those gathered."""
        ...


class Alone:
    """One process."""

    rank = 0
    device: str | None = None

    def share(self, positions: Tensor) -> Tensor:
        return positions

    def sum_step(
        self,
        model: nn.Module,  # noqa: ARG002  nothing to sum
        loss: float,
        weight: float,
        *,
        share: float,  # noqa: ARG002  as above
    ) -> tuple[float, float]:
        return loss, weight

    def any(self, *, is_so: bool) -> bool:
        return is_so

    def told(self, tell: Callable[[], T]) -> T:
        return tell()

    def gathered(self, value: T) -> list[T]:
        return [value]

    def own(self, values: Sequence[T]) -> T:
        return values[0]


class Together:
    """A process of several; made by each of them at once."""

    def __init__(self, *, on_cpu: bool) -> None:
        # Here, because only they need it, and it takes a second.
        from accelerate import PartialState  # noqa: PLC0415

        self._state = PartialState(cpu=on_cpu, timeout=_PATIENCE)
        self.rank: int = self._state.process_index
        self.device: str | None = str(self._state.device)

    def share(self, positions: Tensor) -> Tensor:
        sharing = min(self._state.num_processes, max(1, len(positions) // _LEAST_SAMPLES))
        if self.rank >= sharing:
            return positions[:0]
        return torch.tensor_split(positions, sharing)[self.rank]

    def sum_step(
        self, model: nn.Module, loss: float, weight: float, *, share: float
    ) -> tuple[float, float]:
        parameters = [p for p in model.parameters() if p.requires_grad]
        buffers = [b for b in model.buffers() if b.is_floating_point()]
        parts = [
            torch.tensor([loss, weight], device=self._state.device),
            torch.tensor([float(p.grad is not None) for p in parameters]).to(self._state.device),
            *(torch.zeros_like(p) if p.grad is None else p.grad for p in parameters),
            *(b * share if share else torch.zeros_like(b) for b in buffers),
        ]
        flat = torch.cat([part.float().flatten() for part in parts])
        self._sum(flat)
        totals, has_grad, *summed = torch.split(flat, [part.numel() for part in parts])
        for p, gradient, has in zip(parameters, summed, has_grad.tolist(), strict=False):
            p.grad = gradient.reshape(p.shape).to(p.dtype) if has else None
        for b, mean in zip(buffers, summed[len(parameters) :], strict=True):
            b.copy_(mean.reshape(b.shape))
        total, total_weight = totals.tolist()
        return total, total_weight

    def any(self, *, is_so: bool) -> bool:
        count = torch.tensor([float(is_so)], device=self._state.device)
        self._sum(count)
        return bool(count > 0)

    def _sum(self, values: Tensor) -> None:
        try:
            distributed.all_reduce(values)
        except RuntimeError as error:
            raise TeamError(f"a process that trains with this one is gone: {error}") from error

    def told(self, tell: Callable[[], T]) -> T:
        box = [tell() if self.rank == 0 else None]
        distributed.broadcast_object_list(box, src=0)
        told: T = box[0]  # type: ignore[assignment]  # the first one's, now in all
        return told

    def gathered(self, value: T) -> list[T]:
        values: list[T] = [value] * self._state.num_processes
        distributed.all_gather_object(values, value)
        return values

    def own(self, values: Sequence[T]) -> T:
        return values[self.rank]


@contextmanager
def assembled(device: str | None) -> Iterator[Team]:
    """Give the team that this process was started in: that of torchrun, or itself alone.

    Each process has a GPU of its own, or they share the CPU if `device` or the machine has it so.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Alone()
        return
    try:
        yield Together(on_cpu=device == "cpu" or not torch.cuda.is_available())
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()
