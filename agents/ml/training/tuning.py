"""The layout and precision a model runs fastest in, of those it allows: found by trying.

Channels-last makes convolutions about twice as fast, and some scripts fail (`x.view`); bfloat16
makes them faster where the processor has units for it, and six times slower where not. So a run
that is long enough tries its first batch on a copy of the model, and takes what pays. The choice
is in its checkpoints, so that a run which goes on computes as it did.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from agents.ml.errors import MLError
from agents.ml.training.compute import IMAGES, Compute
from agents.ml.training.configs import Precision
from agents.ml.training.randomness import load_rng_state, rng_state
from agents.ml.training.supervised import Setup
from agents.ml.training.tasks import Task

_LEAST_STEPS = 200
_LEAST_S = 5.0
_TRIED_STEPS = 3
_PAYS = 0.85  # of the time of the plain way
_TOLERANCES = {False: 1e-3, True: 0.1}  # of the largest output, in fp32 and in bf16


def tune(
    setup: Setup,
    first_batch: Callable[[], tuple[Tensor, Tensor]],
    steps_total: int,
    precision: Precision,
) -> dict[str, Any]:
    """Choose how `setup` shall run; a short run, and a model that cannot be copied, stay plain.

    Returns:
        what `Compute.to_json` says, and `step_s`, the seconds of a step in each way that was tried.
    """
    plain = replace(setup.compute, bf16=precision == "bf16")
    if steps_total < _LEAST_STEPS:
        return {**plain.to_json(), "step_s": {}}
    before = rng_state()
    try:
        batch = first_batch()
        others = _others(setup.model, batch[0], plain, precision)
        tried = _tried(setup, batch, plain, others, steps_total)
    finally:
        load_rng_state(before)
    fastest = min(tried, key=lambda compute: tried[compute], default=plain)
    is_worth_it = bool(tried) and tried[fastest] < _PAYS * tried[plain]
    step_s = {_words(compute): round(seconds, 6) for compute, seconds in tried.items()}
    chosen = fastest if is_worth_it else plain
    return {**chosen.to_json(), "step_s": step_s}


def _others(model: nn.Module, inputs_B: Tensor, plain: Compute, precision: str) -> list[Compute]:
    has_images = inputs_B.ndim == IMAGES and any(isinstance(m, nn.Conv2d) for m in model.modules())
    layouts = [False, True] if has_images else [False]
    precisions = [False, True] if precision == "auto" else [plain.bf16]
    ways = [
        replace(plain, channels_last=last, bf16=bf16) for bf16 in precisions for last in layouts
    ]
    return [way for way in ways if way != plain]


def _tried(
    setup: Setup,
    batch: tuple[Tensor, Tensor],
    plain: Compute,
    others: list[Compute],
    steps_total: int,
) -> dict[Compute, float]:
    """Return the seconds of a step in each way that gives what the plain one gives."""
    reference = _try(setup, batch, plain) if others else None
    if reference is None or reference[1] * steps_total < _LEAST_S:
        return {}
    tried = {plain: reference[1]}
    for way in others:
        trial = _try(setup, batch, way)
        if trial is not None and is_close(trial[0], reference[0], _TOLERANCES[way.bf16]):
            tried[way] = trial[1]
    return tried


def _try(
    setup: Setup, batch: tuple[Tensor, Tensor], compute: Compute
) -> tuple[Tensor, float] | None:
    """Return what a copy puts out and how long its steps take; None if it fails."""
    try:
        trial = replace(setup, model=copy.deepcopy(setup.model)).running_on(compute)
        with torch.no_grad():
            outputs = compute.forward(trial.model.eval(), batch[0])
        trial.model.train()
        seconds = min(_step(trial.model, trial.task, batch) for _ in range(_TRIED_STEPS))
    except (MLError, RuntimeError, TypeError, AttributeError, NotImplementedError):
        return None
    return outputs, seconds


def _step(model: nn.Module, task: Task, batch: tuple[Tensor, Tensor]) -> float:
    started_s = time.perf_counter()
    model.zero_grad(set_to_none=True)
    with torch.enable_grad():
        torch.autograd.backward(task.loss(model, *batch))
    if batch[0].device.type == "cuda":
        torch.cuda.synchronize(batch[0].device)
    return time.perf_counter() - started_s


def is_close(ours: Tensor, theirs: Tensor, tolerance: float) -> bool:
    """Say whether outputs differ by no more than that share of the largest of `theirs`."""
    largest = max(1e-6, float(theirs.abs().max()))
    return ours.shape == theirs.shape and float((ours - theirs).abs().max()) <= tolerance * largest


def _words(compute: Compute) -> str:
    said = compute.to_json()
    return f"{said['precision']}, {said['layout']}"
