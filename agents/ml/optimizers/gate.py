"""What a custom optimizer must do before it is registered. Runs its code."""

import copy
import io
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from agents.ml.errors import ModelScriptError
from agents.ml.optimizers.building import OptimizerConfig, optimizer_class

Kind = Callable[..., Optimizer]

_STEPS = 1_000  # a warm-up may take most of them
_RATE = 0.05
_LOWERED = 0.9
_MIDWAY = 5


def check_custom_optimizer(script_path: str, class_name: str) -> tuple[str, ...]:
    """Load the class and try it; return what was checked.

    Raises:
        ModelScriptError: naming the file, and what the optimizer does not do.
    """
    kind = optimizer_class(OptimizerConfig(type=class_name, script_path=script_path))
    checks: dict[str, Callable[[Kind], None]] = {
        "lowers a quadratic": _lowers_a_quadratic,
        "leaves parameters without a gradient alone": _leaves_what_has_no_gradient,
        "takes parameter groups with rates of their own": _takes_groups,
        "goes on exactly from its saved state": _goes_on_from_its_state,
    }
    for name, check in checks.items():
        try:
            check(kind)
        except Exception as error:  # its code may raise anything
            text = f"{class_name} is no optimizer that {name}: {str(error) or repr(error)}"
            raise ModelScriptError(text, where=script_path) from error
    return tuple(checks)


def _lowers_a_quadratic(kind: Kind) -> None:
    weights = _weights()
    optimizer = kind(weights, lr=_RATE)
    first = float(_loss(weights).detach())
    for _ in range(_STEPS):
        _step(optimizer, weights)
        last = float(_loss(weights).detach())
        if last < _LOWERED * first:
            return
        if not math.isfinite(last):
            break
    raise ValueError(f"in {_STEPS:,} steps it went from {first:.4g} to {last:.4g}")


def _leaves_what_has_no_gradient(kind: Kind) -> None:
    weights, idle = _weights(), nn.Parameter(torch.ones(3))
    optimizer = kind([*weights, idle])
    _step(optimizer, weights)
    if not torch.equal(idle, torch.ones(3)):
        raise ValueError("it changed one")


def _takes_groups(kind: Kind) -> None:
    weights = _weights()
    rate = kind(_weights()).param_groups[0]["lr"]
    groups = [{"params": weights[:1], "lr": 0.0}, {"params": weights[1:], "lr": rate}]
    optimizer = kind(groups)
    before = [weight.detach().clone() for weight in weights]
    for _ in range(_MIDWAY):
        _step(optimizer, weights)
    if not torch.equal(weights[0], before[0]) or torch.equal(weights[1], before[1]):
        raise ValueError("a group with lr 0 moved, or one with the usual lr did not")


def _goes_on_from_its_state(kind: Kind) -> None:
    weights = _weights()
    optimizer = kind(weights)
    for _ in range(_MIDWAY):
        _step(optimizer, weights)
    others = copy.deepcopy(weights)
    resumed = kind(others)
    resumed.load_state_dict(_written_and_read(optimizer.state_dict()))
    for _ in range(_MIDWAY):
        _step(optimizer, weights)
        _step(resumed, others)
    if not all(map(torch.equal, weights, others)):
        raise ValueError("after it was loaded the steps were others")


def _written_and_read(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    read: dict[str, Any] = torch.load(file, weights_only=True)
    return read


def _weights() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((4, 3), (3,))
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def _loss(weights: list[nn.Parameter]) -> Tensor:
    return torch.stack([weight.square().sum() for weight in weights]).sum()


def _step(optimizer: Optimizer, weights: list[nn.Parameter]) -> None:
    def closure() -> float:
        optimizer.zero_grad()
        loss = _loss(weights)
        torch.autograd.backward(loss)
        return float(loss.detach())

    optimizer.step(closure)
