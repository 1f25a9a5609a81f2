"""Many small models of one class trained at once: the same steps, stacked along one dimension.

A tiny network spends its time on starting operations, not in them. Stacked by `torch.func`, all
members of a population start each operation once. It hurts when networks are wide, so it is
measured; a model that cannot be stacked, or would learn otherwise so, is trained one by one.
Suffixes: M members, B batch, C classes.
"""

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.optim import Optimizer

from agents.ml.data.batches import Batches, in_order
from agents.ml.data.dataset import Split
from agents.ml.training.losses import Loss
from agents.ml.training.scoring import ROWS

# Their steps are proportional to the learning rate, so that each member can have its own.
PROPORTIONAL = ("Adam", "AdamW", "NAdam", "RAdam", "Adamax", "RMSprop", "SGD")

# What torch.func raises for code that it cannot take apart.
CANNOT_STACK = (RuntimeError, TypeError, ValueError, NotImplementedError, AttributeError)
_TRIED_STEPS = 4
_PAYS = 0.9


@dataclass(frozen=True)
class Member:
    """What tells one from another."""

    seed: int
    learning_rate: float


class Population:
    """Models of one class, stacked.

    Each member sees its own batches and has its own rate; what it learns is what it would learn
    alone, up to rounding and, with dropout, up to the draw.
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        members: Sequence[Member],
        loss: Loss,
        make_optimizer: Callable[[list[Tensor], float], Optimizer],
    ) -> None:
        """Stack the models; `make_optimizer` gets the stacked parameters and a rate."""
        self._loss = loss
        parameters, self._buffers = stack_module_state(list(models))
        self._parameters = {name: p.detach().requires_grad_() for name, p in parameters.items()}
        self._shell = copy.deepcopy(models[0]).to("meta")
        rates = [member.learning_rate for member in members]
        self._is_one_rate = len(set(rates)) == 1
        rate = rates[0] if self._is_one_rate else 1.0
        self._optimizer = make_optimizer(list(self._parameters.values()), rate)
        self._rates_M = torch.tensor(rates)
        self._losses = vmap(self._loss_of_one, in_dims=(0, 0, 0, 0), randomness="different")
        self._forward = vmap(self._outputs_of_one, in_dims=(0, 0, None), randomness="different")

    def step(self, inputs_MB: Tensor, targets_MB: Tensor) -> Tensor:
        """Train every member on its batch; return their losses (M,)."""
        self._shell.train()
        self._optimizer.zero_grad()
        losses_M = self._losses(self._parameters, self._buffers, inputs_MB, targets_MB)
        torch.autograd.backward(losses_M.sum())  # no member's loss depends on another's weights
        if self._is_one_rate:
            self._optimizer.step()
        else:
            self._step_at_own_rates()
        result: Tensor = losses_M.detach()
        return result

    @torch.no_grad()
    def _step_at_own_rates(self) -> None:
        """Step at rate 1, and go each member's share of the way."""
        before = [p.clone() for p in self._parameters.values()]
        self._optimizer.step()
        for p, old in zip(self._parameters.values(), before, strict=True):
            rates = self._rates_M.to(p).reshape(-1, *[1] * (p.ndim - 1))
            p.copy_(torch.lerp(old, p, rates))

    @torch.no_grad()
    def outputs(self, split: Split) -> Tensor:
        """Return what every member puts out for a split in its order (M, N, C)."""
        batches = (split.batch(at)[0] for at in in_order(len(split), ROWS))
        return torch.cat([self.put_out(inputs_B) for inputs_B in batches], dim=1)

    @torch.no_grad()
    def put_out(self, inputs_B: Tensor) -> Tensor:
        """Return what every member, in eval mode, puts out for the same inputs (M, B, C)."""
        self._shell.eval()
        outputs_MBC: Tensor = self._forward(self._parameters, self._buffers, inputs_B).float()
        return outputs_MBC

    def _outputs_of_one(
        self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], inputs_B: Tensor
    ) -> Tensor:
        outputs: Tensor = functional_call(self._shell, (parameters, buffers), (inputs_B,))
        return outputs

    def _loss_of_one(
        self,
        parameters: dict[str, Tensor],
        buffers: dict[str, Tensor],
        inputs_B: Tensor,
        targets_B: Tensor,
    ) -> Tensor:
        return self._loss(self._outputs_of_one(parameters, buffers, inputs_B), targets_B)


def batch_of(train: Split, batches: Sequence[Batches], step: int) -> tuple[Tensor, Tensor]:
    """Return every member's batch of a step: inputs (M, B, ...) and targets (M, B)."""
    positions_MB = torch.stack([own.at(step) for own in batches])
    inputs, targets = train.batch(positions_MB.flatten())
    shape = positions_MB.shape
    return inputs.reshape(*shape, *inputs.shape[1:]), targets.reshape(*shape, *targets.shape[1:])


def pays(
    population: Callable[[], Population],
    alone: Callable[[], Callable[[Tensor, Tensor], Any]],
    batch: tuple[Tensor, Tensor],
) -> bool:
    """Say whether stacked steps are faster than one model's steps times the members.

    Both are made anew for the trial, whose learning counts for nothing. False if the model cannot
    be stacked.
    """
    inputs_MB, targets_MB = batch
    try:
        stacked = population()
        together_s = _best_of(lambda: stacked.step(inputs_MB, targets_MB))
    except CANNOT_STACK:
        return False
    one = alone()
    alone_s = _best_of(lambda: one(inputs_MB[0], targets_MB[0]))
    return together_s < _PAYS * alone_s * len(inputs_MB)


def _best_of(step: Callable[[], Any]) -> float:
    seconds = []
    for _ in range(_TRIED_STEPS):
        started_s = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started_s)
    return min(seconds)
